#include "server/scheduling.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace holdfast::server {

namespace {

// struct sched_attr of sched_setattr(2), which glibc 2.36 does not have.
struct Attributes {
  std::uint32_t size = sizeof(Attributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;  // ns; of the ordinary policy: the slice
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};
constexpr std::uint32_t ordinary = 0;  // SCHED_OTHER
constexpr pid_t this_thread = 0;

}  // namespace

void prefer_short_slices(std::chrono::nanoseconds slice) noexcept {
  Attributes attributes;
  const long got = syscall(SYS_sched_getattr, this_thread, &attributes, sizeof attributes, 0U);
  if (got != 0 || attributes.policy != ordinary) return;
  attributes.runtime = static_cast<std::uint64_t>(slice.count());
  syscall(SYS_sched_setattr, this_thread, &attributes, 0U);
}

}  // namespace holdfast::server
