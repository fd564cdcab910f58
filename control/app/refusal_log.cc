#include "control/app/refusal_log.h"

#include <utility>

namespace rtpool::control {

std::optional<RefusalLog::Line> RefusalLog::look(Instant now, Refusal refusal,
                                                 std::uint64_t refused) {
  const bool refusing = refusal != Refusal::none;
  if (refusing == told_) return std::nullopt;
  if (last_line_ && now - *last_line_ < kInterval) return std::nullopt;
  told_ = refusing;
  last_line_ = now;
  return Line{refusal, refused - std::exchange(refused_then_, refused)};
}

}  // namespace rtpool::control
