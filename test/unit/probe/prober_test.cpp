// When probes begin. What one probe does is in the end-to-end tests.
#include "holdfast/probe/prober.hpp"

#include <doctest/doctest.h>

namespace holdfast::probe::test {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a few new backends are probed within a tenth of their interval, thousands at a bounded rate") {
  CHECK(Prober::first_within(1, milliseconds(2000)) == milliseconds(200));
  CHECK(Prober::first_within(200, milliseconds(2000)) == milliseconds(200));
  CHECK(Prober::first_within(1000, milliseconds(2000)) == milliseconds(1000));
  // Not later than the second probe would have been.
  CHECK(Prober::first_within(5000, milliseconds(2000)) == milliseconds(2000));
  CHECK(Prober::first_within(5000, milliseconds(3'600'000)) == milliseconds(360'000));
}

}  // namespace
}  // namespace holdfast::probe::test
