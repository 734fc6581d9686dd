#include "server/workers.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace holdfast::server {

namespace {

std::size_t cpus_by_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(CPU_COUNT(&set));
}

// The path of this process's cgroup (v2): the line "0::/path" of /proc/self/cgroup.
std::string cgroup_path() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) return line.substr(3);
  }
  return "/";
}

// cpu.max is "QUOTA PERIOD" or "max PERIOD"; without such a file there is no limit.
std::size_t cpus_by_quota() {
  std::ifstream file("/sys/fs/cgroup" + cgroup_path() + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return SIZE_MAX;
  return static_cast<std::size_t>(std::max(1.0, std::ceil(std::stod(quota) / period)));
}

}  // namespace

std::size_t worker_count(std::uint32_t wanted) {
  if (wanted != 0) return wanted;
  return std::max<std::size_t>(1, std::min(cpus_by_affinity(), cpus_by_quota()));
}

}  // namespace holdfast::server
