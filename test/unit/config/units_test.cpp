#include "config/units.hpp"

#include <doctest/doctest.h>

#include <limits>

namespace holdfast::config::test {
namespace {

using std::chrono::milliseconds;

TEST_CASE("durations have one number and one unit") {
  CHECK(parse_duration("250ms") == milliseconds(250));
  CHECK(parse_duration("10s") == milliseconds(10'000));
  CHECK(parse_duration("5m") == milliseconds(300'000));
  CHECK(parse_duration("1h") == milliseconds(3'600'000));
  CHECK(parse_duration("0s") == milliseconds(0));
  for (const char* text : {"", "10", "s", "1 s", "1.5s", "-1s", "1S", "1d", "1h30m", "99999999999999999999s",
                           "9223372036854775807s"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("sizes are in powers of 1024") {
  CHECK(parse_size("7B") == 7U);
  CHECK(parse_size("64KiB") == 65'536U);
  CHECK(parse_size("1MiB") == 1'048'576U);
  CHECK(parse_size("2GiB") == 2'147'483'648U);
  CHECK(parse_size("16777215TiB") == std::numeric_limits<std::uint64_t>::max() - (1ULL << 40U) + 1);
  for (const char* text : {"", "1", "1KB", "1kib", "1 KiB", "KiB", "16777216TiB"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("values are printed in the largest unit that divides them") {
  CHECK(print_duration(milliseconds(90'000)) == "90s");
  CHECK(print_duration(milliseconds(3'600'000)) == "1h");
  CHECK(print_duration(milliseconds(0)) == "0");
  CHECK(print_size(65'536) == "64KiB");
  CHECK(print_size(65'537) == "65537B");
}

}  // namespace
}  // namespace holdfast::config::test
