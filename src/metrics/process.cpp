#include "metrics/process.hpp"

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace holdfast::metrics {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("btime ", 0) == 0) return std::stod(line.substr(6));
  }
  return 0;
}

// Fields of /proc/self/stat behind the command name, which may contain anything: see proc(5).
void read_stat(ProcessFigures& out) {
  const std::string line = first_line("/proc/self/stat");
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream fields(line.substr(name_end + 1));
  constexpr int first = 3;  // the number proc(5) gives the field behind the name
  constexpr int start_time = 22;
  constexpr int virtual_size = 23;
  constexpr int resident_pages = 24;
  std::string field;
  for (int number = first; number <= resident_pages && fields >> field; ++number) {
    if (number == start_time) {
      const double ticks = std::stod(field);
      out.start_time_seconds = boot_time() + ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
    }
    if (number == virtual_size) out.virtual_bytes = std::stod(field);
    if (number == resident_pages)
      out.resident_bytes = std::stod(field) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  }
}

double count_open_fds() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    ++count;
  }
  // The iterator itself has one open.
  return count > 0 ? count - 1 : 0;
}

}  // namespace

ProcessFigures process_figures() {
  ProcessFigures out;
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0)
    out.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) out.max_fds = static_cast<double>(limit.rlim_cur);
  out.open_fds = count_open_fds();
  read_stat(out);
  return out;
}

}  // namespace holdfast::metrics
