#include "pool/flap_history.h"

#include <algorithm>

namespace rtpool::pool {

void FlapHistory::died(Instant now, const std::string& pool, const std::string& name) {
  if (options_.max_histories == 0) return;
  const Key key{pool, name};
  auto it = histories_.find(key);
  if (it == histories_.end()) {
    if (histories_.size() >= options_.max_histories) {
      histories_.erase(by_age_.front());
      by_age_.pop_front();
    }
    it = histories_.try_emplace(key).first;
    it->second.age = by_age_.insert(by_age_.end(), key);
    return;
  }
  History& history = it->second;
  if (!history.up) return;
  if (now - history.well_since >= options_.quiet) history.returns = 0;
  history.up = false;
  by_age_.splice(by_age_.end(), by_age_, history.age);
}

Instant FlapHistory::returned(Instant now, const std::string& pool, const std::string& name) {
  const auto it = histories_.find({pool, name});
  if (it == histories_.end()) return now;
  History& history = it->second;
  if (history.up) return history.held_until;  // it left as planned
  history.up = true;
  history.held_until = now;
  if (++history.returns > options_.free_returns) {
    Duration hold = options_.hold_min;
    for (auto i = options_.free_returns + 1; i < history.returns && hold < options_.hold_max; ++i) {
      hold *= 2;
    }
    history.held_until = now + std::min(hold, options_.hold_max);
  }
  history.well_since = history.held_until;
  by_age_.splice(by_age_.end(), by_age_, history.age);
  return history.held_until;
}

}  // namespace rtpool::pool
