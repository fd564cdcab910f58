#include "pool/refusals.h"

#include <chrono>

namespace rtpool::pool {

void Refusals::add(const std::string& why) {
  const std::uint64_t count = ++count_;
  const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                               std::chrono::steady_clock::now().time_since_epoch())
                               .count();
  if (logged_at_s_.exchange(now) == now || !log_) return;
  log_(LogLevel::warning, "forbidden: " + why + " (" + std::to_string(count) + " so far)");
}

}  // namespace rtpool::pool
