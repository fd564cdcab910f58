// How long a shard waits to gather a batch. Waking up for each packet is what costs at real load,
// so a busy shard waits a little for more; a quiet one answers at once. A saturated one finds its
// batch full and does not wait either.
//
// Sans-IO; owned by the worker. The rate is judged over 10 ms, with hysteresis so that it does not
// flap.
#pragma once

#include <algorithm>
#include <cstddef>

#include "relay/base/time.h"

namespace rtpool::io {

class BatchPacer {
 public:
  // `window`: the longest wait, 0 turns gathering off.
  explicit BatchPacer(Duration window) : window_(window) {}

  void on_batch(Instant now, std::size_t packets) {
    packets_ += packets;
    const Duration elapsed = now - since_;
    if (elapsed < kInterval) return;
    // Packets that a window would have gathered at this rate.
    const double gathered = static_cast<double>(packets_) * static_cast<double>(window_.count()) /
                            static_cast<double>(elapsed.count());
    gathering_ = gathered >= (gathering_ ? kKeep : kBegin);
    packets_ = 0;
    since_ = now;
  }

  [[nodiscard]] bool gathering() const { return gathering_; }
  // `spent`: since the last batch came, for what has arrived since waits already. A saturated shard
  // comes down to no wait, but goes on asking for many packets at once.
  [[nodiscard]] Duration gather(Duration spent) const {
    return gathering_ ? std::max(window_ - spent, kLeast) : Duration{};
  }

 private:
  static constexpr Duration kLeast = std::chrono::microseconds(1);
  static constexpr Duration kInterval = std::chrono::milliseconds(10);
  // Fewer than these per wake-up save less than the delay is worth.
  static constexpr double kBegin = 4;
  static constexpr double kKeep = 2;

  Duration window_;
  Instant since_{};
  std::size_t packets_ = 0;
  bool gathering_ = false;
};

}  // namespace rtpool::io
