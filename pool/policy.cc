#include "pool/policy.h"

#include <algorithm>
#include <limits>
#include <map>

#include "relay/base/assert.h"

namespace rtpool::pool {
namespace {

// A hand-out that no load report has answered for so long is no longer in flight.
constexpr Duration kHandOutMemory = std::chrono::seconds(1);
constexpr std::uint32_t kAssumedCapacity = 1'000;

std::uint64_t degradation(const PolicyValues& values) {
  if (values.load_degradation > 0) return values.load_degradation;
  return kFullLoad / (values.capacity > 0 ? values.capacity : kAssumedCapacity);
}

bool same_zone(const PoolElement& element, std::string_view zone) {
  return zone.empty() || element.zone == zone;
}

}  // namespace

void Selector::set_view(Policy policy, std::span<const PoolElement> elements) {
  policy_ = policy;
  std::vector<Entry> old;
  old.swap(entries_);
  std::map<PoolElementId, Entry*> known;
  for (Entry& entry : old) known.emplace(entry.element.id, &entry);
  for (const PoolElement& element : elements) {
    if (const auto it = known.find(element.id); it != known.end()) {
      const auto at = std::lower_bound(
          entries_.begin(), entries_.end(), element.id,
          [](const Entry& entry, PoolElementId id) { return entry.element.id < id; });
      entries_.insert(at, std::move(*it->second));
      known.erase(it);
    }
    put(element);
  }
}

void Selector::put(const PoolElement& element) {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), element.id,
                       [](const Entry& entry, PoolElementId id) { return entry.element.id < id; });
  if (at == entries_.end() || at->element.id != element.id) {
    Entry entry;
    entry.element = element;
    entries_.insert(at, std::move(entry));
    return;
  }
  if (at->element.epoch != element.epoch) {
    *at = Entry{};
  } else if (at->element.load_sequence != element.load_sequence) {
    at->hand_outs = 0;
  }
  at->element = element;
}

void Selector::remove(PoolElementId id) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.element.id == id; });
}

const PoolElement* Selector::find(PoolElementId id) const {
  const auto at = std::lower_bound(
      entries_.begin(), entries_.end(), id,
      [](const Entry& entry, PoolElementId key) { return entry.element.id < key; });
  return at != entries_.end() && at->element.id == id ? &at->element : nullptr;
}

void Selector::shun(PoolElementId id, Instant until) {
  for (Entry& entry : entries_) {
    if (entry.element.id == id) entry.shunned_until = until;
  }
}

void Selector::forget_old_hand_outs(Entry& entry, Instant now) const {
  if (entry.hand_outs > 0 && now - entry.first_hand_out > kHandOutMemory) entry.hand_outs = 0;
}

Selector::Entry* Selector::choose(Instant now, const SelectRequest& request) {
  saw_full_ = false;
  candidates_.clear();
  unsigned best = std::numeric_limits<unsigned>::max();
  for (Entry& entry : entries_) {
    const PoolElement& element = entry.element;
    if (element.drained) continue;
    if (std::find(request.exclude.begin(), request.exclude.end(), element.id) !=
        request.exclude.end()) {
      continue;
    }
    if (element.full()) {
      saw_full_ = true;
      continue;
    }
    // Worst first: better a far relay, or one of weight 0, than one that may be dead.
    const bool doubtful = element.suspect || now < entry.shunned_until;
    const unsigned rank = (doubtful ? 4U : 0U) + (element.values.weight == 0 ? 2U : 0U) +
                          (same_zone(element, request.zone) ? 0U : 1U);
    if (rank > best) continue;
    if (rank < best) candidates_.clear();
    best = rank;
    forget_old_hand_outs(entry, now);
    candidates_.push_back(&entry);
  }
  return candidates_.empty() ? nullptr : choose_by_policy();
}

