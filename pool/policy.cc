#include "pool/policy.h"

#include <algorithm>

#include "relay/base/assert.h"

namespace rtpool::pool {
namespace {

// A hand-out that no load report has answered for so long is no longer in flight.
constexpr Duration kHandOutMemory = std::chrono::seconds(1);
constexpr std::uint32_t kAssumedCapacity = 1'000;
// Weighted round robin: an element is due again after this, divided by its weight. Divisible by all
// weights up to 16.
constexpr std::uint64_t kRound = 72'072'000;

std::uint64_t degradation(const PolicyValues& values) {
  if (values.load_degradation > 0) return values.load_degradation;
  return kFullLoad / (values.capacity > 0 ? values.capacity : kAssumedCapacity);
}

std::uint64_t step(const PoolElement& element) {
  return kRound / std::max<std::uint32_t>(1, element.values.weight);
}

}  // namespace

bool Selector::draws() const {
  return policy_ == Policy::random || policy_ == Policy::weighted_random ||
         policy_ == Policy::randomized_least_used || policy_ == Policy::srv;
}

// Never 0 for an element that may be chosen: those of weight 0 are among themselves.
std::uint64_t Selector::share(const Entry& entry) const {
  const PoolElement& element = entry.element;
  if (policy_ == Policy::random) return 1;
  if (policy_ == Policy::randomized_least_used) return std::uint64_t{kFullLoad} - element.load;
  return std::max<std::uint32_t>(1, element.values.weight);
}

std::uint64_t Selector::cost(const Entry& entry) const {
  const PoolElement& element = entry.element;
  switch (policy_) {
    case Policy::weighted_round_robin:
      return entry.pass;
    case Policy::priority:
      return std::numeric_limits<std::uint32_t>::max() - element.values.priority;
    case Policy::least_used:
      return element.load;
    case Policy::least_used_degradation:
      return element.load + entry.hand_outs * degradation(element.values);
    case Policy::priority_least_used:
      // Load plus what one more user would add.
      return element.load + degradation(element.values);
    default:
      return 0;  // round robin: chosen_at decides
  }
}

Selector::GroupKey Selector::key(const Entry& entry, bool doubtful) const {
  const PoolElement& element = entry.element;
  const bool spare = element.values.weight == 0;
  const bool srv = policy_ == Policy::srv;
  // Worst first: better a damped one than one that may be dead, and one of weight 0 than either.
  const std::uint32_t rank =
      (doubtful ? 4U : 0U) + (element.damped ? 2U : 0U) + (spare && !srv ? 1U : 0U);
  return {.rank = rank, .priority_class = srv ? element.values.priority : 0, .spare = spare && srv};
}

void Selector::set_view(Policy policy, std::span<const PoolElement> elements) {
  set_policy(policy);
  std::set<PoolElementId> named;
  for (const PoolElement& element : elements) named.insert(element.id);
  std::vector<PoolElementId> gone;
  for (const auto& [id, entry] : entries_) {
    if (!named.contains(id)) gone.push_back(id);
  }
  for (const PoolElementId id : gone) remove(id);
  for (const PoolElement& element : elements) put(element);
}

void Selector::set_policy(Policy policy) {
  if (policy == policy_) return;
  policy_ = policy;
  for (auto& [id, entry] : entries_) {
    entry.seats = {};
    entry.homes = {};
  }
  groups_.clear();
  for (auto& [id, entry] : entries_) place(entry);
}

void Selector::count(const PoolElement& element, std::ptrdiff_t by) {
  if (element.drained) return;
  serving_ += static_cast<std::size_t>(by);
  if (element.full()) full_ += static_cast<std::size_t>(by);
}

void Selector::enter_zone(Entry& entry) {
  entry.zone = 0;
  if (entry.element.zone.empty()) return;
  Zone& zone = zones_[entry.element.zone];
  if (zone.elements++ == 0) zone.number = ++last_zone_;
  entry.zone = zone.number;
}

void Selector::leave_zone(const Entry& entry) {
  const auto zone = zones_.find(entry.element.zone);
  if (zone != zones_.end() && --zone->second.elements == 0) zones_.erase(zone);
}

void Selector::put(const PoolElement& element) {
  const auto [it, fresh] = entries_.try_emplace(element.id);
  Entry& entry = it->second;
  if (fresh) {
    entry.element = element;
    enter_zone(entry);
    count(element, 1);
    place(entry);
    return;
  }
  count(entry.element, -1);
  count(element, 1);
  if (entry.element.epoch != element.epoch) {  // another process, of which nothing is known
    forget_hand_outs(entry);
    unshun(entry);
    place(entry, true);
    entry.chosen_at = 0;
    entry.pass = 0;
  } else if (entry.element.load_sequence != element.load_sequence) {
    forget_hand_outs(entry);
  }
  if (entry.element.zone != element.zone) {
    leave_zone(entry);
    entry.element = element;
    enter_zone(entry);
  } else {
    entry.element = element;
  }
  place(entry);
}

void Selector::remove(PoolElementId id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  forget_hand_outs(entry);
  unshun(entry);
  place(entry, true);
  count(entry.element, -1);
  leave_zone(entry);
  entries_.erase(it);
}

const PoolElement* Selector::find(PoolElementId id) const {
  const auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : &it->second.element;
}

// Seats the element where its state says, or nowhere, and renews what it is worth there.
void Selector::place(Entry& entry, bool gone) {
  const PoolElement& element = entry.element;
  const bool shunned = entry.shunned_until != Instant{};
  const bool seated = !gone && !element.drained && !element.full();
  const auto homes = std::exchange(entry.homes, {});
  for (Group* home : homes) {
    if (home != nullptr) --home->away;
  }
  for (std::size_t i = 0; i < entry.seats.size(); ++i) {
    GroupKey at = key(entry, element.suspect || shunned);
    at.zone = zone(entry, i);
    const bool here = seated && (i == 0 || entry.zone != 0);
    sit(entry, entry.seats[i], here ? &group_at(at) : nullptr);
    if (!here || !shunned || element.suspect) continue;
    at = key(entry, false);
    at.zone = zone(entry, i);
    entry.homes[i] = &group_at(at);
    ++entry.homes[i]->away;
    make_room(*entry.homes[i]);
  }
  refresh(entry);
  for (const Group* home : homes) {
    if (home != nullptr) drop_if_empty(*home);
  }
}

void Selector::sit(Entry& entry, Seat& seat, Group* group) {
  if (seat.group == group) return;
  if (seat.group != nullptr) {
    auto& members = seat.group->members;
    Entry* last = members.back();
    members[seat.index] = last;
    for (Seat& moved : last->seats) {
      if (moved.group == seat.group) moved.index = seat.index;
    }
    members.pop_back();
    for (const Seat& moved : last->seats) {
      if (moved.group == seat.group && last != &entry) refresh(*last, moved);
    }
    make_room(*seat.group);
    drop_if_empty(*seat.group);
  }
  seat = {};
  if (group == nullptr) return;
  // One that was away is due as if it had come only now.
  entry.pass = std::max(entry.pass, pass_ + step(entry.element) / 2);
  group->members.push_back(&entry);
  make_room(*group);
  seat = {.group = group, .index = group->members.size() - 1};
}

void Selector::make_room(Group& group) const {
  const std::size_t places = group.members.size() + group.away;
  if (group.members.capacity() < places) group.members.reserve(2 * places);
  draws() ? group.shares.resize(places) : group.turns.resize(places);
  for (std::size_t i = group.members.size(); i < places; ++i) {
    draws() ? group.shares.set(i, {}) : group.turns.set(i, {});
  }
}

Selector::Group& Selector::group_at(const GroupKey& key) {
  Group& group = groups_[key];
  group.key = key;
  return group;
}

void Selector::drop_if_empty(const Group& group) {
  if (group.members.empty() && group.away == 0) groups_.erase(GroupKey(group.key));
}

void Selector::refresh(Entry& entry) {
  for (const Seat& seat : entry.seats) {
    if (seat.group != nullptr) refresh(entry, seat);
  }
}

void Selector::refresh(Entry& entry, const Seat& seat) const {
  if (draws()) {
    seat.group->shares.set(seat.index, entry.hidden ? 0 : share(entry));
  } else if (entry.hidden) {
    seat.group->turns.set(seat.index, {});
  } else {
    seat.group->turns.set(seat.index, {.cost = cost(entry),
                                       .chosen_at = entry.chosen_at,
                                       .id = entry.element.id,
                                       .entry = &entry});
  }
}

void Selector::forget_hand_outs(Entry& entry) {
  if (entry.hand_outs == 0) return;
  entry.hand_outs = 0;
  (entry.earlier != nullptr ? entry.earlier->later : earliest_hand_out_) = entry.later;
  (entry.later != nullptr ? entry.later->earlier : latest_hand_out_) = entry.earlier;
  entry.earlier = entry.later = nullptr;
}

void Selector::shun(PoolElementId id, Instant until) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  unshun(it->second);
  it->second.shunned_until = until;
  shunned_.emplace(until, id);
  place(it->second);
}

