#include "metrics/process.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <ctime>

namespace holdfast::metrics::test {
namespace {

TEST_CASE("the process figures are those of this process") {
  const ProcessFigures figures = process_figures();
  CHECK(figures.cpu_seconds > 0);
  CHECK(figures.resident_bytes > 100'000);
  CHECK(figures.virtual_bytes >= figures.resident_bytes);
  const auto now = static_cast<double>(std::time(nullptr));
  CHECK(figures.start_time_seconds <= now + 1);
  CHECK(figures.start_time_seconds > now - 86'400);
  CHECK(figures.max_fds >= figures.open_fds);
}

TEST_CASE("an opened descriptor is counted") {
  const double before = process_figures().open_fds;
  const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  CHECK(process_figures().open_fds == before + 1);
  ::close(descriptor);
}

}  // namespace
}  // namespace holdfast::metrics::test
