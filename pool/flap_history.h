// Flap damping: who died and came back how often. Elements are known by pool and name, so that the
// history outlives the element. Sans-IO; owned by the registrar's core.
//
// The first `free_returns` after a death are failback: the element gets calls at once. From the
// next one on it is held back at each return, for `hold_min` and then twice as long each time, up
// to `hold_max`. All is forgiven when it has been well for `quiet` since its last return and the
// end of its hold. A planned restart is no death, and must not be told. Bounded: beyond
// `max_histories` the one that changed longest ago is forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <utility>

#include "relay/base/time.h"

namespace rtpool::pool {

class FlapHistory {
 public:
  struct Options {
    std::uint32_t free_returns = 2;
    Duration hold_min = std::chrono::seconds(1);
    Duration hold_max = std::chrono::seconds(60);
    Duration quiet = std::chrono::seconds(60);
    std::size_t max_histories = 10'000;
  };

  explicit FlapHistory(const Options& options) : options_(options) {}

  // It died, or its stream ended without a word. Told again before it is back, nothing changes.
  void died(Instant now, const std::string& pool, const std::string& name);

  // It is back. Until when it is held back; in the past or now: not at all.
  Instant returned(Instant now, const std::string& pool, const std::string& name);

  [[nodiscard]] std::size_t size() const { return histories_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;
  struct History {
    std::uint32_t returns = 0;
    bool up = false;
    Instant held_until{};
    Instant well_since{};
    std::list<Key>::iterator age;
  };

  Options options_;
  std::map<Key, History> histories_;
  std::list<Key> by_age_;  // the one that changed longest ago first
};

}  // namespace rtpool::pool
