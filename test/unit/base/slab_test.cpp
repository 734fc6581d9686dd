#include "holdfast/base/slab.hpp"

#include <doctest/doctest.h>

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
