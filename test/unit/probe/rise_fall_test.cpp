#include "holdfast/probe/rise_fall.hpp"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::probe {
namespace {

using upstream::Health;

// Outcomes as '+' and '-', the health after each as 'u'nknown, 'h'ealthy, '-' (unhealthy).
std::string after_each(const std::string& outcomes, std::uint32_t rise, std::uint32_t fall,
                       Health health = Health::unknown) {
  RiseFall rise_fall;
  std::string seen;
  for (const char each : outcomes) {
    health = rise_fall.note(health, each == '+' ? Outcome::passed : Outcome::failed, rise, fall);
    seen += health == Health::healthy ? 'h' : health == Health::unhealthy ? '-' : 'u';
  }
  return seen;
}

TEST_CASE("the first verdict takes rise passes or fall failures in a row") {
  CHECK(after_each("++", 2, 3) == "uh");
  CHECK(after_each("---", 2, 3) == "uu-");
  CHECK(after_each("--+--+-", 2, 3) == "uuuuuuu");
  CHECK(after_each("+-+-+-", 2, 2) == "uuuuuu");
}

TEST_CASE("a single outcome decides where one is enough") {
  CHECK(after_each("+-+-", 1, 1) == "h-h-");
  CHECK(after_each("-", 1, 1) == "-");
}

TEST_CASE("a healthy backend falls only by failures in a row, and rises again the same way") {
  CHECK(after_each("--+--+---", 2, 3, Health::healthy) == "hhhhhhhh-");
  CHECK(after_each("+-++", 2, 3, Health::unhealthy) == "---h");
}

TEST_CASE("a verdict stays as long as nothing contradicts it") {
  CHECK(after_each("+++++", 2, 3) == "uhhhh");
  CHECK(after_each("-----", 2, 3) == "uu---");
}

TEST_CASE("limits that a reload lowered count what has come already") {
  RiseFall rise_fall;
  Health health = Health::unknown;
  for (int n = 0; n < 3; ++n) health = rise_fall.note(health, Outcome::failed, 1, 10);
  CHECK(health == Health::unknown);
  CHECK(rise_fall.note(health, Outcome::failed, 1, 4) == Health::unhealthy);
}

}  // namespace
}  // namespace holdfast::probe
