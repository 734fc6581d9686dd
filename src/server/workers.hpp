#pragma once
// `workers: "auto"`.

#include <cstddef>
#include <cstdint>

namespace holdfast::server {

/// `wanted`, or for 0 the smaller of the CPUs this process may run on and ceil(cgroup cpu.max).
[[nodiscard]] std::size_t worker_count(std::uint32_t wanted);

}  // namespace holdfast::server
