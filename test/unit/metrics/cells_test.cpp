#include "holdfast/metrics/cells.hpp"

#include <doctest/doctest.h>

namespace holdfast::metrics::test {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST_CASE("close codes fall into a bounded number of labels") {
  CHECK(code_label(code_class(1000)) == "1000");
  CHECK(code_label(code_class(1015)) == "1015");
  CHECK(code_label(code_class(1016)) == "other");
  CHECK(code_label(code_class(3000)) == "3xxx");
  CHECK(code_label(code_class(3999)) == "3xxx");
  CHECK(code_label(code_class(4401)) == "4xxx");
  CHECK(code_label(code_class(5000)) == "other");
  CHECK(code_label(code_class(0)) == "none");
  CHECK(code_label(code_class(1005)) == "none");
  for (unsigned code = 0; code <= 0xFFFF; ++code) {
    REQUIRE(code_class(static_cast<std::uint16_t>(code)) < code_class_count);
  }
}

TEST_CASE("the six opcodes have six places") {
  CHECK(opcode_index(0) == 0);
  CHECK(opcode_index(1) == 1);
  CHECK(opcode_index(2) == 2);
  CHECK(opcode_index(8) == 3);
  CHECK(opcode_index(9) == 4);
  CHECK(opcode_index(10) == 5);
  for (unsigned opcode = 0; opcode < 16; ++opcode)
    CHECK(opcode_index(static_cast<std::uint8_t>(opcode)) < opcode_count);
}

TEST_CASE("a histogram puts a value on a bound below it and the rest into the open bucket") {
  PumpCells cells;
  Histogram& histogram = cells.ping_rtt;
  REQUIRE(histogram.bounds().front() == 0.0001);
  histogram.observe(microseconds(100));
  histogram.observe(microseconds(101));
  histogram.observe(seconds(100));
  histogram.observe(nanoseconds(-5));
  CHECK(histogram.bucket(0) == 2);
  CHECK(histogram.bucket(1) == 1);
  CHECK(histogram.bucket(histogram.bounds().size()) == 1);
  CHECK(histogram.sum_seconds() == doctest::Approx(100.000201));
}

TEST_CASE("blocks of two threads never share a cache line") {
  CHECK(sizeof(RouteCells) % cache_line_bytes == 0);
  CHECK(sizeof(ListenerCells) % cache_line_bytes == 0);
  CHECK(sizeof(SessionCells) == cache_line_bytes);
  CHECK(sizeof(PumpCells) % cache_line_bytes == 0);
  CHECK(alignof(SetupCells) == cache_line_bytes);
}

}  // namespace
}  // namespace holdfast::metrics::test
