// The account of one stream at its receiver: which of its packets came, came twice, or came after
// a later one. Numbers count from 0 and do not wrap; only those from `count_from` on are counted.
// A packet more than kWindow behind the latest is `stale`: it can't be told from a repetition.
#pragma once

#include <array>
#include <cstdint>

namespace rtpool::bench {

enum class Seen : std::uint8_t { uncounted, first_time, reordered, duplicate, stale };

class SequenceCheck {
 public:
  static constexpr std::uint32_t kWindow = 512;

  void count_from(std::uint32_t number) {
    from_ = number;
    received_ = 0;
  }
  Seen note(std::uint32_t number);
  // Different packets that came since count_from(), reordered ones included.
  [[nodiscard]] std::uint32_t received() const { return received_; }

 private:
  [[nodiscard]] std::uint64_t bit(std::uint32_t number) const {
    return std::uint64_t{1} << (number % 64);
  }
  std::uint64_t& word(std::uint32_t number) { return seen_[number % kWindow / 64]; }

  std::array<std::uint64_t, kWindow / 64> seen_{};
  std::uint32_t next_ = 0;  // one after the latest seen
  std::uint32_t from_ = 0;
  std::uint32_t received_ = 0;
};

}  // namespace rtpool::bench
