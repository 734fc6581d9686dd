#include "holdfast/upstream/sticky.hpp"

#include <doctest/doctest.h>

#include <set>

#include "holdfast/upstream/backend.hpp"

namespace holdfast::upstream {
namespace {

using std::chrono::seconds;
using Wall = Sticky::WallTime;

constexpr Wall now(seconds(1'700'000'000));
constexpr std::string_view base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::vector<std::shared_ptr<Backend>> backends(std::initializer_list<const char*> addresses) {
  std::vector<std::shared_ptr<Backend>> made;
  for (const char* address : addresses) made.push_back(std::make_shared<Backend>("u", address));
  return made;
}

const std::string key = "a key that nobody knows";

TEST_CASE("what was issued is read again, by any proxy with the key and whatever the order of the backends") {
  const Sticky here(key, "u", backends({"1:1", "2:1", "3:1"}));
  const Sticky there(key, "u", backends({"3:1", "2:1"}));
  for (std::size_t member = 0; member < 3; ++member) {
    const std::string value = here.issue(member, 77 + member, now, seconds(60));
    CHECK(value.size() == 48);
    const auto ticket = here.read(value, now + seconds(59));
    REQUIRE(ticket.has_value());
    CHECK(ticket->member == member);
    CHECK(ticket->session == 77 + member);
    // There the first one is gone and the others stand in another order.
    const std::optional<std::size_t> expected[] = {std::nullopt, 1, 0};
    CHECK(there.read(value, now)->member == expected[member]);
  }
}

TEST_CASE("a value is good until its time is over, or for ever") {
  const Sticky sticky(key, "u", backends({"1:1"}));
  const std::string hour = sticky.issue(0, 1, now, seconds(3600));
  CHECK(sticky.read(hour, now + seconds(3599)).has_value());
  CHECK_FALSE(sticky.read(hour, now + seconds(3600)).has_value());
  CHECK(sticky.read(sticky.issue(0, 1, now, seconds(0)), now + std::chrono::years(50)).has_value());
}

TEST_CASE("no changed character and no other length, key or upstream passes") {
  const Sticky sticky(key, "u", backends({"1:1", "2:1"}));
  const std::string value = sticky.issue(1, 5, now, seconds(60));
  for (std::size_t n = 0; n < value.size(); ++n) {
    for (const char c : base64) {
      std::string forged = value;
      if (forged[n] == c) continue;
      forged[n] = c;
      REQUIRE_FALSE(sticky.read(forged, now).has_value());
    }
  }
  for (const char c : {'=', '+', '/', ' ', '\0', '\xff'}) {
    std::string forged = value;
    forged[7] = c;
    CHECK_FALSE(sticky.read(forged, now).has_value());
  }
  for (const std::string& text :
       {std::string(), value.substr(1), value + "A", value + value, std::string(48, 'A')})
    CHECK_FALSE(sticky.read(text, now).has_value());
  CHECK_FALSE(Sticky("another key", "u", backends({"1:1", "2:1"})).read(value, now).has_value());
  CHECK_FALSE(Sticky(key, "v", backends({"1:1", "2:1"})).read(value, now).has_value());
}

TEST_CASE("the address can't be told from the value, and two backends have two values") {
  const Sticky one(key, "u", backends({"10.1.2.3:9001", "10.1.2.3:9002"}));
  const Sticky other("another key", "u", backends({"10.1.2.3:9001", "10.1.2.3:9002"}));
  std::set<std::string> ids;
  for (const Sticky* sticky : {&one, &other}) {
    for (std::size_t member = 0; member < 2; ++member)
      ids.insert(sticky->issue(member, 1, now, seconds(60)).substr(0, 10));
  }
  CHECK(ids.size() == 4);
}

TEST_CASE("a session's mark depends on its id and the key") {
  const Sticky one(key, "u", {});
  const Sticky other("another key", "u", {});
  std::array<std::uint8_t, 16> id{};
  const StickySession mark = one.session_of(id);
  CHECK(one.session_of(id) == mark);
  CHECK(other.session_of(id) != mark);
  id[15] = 1;
  CHECK(one.session_of(id) != mark);
}

TEST_CASE("where sessions went is known of the latest ones") {
  Moved moved;
  CHECK_FALSE(moved.find(1).has_value());
  moved.note(1, "1:1");
  moved.note(1, "2:1");
  CHECK(moved.find(1) == "2:1");
  for (StickySession session = 2; session <= Moved::most + 1; ++session) moved.note(session, "3:1");
  CHECK(moved.size() == Moved::most);
  CHECK_FALSE(moved.find(1).has_value());
  CHECK(moved.find(Moved::most + 1) == "3:1");
}

}  // namespace
}  // namespace holdfast::upstream
