#pragma once
// How the kernel's scheduler is to treat our threads.

#include <chrono>

namespace holdfast::server {

/// The calling thread gets the CPU soon but for short: when it wakes up, it need not wait until a thread with
/// longer slices (a millisecond or more is usual) has used one up. Linux 6.12 and later; without effect on
/// older ones, and where a real-time policy was given to it.
void prefer_short_slices(std::chrono::nanoseconds slice) noexcept;

}  // namespace holdfast::server