void Selector::unshun(Entry& entry) {
  if (entry.shunned_until == Instant{}) return;
  shunned_.erase({entry.shunned_until, entry.element.id});
  entry.shunned_until = {};
}

void Selector::expire(Instant now) {
  while (earliest_hand_out_ != nullptr &&
         now - earliest_hand_out_->first_hand_out > kHandOutMemory) {
    Entry& entry = *earliest_hand_out_;
    forget_hand_outs(entry);
    refresh(entry);
  }
  while (!shunned_.empty() && shunned_.begin()->first <= now) {
    Entry& entry = entries_.at(shunned_.begin()->second);
    unshun(entry);
    place(entry);
  }
}

void Selector::hide(std::span<const PoolElementId> ids, bool hidden) {
  for (const PoolElementId id : ids) {
    const auto it = entries_.find(id);
    if (it == entries_.end() || it->second.hidden == hidden) continue;
    it->second.hidden = hidden;
    refresh(it->second);
  }
}

Selector::Entry* Selector::choose(std::string_view zone) {
  const auto own = zone.empty() ? zones_.end() : zones_.find(zone);
  for (auto it = groups_.begin(); it != groups_.end();) {
    const std::uint32_t rank = it->first.rank;
    if (own != zones_.end()) {
      const std::uint32_t number = own->second.number;
      for (auto at = groups_.lower_bound({.rank = rank, .zone = number});
           at != groups_.end() && at->first.rank == rank && at->first.zone == number; ++at) {
        if (Entry* entry = choose(at->second)) return entry;
      }
    }
    for (; it != groups_.end() && it->first.rank == rank && it->first.zone == 0; ++it) {
      if (Entry* entry = choose(it->second)) return entry;
    }
    it = groups_.lower_bound({.rank = rank + 1});
  }
  return nullptr;
}