Selector::Entry* Selector::choose_by_policy() {
  switch (policy_) {
    case Policy::weighted_round_robin:
      return by_smooth_weight();
    case Policy::random:
      return candidates_[random_.below(static_cast<std::uint32_t>(candidates_.size()))];
    case Policy::weighted_random:
      return by_random_weight(
          [](const Entry& entry) { return std::uint64_t{entry.element.values.weight}; });
    case Policy::priority:
      return least([](const Entry& entry) {
        return std::uint64_t{std::numeric_limits<std::uint32_t>::max()} -
               entry.element.values.priority;
      });
    case Policy::least_used:
      return least([](const Entry& entry) { return std::uint64_t{entry.element.load}; });
    case Policy::least_used_degradation:
      return least([](const Entry& entry) {
        return entry.element.load + entry.hand_outs * degradation(entry.element.values);
      });
    case Policy::priority_least_used:
      // RFC 5356 section 4.3: load plus what one more user would add.
      return least([](const Entry& entry) {
        return entry.element.load + degradation(entry.element.values);
      });
    case Policy::randomized_least_used:
      return by_random_weight(
          [](const Entry& entry) { return std::uint64_t{kFullLoad} - entry.element.load; });
    case Policy::round_robin:
      break;
  }
  return least([](const Entry&) { return std::uint64_t{0}; });
}

// The candidate of the lowest cost; among equals the one chosen longest ago, which is round robin.
Selector::Entry* Selector::least(std::uint64_t (*cost)(const Entry&)) {
  Entry* best = candidates_.front();
  std::uint64_t best_cost = cost(*best);
  for (Entry* entry : candidates_) {
    const std::uint64_t entry_cost = cost(*entry);
    if (entry_cost < best_cost || (entry_cost == best_cost && entry->chosen_at < best->chosen_at)) {
      best = entry;
      best_cost = entry_cost;
    }
  }
  return best;
}

// Smooth weighted round robin: each gains its weight, the richest is chosen and pays the sum.
Selector::Entry* Selector::by_smooth_weight() {
  Entry* best = candidates_.front();
  std::int64_t total = 0;
  for (Entry* entry : candidates_) {
    const std::int64_t weight = std::max<std::int64_t>(1, entry->element.values.weight);
    entry->smooth_weight += weight;
    total += weight;
    if (entry->smooth_weight > best->smooth_weight) best = entry;
  }
  best->smooth_weight -= total;
  return best;
}

Selector::Entry* Selector::by_random_weight(std::uint64_t (*weight)(const Entry&)) {
  std::uint64_t total = 0;
  for (const Entry* entry : candidates_) total += weight(*entry);
  if (total == 0) {  // all of weight 0: the last resort, evenly
    return candidates_[random_.below(static_cast<std::uint32_t>(candidates_.size()))];
  }
  std::uint64_t at = random_() % total;
  for (Entry* entry : candidates_) {
    const std::uint64_t share = weight(*entry);
    if (at < share) return entry;
    at -= share;
  }
  RTPOOL_ASSERT(false);
}

Result<const PoolElement*> Selector::select(Instant now, const SelectRequest& request) {
  Entry* chosen = choose(now, request);
  if (chosen == nullptr) return Error(saw_full_ ? Errc::all_full : Errc::none_available);
  chosen->chosen_at = ++choices_;
  if (chosen->hand_outs == 0) chosen->first_hand_out = now;
  ++chosen->hand_outs;
  return &chosen->element;
}

std::vector<PoolElement> Selector::ranking(Instant now, std::size_t limit,
                                           const SelectRequest& request) {
  std::vector<PoolElementId> taken(request.exclude.begin(), request.exclude.end());
  std::vector<PoolElement> answer;
  while (answer.size() < limit) {
    Entry* chosen = choose(now, {.exclude = taken, .zone = request.zone});
    if (chosen == nullptr) break;
    // Only the first is likely to be used; it alone moves on in the rotation.
    if (answer.empty()) chosen->chosen_at = ++choices_;
    taken.push_back(chosen->element.id);
    answer.push_back(chosen->element);
  }
  return answer;
}

}  // namespace rtpool::pool
