// Audio that is made in code: a chirp in G.711 A-law, cut into 20 ms payloads that all differ, so
// that a packet that is swapped, repeated or altered is heard. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/base/bytes.h"

namespace rtpool::bench {

inline constexpr std::size_t kFrameSamples = 160;  // 20 ms at 8000 Hz
inline constexpr std::size_t kChirpFrames = 50;    // one second

// G.711, table 1a, with the even bits inverted.
std::uint8_t alaw_encode(std::int16_t sample);

class Chirp {
 public:
  // One second that rises from one pitch to the other, and then again.
  Chirp(double low_hz, double high_hz);
  [[nodiscard]] Bytes frame(std::uint64_t index) const {
    return Bytes(samples_).subspan((index % kChirpFrames) * kFrameSamples, kFrameSamples);
  }

 private:
  std::array<std::byte, kFrameSamples * kChirpFrames> samples_{};
};

}  // namespace rtpool::bench
