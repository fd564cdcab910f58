#include "bench/audio.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace rtpool::bench {

std::uint8_t alaw_encode(std::int16_t sample) {
  const unsigned sign = sample >= 0 ? 0x80 : 0;
  const auto magnitude = static_cast<unsigned>(sample >= 0 ? sample : -sample - 1) >> 4;
  const int segment = std::max(static_cast<int>(std::bit_width(magnitude)) - 4, 0);
  const unsigned low = (magnitude >> std::max(segment - 1, 0)) & 0x0F;
  return static_cast<std::uint8_t>((sign | static_cast<unsigned>(segment) << 4 | low) ^ 0x55);
}

Chirp::Chirp(double low_hz, double high_hz) {
  constexpr double kRate = 8000;
  double phase = 0;
  for (std::size_t n = 0; n < samples_.size(); ++n) {
    const double part = static_cast<double>(n) / static_cast<double>(samples_.size());
    phase += 2 * std::numbers::pi * (low_hz + (high_hz - low_hz) * part) / kRate;
    samples_[n] =
        static_cast<std::byte>(alaw_encode(static_cast<std::int16_t>(12000 * std::sin(phase))));
  }
}

}  // namespace rtpool::bench
