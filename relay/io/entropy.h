// A seed for base/random.h from the kernel's generator. Not for keys.
#pragma once

#include <cstdint>

namespace rtpool::io {

std::uint64_t random_seed();

}  // namespace rtpool::io
