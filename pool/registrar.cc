#include "pool/registrar.h"

#include <algorithm>
#include <utility>

namespace rtpool::pool {
namespace {

constexpr Duration kPanicWindow = std::chrono::seconds(1);

}  // namespace

Registrar::Registrar(Options options, Instant now, std::uint64_t seed)
    : options_(options),
      random_(seed),
      started_at_(now),
      last_step_(now),
      woke_at_(now),
      blames_from_(now + options.settle_time),
      last_load_push_(now),
      flaps_(options.flaps) {}

// A process that was stopped finds everybody silent. It was not listening, so it starts counting
// anew.
void Registrar::wake(Instant now) {
  const Duration pause = now - last_step_;
  if (pause > options_.heartbeat_interval / 2) woke_at_ = now;
  // Long enough for elements to give their streams up.
  if (pause > options_.heartbeat_interval * options_.missed_heartbeats) {
    blames_from_ = now + options_.settle_time;
  }
  last_step_ = std::max(last_step_, now);
}

Result<void> Registrar::admit(const Registration& registration) const {
  if (auto ok = check_registration(registration); !ok) return ok;
  const auto pool = pools_.find(registration.pool);
  if (pool == pools_.end()) {
    if (pools_.size() >= options_.max_pools) return Error(Errc::too_many_pools);
  } else {
    if (pool->second.policy != registration.policy) {
      return Error(Errc::policy_mismatch, "pool '" + registration.pool + "' has policy " +
                                              std::string(name_of(pool->second.policy)) + ", not " +
                                              std::string(name_of(registration.policy)));
    }
    const auto member = pool->second.members.find(element_id(registration.name));
    if (member != pool->second.members.end()) {
      if (member->second.element.name != registration.name) {
        return Error(Errc::id_taken,
                     "'" + member->second.element.name + "' and '" + registration.name + "'");
      }
      return {};
    }
  }
  if (elements_ >= options_.max_elements) return Error(Errc::too_many_elements);
  return {};
}

Policy Registrar::policy(const std::string& pool) const {
  const auto it = pools_.find(pool);
  return it == pools_.end() ? Policy::least_used_degradation : it->second.policy;
}

Registrar::Pool& Registrar::pool_for(const Registration& registration) {
  Pool& pool = pools_[registration.pool];
  if (pool.selector == nullptr) {
    pool.handle = registration.pool;
    pool.policy = registration.policy;
    pool.selector = std::make_unique<Selector>(pool.policy, random_());
  }
  return pool;
}

Result<void> Registrar::attach(Instant now, StreamId stream, const Registration& registration,
                               std::uint64_t epoch) {
  wake(now);
  if (auto ok = admit(registration); !ok) return ok;
  const PoolElementId id = element_id(registration.name);
  if (const auto held = streams_.find(stream); held != streams_.end()) {
    if (held->second.pool != registration.pool || held->second.id != id) {
      return Error(Errc::already_registered);
    }
  }
  Pool& pool = pool_for(registration);
  const auto [it, fresh] = pool.members.try_emplace(id);
  Member& member = it->second;
  if (!fresh && epoch < member.element.epoch) {
    return Error(Errc::stale_epoch,
                 "epoch " + std::to_string(member.element.epoch) + " is in force");
  }
  const bool renewed = fresh || epoch > member.element.epoch;
  if (!fresh && member.stream.valid() && member.stream != stream) {
    died(now, pool, member);
    streams_.erase(member.stream);
    outbox_.closed.push_back({.stream = member.stream, .reason = Errc::stale_epoch});
  }
  if (fresh) {
    ++elements_;
    member.place = pool.heard.insert(pool.heard.end(), id);
  } else {
    auto& from = member.stream.valid() ? pool.heard : pool.ended;
    pool.heard.splice(pool.heard.end(), from, member.place);
  }
  pool.silent_deaths.erase(id);
  const bool was_suspect = member.element.suspect;
  if (renewed) {
    const auto place = member.place;
    pool.damped.erase({member.damped_until, id});
    member = Member{};
    member.place = place;
  }
  member.element.id = id;
  member.element.name = registration.name;
  member.element.endpoint = registration.endpoint;
  member.element.zone = registration.zone;
  member.element.values = registration.values;
  member.element.epoch = epoch;
  member.element.suspect = false;
  member.stream = stream;
  member.last_heard = now;
  member.reports = 0;
  streams_[stream] = {.pool = registration.pool, .id = id};
  ++counts_.registrations;
  if (member.ordered_drained) order_drained(now, member);  // may have been lost with the stream
  if (renewed || was_suspect) {
    notice(renewed ? Notice::What::joined : Notice::What::returned, pool.handle, registration.name);
  }
  damp(now, pool, member);
  publish(now, pool, member);
  return {};
}

// One that said that it leaves did not die of it.
void Registrar::died(Instant now, const Pool& pool, const Member& member) {
  if (now < blames_from_ || member.leaving) return;
  flaps_.died(now, pool.handle, member.element.name);
}

void Registrar::damp(Instant now, Pool& pool, Member& member) {
  const Instant until = flaps_.returned(now, pool.handle, member.element.name);
  pool.damped.erase({member.damped_until, member.element.id});
  if (until > now && !member.element.damped) {
    ++counts_.damped;
    notice(Notice::What::damped, pool.handle, member.element.name, until - now);
  }
  member.damped_until = until;
  member.element.damped = until > now;
  if (member.element.damped) pool.damped.emplace(until, member.element.id);
}

void Registrar::undamp(Instant now, Pool& pool) {
  while (!pool.damped.empty() && pool.damped.begin()->first <= now) {
    Member& member = pool.members.at(pool.damped.begin()->second);
    pool.damped.erase(pool.damped.begin());
    member.element.damped = false;
    notice(Notice::What::undamped, pool.handle, member.element.name);
    publish(now, pool, member);
  }
}

Registrar::Member* Registrar::find(const std::string& pool, PoolElementId id) {
  const auto it = pools_.find(pool);
  if (it == pools_.end()) return nullptr;
  const auto member = it->second.members.find(id);
  return member == it->second.members.end() ? nullptr : &member->second;
}

Registrar::Member* Registrar::find_by_stream(StreamId stream, Pool** pool) {
  const auto held = streams_.find(stream);
  if (held == streams_.end()) return nullptr;
  *pool = &pools_.at(held->second.pool);
  return &(*pool)->members.at(held->second.id);
}

void Registrar::update_drained(Member& member) const {
  member.element.drained =
      member.leaving || member.ordered_drained.value_or(member.operator_drained);
}

void Registrar::order_drained(Instant now, Member& member) {
  member.ordered_at = now;
  if (!member.stream.valid()) return;
  outbox_.drain_orders.push_back({.stream = member.stream, .drained = *member.ordered_drained});
}

Result<void> Registrar::heartbeat(Instant now, StreamId stream, const Heartbeat& heartbeat) {
  wake(now);
  Pool* pool = nullptr;
  Member* member = find_by_stream(stream, &pool);
  if (member == nullptr) return Error(Errc::unknown_stream);
  ++counts_.heartbeats;
  member->last_heard = now;
  pool->heard.splice(pool->heard.end(), pool->heard, member->place);
  member->reports = 0;
  member->operator_drained = heartbeat.drained;
  member->leaving = heartbeat.leaving;
  if (member->ordered_drained == heartbeat.drained) {
    member->ordered_drained.reset();
  } else if (member->ordered_drained &&
             now - member->ordered_at >= 2 * options_.heartbeat_interval) {
    order_drained(now, *member);  // another registrar's order came in between
  }
  PoolElement& element = member->element;
  const bool was_drained = element.drained;
  const bool was_full = element.full();
  const bool was_suspect = element.suspect;
  update_drained(*member);
  if (element.load != heartbeat.load || element.calls != heartbeat.calls) {
    element.load = heartbeat.load;
    element.calls = heartbeat.calls;
    ++element.load_sequence;
    if (!std::exchange(member->load_changed, true)) pool->loads.push_back(element.id);
  }
  element.suspect = false;
  if (was_suspect) notice(Notice::What::returned, pool->handle, element.name);
  if (element.drained != was_drained || element.full() != was_full || was_suspect) {
    publish(now, *pool, *member);
  } else if (member->load_changed) {
    pool->selector->put(element);
  }
  return {};
}

void Registrar::stream_ended(Instant now, StreamId stream) {
  wake(now);
  Pool* pool = nullptr;
  Member* member = find_by_stream(stream, &pool);
  if (member == nullptr) return;  // replaced, removed or never registered
  died(now, *pool, *member);
  streams_.erase(stream);
  pool->ended.splice(pool->ended.end(), pool->heard, member->place);
  member->stream = StreamId{};
  member->stream_ended_at = now;
  member->element.suspect = true;
  notice(Notice::What::stream_ended, pool->handle, member->element.name);
  publish(now, *pool, *member);
}

Result<void> Registrar::deregister(Instant now, const std::string& pool, const std::string& name,
                                   std::uint64_t epoch) {
  wake(now);
  Member* member = find(pool, element_id(name));
  if (member == nullptr || member->element.name != name) return Error(Errc::unknown_element, name);
  if (member->element.epoch != epoch) return Error(Errc::stale_epoch, name);
  Pool& left = pools_.at(pool);
  const PoolElementId id = member->element.id;
  remove(now, left, id, Notice::What::left);
  send_removed(now, left, {id});
  return {};
}

// The watchers are told by send_removed().
void Registrar::remove(Instant now, Pool& pool, PoolElementId id, Notice::What why) {
  const auto it = pool.members.find(id);
  Member& member = it->second;
  if (why == Notice::What::dead) {
    ++counts_.deaths;
    died(now, pool, member);
  }
  if (member.stream.valid()) {
    streams_.erase(member.stream);
    outbox_.closed.push_back({.stream = member.stream, .reason = Errc::unknown_stream});
  }
  (member.stream.valid() ? pool.heard : pool.ended).erase(member.place);
  pool.damped.erase({member.damped_until, id});
  notice(why, pool.handle, member.element.name);
  pool.members.erase(it);
  pool.selector->remove(id);
  --elements_;
}

void Registrar::send_removed(Instant now, const Pool& pool, std::vector<PoolElementId> removed) {
  const auto feed = feeds_.find(pool.handle);
  if (removed.empty() || feed == feeds_.end()) return;
  PoolUpdate update;
  update.removed = std::move(removed);
  send(now, pool.handle, feed->second, std::move(update));
}

Result<std::vector<PoolElement>> Registrar::resolve(Instant now, const std::string& pool,
                                                    std::size_t limit,
                                                    const SelectRequest& request) {
  wake(now);
  const auto it = pools_.find(pool);
  if (it == pools_.end()) return Error(Errc::unknown_pool, pool);
  auto answer = it->second.selector->ranking(now, std::clamp<std::size_t>(limit, 1, 16), request);
  if (answer.empty()) return Error(it->second.selector->why_none(), pool);
  return answer;
}

Result<void> Registrar::watch(Instant now, WatcherId watcher, const std::string& pool) {
  wake(now);
  if (auto ok = check_name("the pool's name", pool); !ok) return ok;
  if (watchers_.size() >= options_.max_watchers) return Error(Errc::too_many_watchers);
  if (!watchers_.emplace(watcher, pool).second) return Error(Errc::already_registered);
  feeds_[pool].watchers.push_back(watcher);
  resync(now, watcher);
  return {};
}

void Registrar::unwatch(WatcherId watcher) {
  const auto it = watchers_.find(watcher);
  if (it == watchers_.end()) return;
  const auto feed = feeds_.find(it->second);
  std::erase(feed->second.watchers, watcher);
  if (feed->second.watchers.empty()) feeds_.erase(feed);
  watchers_.erase(it);
}

void Registrar::resync(Instant now, WatcherId watcher) {
  wake(now);
  const auto it = watchers_.find(watcher);
  if (it == watchers_.end()) return;
  auto update =
      std::make_shared<const PoolUpdate>(snapshot(now, it->second, feeds_.at(it->second)));
  outbox_.updates.push_back({.watcher = watcher, .update = std::move(update)});
}

PoolUpdate Registrar::snapshot(Instant now, const std::string& handle, const Feed& feed) const {
  PoolUpdate update;
  update.sequence = feed.sequence;
  update.snapshot = true;
  update.settled = settled(now);
  if (const auto pool = pools_.find(handle); pool != pools_.end()) {
    update.policy = pool->second.policy;
    update.panic = pool->second.panic;
    for (const auto& [id, member] : pool->second.members) update.changed.push_back(member.element);
  }
  return update;
}

// Gives `update` its sequence and header and queues it for every watcher of the handle.
void Registrar::send(Instant now, const std::string& handle, Feed& feed, PoolUpdate update) {
  if (!update.snapshot && !update.keepalive) ++feed.sequence;
  update.sequence = feed.sequence;
  update.settled = settled(now);
  if (const auto pool = pools_.find(handle); pool != pools_.end()) {
    update.policy = pool->second.policy;
    update.panic = pool->second.panic;
  }
  feed.last_sent = now;
  const auto shared = std::make_shared<const PoolUpdate>(std::move(update));
  for (const WatcherId watcher : feed.watchers) {
    outbox_.updates.push_back({.watcher = watcher, .update = shared});
  }
}

void Registrar::publish(Instant now, Pool& pool, Member& member) {
  member.load_changed = false;
  pool.selector->put(member.element);
  const auto feed = feeds_.find(pool.handle);
  if (feed == feeds_.end()) return;
  PoolUpdate update;
  update.changed.push_back(member.element);
  send(now, pool.handle, feed->second, std::move(update));
}

Result<void> Registrar::report_unreachable(Instant now, const std::string& pool, PoolElementId id,
                                           std::uint64_t epoch) {
  wake(now);
  Member* member = find(pool, id);
  if (member == nullptr) return Error(Errc::unknown_element);
  if (epoch != 0 && member->element.epoch != epoch) return Error(Errc::stale_epoch);
  ++counts_.reports;
  ++member->reports;
  return {};
}

Result<void> Registrar::set_drained(Instant now, const std::string& pool, const std::string& name,
                                    bool drained) {
  wake(now);
  Member* member = find(pool, element_id(name));
  if (member == nullptr || member->element.name != name) return Error(Errc::unknown_element, name);
  member->ordered_drained = drained;
  update_drained(*member);
  order_drained(now, *member);
  publish(now, pools_.at(pool), *member);
  return {};
}

std::vector<ListedPool> Registrar::list(Instant now, const std::string& wanted) const {
  std::vector<ListedPool> answer;
  for (const auto& [handle, pool] : pools_) {
    if (!wanted.empty() && handle != wanted) continue;
    ListedPool& listed = answer.emplace_back();
    listed.pool = handle;
    listed.policy = pool.policy;
    listed.panic = pool.panic;
    for (const auto& [id, member] : pool.members) {
      listed.elements.push_back({.element = member.element,
                                 .last_heard_ago = now - member.last_heard,
                                 .reports = member.reports,
                                 .damped_left = std::max(Duration{}, member.damped_until - now)});
    }
  }
  std::sort(answer.begin(), answer.end(),
            [](const ListedPool& a, const ListedPool& b) { return a.pool < b.pool; });
  return answer;
}

// Whole intervals without a heartbeat; half an interval is granted for jitter.
std::uint32_t Registrar::missed(const Member& member, Instant now) const {
  const Duration silence = now - std::max(member.last_heard, woke_at_);
  const Duration grace = options_.heartbeat_interval / 2;
  if (silence <= grace) return 0;
  return static_cast<std::uint32_t>((silence - grace) / options_.heartbeat_interval);
}

void Registrar::check_pool(Instant now, Pool& pool) {
  std::vector<PoolElementId> fenced;
  std::vector<PoolElementId> silent;
  for (const PoolElementId id : pool.ended) {
    const Instant since = std::max(pool.members.at(id).stream_ended_at, woke_at_);
    if (now - since < options_.fence) break;
    fenced.push_back(id);
  }
  for (const PoolElementId id : pool.heard) {
    const Member& member = pool.members.at(id);
    const std::uint32_t missing = missed(member, now);
    if (missing == 0) break;  // those after it were heard later
    if (missing + member.reports >= options_.missed_heartbeats) silent.push_back(id);
  }
  set_panic(now, pool, silent.size());
  std::vector<PoolElementId> removed;
  for (const PoolElementId id : silent) {
    Member& member = pool.members.at(id);
    if (!pool.panic) {
      pool.silent_deaths[id] = now;
      remove(now, pool, id, Notice::What::dead);
      removed.push_back(id);
    } else if (!member.element.suspect) {
      member.element.suspect = true;
      publish(now, pool, member);
    }
  }
  for (const PoolElementId id : fenced) {
    remove(now, pool, id, Notice::What::dead);
    removed.push_back(id);
  }
  send_removed(now, pool, std::move(removed));
  undamp(now, pool);
}

// Those already removed for silence within the last second count too: a mass silence is noticed one
// by one.
void Registrar::set_panic(Instant now, Pool& pool, std::size_t silent) {
  // After a pause of ours nobody counts as silent for a while, which is no sign that they are back.
  const bool paused =
      now - woke_at_ <= options_.heartbeat_interval * (options_.missed_heartbeats + 1);
  if (pool.panic && silent == 0 && paused) return;
  if (!pool.panic || silent == 0) {
    std::erase_if(pool.silent_deaths,
                  [&](const auto& death) { return now - death.second > kPanicWindow; });
  }
  const std::size_t gone = pool.silent_deaths.size();
  const std::size_t all = pool.members.size() + gone;
  const bool panic = silent > 0 && all >= options_.panic_minimum && (silent + gone) * 2 > all;
  if (panic == pool.panic) return;
  pool.panic = panic;
  notice(panic ? Notice::What::panic_began : Notice::What::panic_ended, pool.handle, "");
}

void Registrar::push_loads(Instant now, Pool& pool) {
  PoolUpdate update;
  for (const PoolElementId id : pool.loads) {
    const auto member = pool.members.find(id);
    // Gone meanwhile, or published for another reason.
    if (member == pool.members.end() || !member->second.load_changed) continue;
    member->second.load_changed = false;
    update.changed.push_back(member->second.element);
  }
  pool.loads.clear();
  const auto feed = feeds_.find(pool.handle);
  if (feed != feeds_.end() && !update.changed.empty()) {
    send(now, pool.handle, feed->second, std::move(update));
  }
}

void Registrar::tick(Instant now) {
  wake(now);
  for (auto it = pools_.begin(); it != pools_.end();) {
    check_pool(now, it->second);
    // RFC 5351: a pool ceases with its last element, and its policy with it.
    it = it->second.members.empty() ? pools_.erase(it) : std::next(it);
  }
  if (now - last_load_push_ >= options_.load_push_interval) {
    last_load_push_ = now;
    for (auto& [handle, pool] : pools_) push_loads(now, pool);
  }
  const bool announce = settled(now) && !announced_settled_;
  announced_settled_ = announced_settled_ || announce;
  for (auto& [handle, feed] : feeds_) {
    if (announce) {
      send(now, handle, feed, snapshot(now, handle, feed));
    } else if (now - feed.last_sent >= options_.watch_keepalive) {
      PoolUpdate update;
      update.keepalive = true;
      send(now, handle, feed, std::move(update));
    }
  }
}

void Registrar::notice(Notice::What what, const std::string& pool, const std::string& element,
                       Duration hold) {
  outbox_.notices.push_back({.what = what, .pool = pool, .element = element, .hold = hold});
}

Registrar::Outbox Registrar::take_outbox() {
  return std::exchange(outbox_, {});
}

Registrar::Counts Registrar::counts() const {
  Counts counts = counts_;
  counts.pools = pools_.size();
  counts.elements = elements_;
  counts.watchers = watchers_.size();
  return counts;
}

}  // namespace rtpool::pool
