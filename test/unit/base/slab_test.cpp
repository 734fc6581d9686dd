#include "holdfast/base/slab.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

using namespace holdfast;

TEST_CASE("a handle finds its object and nobody after the object's end, also when the slot lives again") {
  Slab<std::string> slab;
  auto [first, handle] = slab.create("first");
  CHECK(slab.find(handle) == first);
  slab.destroy(handle);
  CHECK(slab.find(handle) == nullptr);
  auto [second, newer] = slab.create("second");
  CHECK(newer.index == handle.index);
  CHECK(slab.find(handle) == nullptr);
  CHECK(*slab.find(newer) == "second");
  CHECK(slab.find(Handle{}) == nullptr);
  CHECK(slab.find(Handle{99999, 1}) == nullptr);
}

TEST_CASE("objects keep their address while the slab grows, and a visitor may destroy what it visits") {
  Slab<int> slab;
  auto [first, handle] = slab.create(1);
  for (int n = 2; n <= 500; ++n) (void)slab.create(n);
  CHECK(slab.find(handle) == first);
  int sum = 0;
  slab.for_each([&](int& value, Handle which) {
    sum += value;
    slab.destroy(which);
  });
  CHECK(sum == 500 * 501 / 2);
  CHECK(slab.size() == 0);
}

TEST_CASE("an object's handle is known from the object") {
  Slab<std::string> slab;
  std::vector<Handle> handles;
  for (int n = 0; n < 200; ++n) handles.push_back(slab.create(std::to_string(n)).second);
  slab.destroy(handles[70]);
  handles[70] = slab.create("again").second;
  for (const Handle& each : handles) CHECK(slab.handle_of(*slab.find(each)) == each);
}

TEST_CASE("who can't be made takes no slot") {
  struct Picky {
    explicit Picky(bool throws) : text(64, 'x') {
      if (throws) throw std::runtime_error("not this one");
    }
    std::string text;  // it has overwritten the slot by then
  };
  Slab<Picky> slab;
  const Handle first = slab.create(false).second;
  for (int n = 0; n < 3; ++n) CHECK_THROWS((void)slab.create(true));
  CHECK(slab.size() == 1);
  std::vector<Handle> others;
  for (int n = 0; n < 200; ++n) others.push_back(slab.create(false).second);
  CHECK(slab.size() == 201);
  for (const Handle& each : others) CHECK(slab.find(each)->text.size() == 64);
  CHECK(slab.find(first) != nullptr);
}
