// What a completion of the ring is about, packed into the 64 bits that the kernel hands back with
// it.
#pragma once

#include <cstdint>

namespace rtpool::io {

enum class Kind : std::uint8_t {
  receive = 1,
  send,
  direct_send,  // out of a twin, see uring_io.cc
  cancel,
  option,
  wake,
  descriptor,  // of a fixed file, for a moment
};

// The generation tells a slot's user from the one before.
struct Tag {
  Kind kind{};
  std::uint32_t generation = 0;  // 24 bits
  std::uint32_t slot = 0;        // 20 bits
  std::uint32_t bytes = 0;       // 16 bits
};
inline constexpr std::uint32_t kGenerationMask = 0xff'ffff;
inline constexpr std::uint32_t kMaxSlots = 1U << 20;

constexpr std::uint64_t pack(const Tag& tag) {
  return static_cast<std::uint64_t>(tag.kind) << 60 |
         static_cast<std::uint64_t>(tag.generation) << 36 |
         static_cast<std::uint64_t>(tag.slot) << 16 | tag.bytes;
}
constexpr Tag unpack(std::uint64_t data) {
  return {static_cast<Kind>(data >> 60), static_cast<std::uint32_t>(data >> 36) & kGenerationMask,
          static_cast<std::uint32_t>(data >> 16) & (kMaxSlots - 1),
          static_cast<std::uint32_t>(data & 0xffff)};
}

}  // namespace rtpool::io
