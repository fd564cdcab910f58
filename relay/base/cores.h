// The processor cores that shards may be pinned to, by the kernel's numbers.
//
// Any thread. A process may be held to some of the host's cores (taskset, cgroups): only those are
// usable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rtpool {

inline constexpr std::uint32_t kMaxCores = 1024;  // a cpu_set_t's

// Ascending.
std::vector<std::uint32_t> usable_cores();
// Keeps the calling thread, and threads that it starts, on this core. False when that is not one it
// may run on.
bool stay_on_core(std::uint32_t core);
// "0,2-3"
std::string format_cores(std::span<const std::uint32_t> cores);

}  // namespace rtpool