Selector::Entry* Selector::choose(const Group& group) {
  if (!draws()) return group.turns.all().entry;
  const std::uint64_t total = group.shares.all();
  return total == 0 ? nullptr : group.members[group.shares.place(random_() % total)];
}

// The part of being chosen that moves a rotation on.
void Selector::take_turn(Entry& entry) {
  entry.chosen_at = ++choices_;
  if (policy_ == Policy::weighted_round_robin) {
    pass_ = std::max(pass_, entry.pass);
    entry.pass += step(entry.element);
  }
}

Errc Selector::why_none() const {
  return serving_ > 0 && full_ == serving_ ? Errc::all_full : Errc::none_available;
}

Result<const PoolElement*> Selector::select(Instant now, const SelectRequest& request) {
  expire(now);
  hide(request.exclude, true);
  Entry* chosen = choose(request.zone);
  hide(request.exclude, false);
  if (chosen == nullptr) return Error(why_none());
  take_turn(*chosen);
  if (chosen->hand_outs++ == 0) {
    chosen->first_hand_out = now;
    chosen->earlier = latest_hand_out_;
    (latest_hand_out_ != nullptr ? latest_hand_out_->later : earliest_hand_out_) = chosen;
    latest_hand_out_ = chosen;
  }
  refresh(*chosen);
  return &chosen->element;
}

std::vector<PoolElement> Selector::ranking(Instant now, std::size_t limit,
                                           const SelectRequest& request) {
  expire(now);
  std::vector<PoolElementId> taken(request.exclude.begin(), request.exclude.end());
  std::vector<PoolElement> answer;
  hide(taken, true);
  while (answer.size() < limit) {
    Entry* chosen = choose(request.zone);
    if (chosen == nullptr) break;
    // Only the first is likely to be used; it alone moves on in the rotation.
    if (answer.empty()) take_turn(*chosen);
    taken.push_back(chosen->element.id);
    hide(std::span(taken).last(1), true);
    answer.push_back(chosen->element);
  }
  hide(taken, false);
  return answer;
}

}  // namespace rtpool::pool
