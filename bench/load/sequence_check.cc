#include "bench/load/sequence_check.h"

#include <algorithm>

namespace rtpool::bench {

Seen SequenceCheck::note(std::uint32_t number) {
  const bool late = number < next_;
  if (late) {
    if (next_ - number > kWindow) return Seen::stale;
    if ((word(number) & bit(number)) != 0) {
      return number < from_ ? Seen::uncounted : Seen::duplicate;
    }
  } else {
    // What the window leaves behind is forgotten.
    const std::uint32_t step = std::min(number - next_, kWindow);
    for (std::uint32_t i = 0; i < step; ++i) word(next_ + i) &= ~bit(next_ + i);
    next_ = number + 1;
  }
  word(number) |= bit(number);
  if (number < from_) return Seen::uncounted;
  ++received_;
  return late ? Seen::reordered : Seen::first_time;
}

}  // namespace rtpool::bench
