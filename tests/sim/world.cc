#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace rtpool::sim {

using pool::Errc;
using pool::PoolElement;
using pool::PoolUpdate;
using pool::StreamId;
using pool::WatcherId;

namespace {

constexpr std::uint64_t kReference = 1;  // the watcher that misses nothing
constexpr std::size_t kMaxQueued = 16;   // updates to one watcher
constexpr milliseconds kStoreDeadline(200);

Errc errc_of(const Error& error) {
  return static_cast<Errc>(error.code.value());
}

}  // namespace

// A registrar's way to its store: takes time, and may fail with the operation done or not.
class World::NetworkStore final : public pool::Store {
 public:
  NetworkStore(World& world, std::size_t host, pool::MemoryStore* shared)
      : world_(world), host_(host), memory_(shared != nullptr ? *shared : own_) {}

  void get(const std::string& key, GetDone done) override {
    memory_.get(key, [&](Result<pool::StoreEntry> entry) { answer(done, std::move(entry)); });
  }
  void compare_and_swap(pool::Swap swap, SwapDone done) override {
    if (fails() && world_.chance(2)) return answer(done, Result<pool::SwapOutcome>{});
    memory_.compare_and_swap(std::move(swap),
                             [&](Result<pool::SwapOutcome> outcome) { answer(done, outcome); });
  }

 private:
  [[nodiscard]] bool fails() const {
    return &memory_ != &own_ && (world_.now_ < world_.store_fails_until_ ||
                                 !world_.open(host_, kStore) || !world_.open(kStore, host_));
  }
  template <class Done, class Answer>
  void answer(const Done& done, Answer result) {
    if (fails()) {
      world_.at(world_.now_ + kStoreDeadline,
                [done] { done(Error(Errc::store_failed, "no answer")); });
      return;
    }
    Duration takes{};
    if (&memory_ != &own_) {
      const bool slow = world_.now_ < world_.store_slow_until_;
      takes = slow ? world_.between(20, 400) : world_.between(1, 4);
    }
    world_.at(world_.now_ + takes, [done, result = std::move(result)] { done(result); });
  }

  World& world_;
  std::size_t host_;
  pool::MemoryStore own_;
  pool::MemoryStore& memory_;
};

World::World(std::uint64_t seed, Mutation mutation, bool verbose)
    : random_(seed), mutation_(mutation), verbose_(verbose) {
  shared_store_ = chance(2);
  // Registrars with stores of their own are two at most here: the epochs of three settle by the
  // same steps.
  registrar_count_ = 2 + (shared_store_ ? random_.below(2) : 0);
  registrars_.resize(registrar_count_);
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    registrars_[i].host = next_host_++;
    boot(i);
  }
  const std::size_t relays = 4 + random_.below(4);
  for (std::size_t i = 0; i < relays; ++i) start_relay("r" + std::to_string(i), next_host_++);
  for (std::size_t i = 0; i < 3; ++i) {
    auto policy = pool::Policy::least_used_degradation;
    auto controller = std::make_unique<Controller>(registrar_count_, policy, random_());
    controller->host = next_host_++;
    hosts_[controller->host].running = true;
    if (i == 2) controller->joins = Instant(between(500, 3'000));
    hosts_[controller->host].disturbed = controller->joins;
    controllers_.push_back(std::move(controller));
  }
  mass_at_ = chance(2) ? Instant::max() : Instant(between(800, 2'200));
}

std::string World::run() {
  while (now_ < Instant(kFaultTime + kHealTime) && failure_.empty()) {
    now_ += milliseconds(1);
    while (!events_.empty() && events_.top().due <= now_) {
      const auto action = events_.top().action;
      events_.pop();
      action();
    }
    pump();
    if (now_ < Instant(kFaultTime)) inject();
    if (now_ == Instant(kFaultTime)) heal();
    for (std::size_t i = 0; i < relays_.size(); ++i) step_relay(i);
    for (std::size_t i = 0; i < registrars_.size(); ++i) step_registrar(i);
    for (std::size_t i = 0; i < controllers_.size(); ++i) step_controller(i);
    check_back();
  }
  if (failure_.empty()) check_converged();
  return failure_;
}

void World::say(const std::string& text) {
  if (!verbose_) return;
  const auto ms = std::chrono::duration_cast<milliseconds>(now_.time_since_epoch()).count();
  std::printf("%6lld ms  %s\n", static_cast<long long>(ms), text.c_str());
}

void World::at(Instant due, std::function<void()> action) {
  events_.push({.due = due, .number = ++event_number_, .action = std::move(action)});
}

// A segment that is lost is sent again a little later, and what follows waits for it.
Instant World::arrival() {
  Duration delay = microseconds(200 + random_.below(4'000));
  if (chance(50)) delay += between(30, 60);
  return now_ + delay;
}

// What is on its way in a stream may hold the stream.
World::~World() {
  for (const auto& stream : streams_) {
    stream->up.queue.clear();
    stream->down.queue.clear();
  }
}

void World::send(Pipe& pipe, std::function<void()> action) {
  pipe.queue.emplace_back(arrival(), std::move(action));
}

void World::pump() {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const auto stream = streams_[i];
    pump(stream->up);
    pump(stream->down);
  }
  std::erase_if(streams_, [](const auto& stream) {
    return stream->client_left && stream->server_left && stream->up.queue.empty() &&
           stream->down.queue.empty();
  });
}

void World::pump(Pipe& pipe) {
  while (!pipe.queue.empty() && pipe.queue.front().first <= now_) {
    if (!open(pipe.from, pipe.to)) {
      pipe.queue.front().first = now_ + milliseconds(20);  // sent again until it gets through
      return;
    }
    if (hosts_[pipe.to].running && !runs(pipe.to)) return;  // waits in the socket
    const auto action = std::move(pipe.queue.front().second);
    pipe.queue.pop_front();
    action();
  }
}

std::shared_ptr<Stream> World::open_stream(std::size_t client, std::size_t registrar) {
  auto stream = std::make_shared<Stream>();
  stream->id = ++next_id_;
  stream->registrar = registrar;
  stream->boot = registrars_[registrar].boot;
  const std::size_t server = registrars_[registrar].host;
  stream->up = {.from = client, .to = server, .queue = {}};
  stream->down = {.from = server, .to = client, .queue = {}};
  streams_.push_back(stream);
  return stream;
}

// ---- registrars

void World::boot(std::size_t index) {
  RegistrarHost& registrar = registrars_[index];
  const std::uint64_t boot = registrar.boot + 1;
  const std::size_t host = registrar.host;
  registrar = RegistrarHost{};
  registrar.host = host;
  registrar.boot = boot;
  registrar.booted = now_;
  hosts_[host].running = true;
  hosts_[host].stalled_until = now_;
  stores_.push_back(
      std::make_unique<NetworkStore>(*this, host, shared_store_ ? &shared_ : nullptr));
  registrar.store = stores_.back().get();
  hosts_[host].disturbed = hosts_[host].given_up = now_;
  pool::Registrar::Options options;
  if (mutation_ == Mutation::hasty) options.missed_heartbeats = 1;
  if (mutation_ == Mutation::no_panic) options.panic_minimum = 1'000'000;
  registrar.core = std::make_unique<pool::Registrar>(options, local(host), random_());
  if (!registrar.core->watch(local(host), WatcherId{kReference}, kPool))
    fail("a watch was refused");
  flush(index);
}

void World::crash_registrar(std::size_t index) {
  RegistrarHost& registrar = registrars_[index];
  std::vector<std::uint64_t> ids;
  for (const auto& [id, session] : registrar.sessions) ids.push_back(id);
  for (const auto id : ids) close_session(index, id, Errc::stopped);
  for (auto& [id, watch] : registrar.watches) {
    watch.stream->server_left = true;
    send(watch.stream->down, [this, index, id = id, controller = watch.controller] {
      Controller& told = *controllers_[controller];
      const auto& stream = told.links[index].stream;
      if (stream && stream->id == id) drop_watch(told, index);
    });
  }
  registrar.watches.clear();
  registrar.core.reset();
  ++registrar.boot;
  hosts_[registrar.host].running = false;
}

void World::serve_registration(std::size_t index, std::uint64_t id,
                               const pool::Registration& registration) {
  RegistrarHost& registrar = registrars_[index];
  const auto session = registrar.sessions.find(id);
  if (session == registrar.sessions.end()) return;
  if (mutation_ == Mutation::waits_to_settle && now_ - registrar.booted < milliseconds(1'000)) {
    return close_session(index, id, Errc::overloaded);
  }
  if (const auto ok = registrar.core->admit(registration); !ok) {
    return close_session(index, id, errc_of(ok.error()));
  }
  const std::uint64_t number = session->second.claim = ++next_claim_;
  session->second.on_word = false;
  claim(index, id, number, registration, false);
  if (registration.epoch == 0) return;
  at(now_ + kOnWord, [this, index, id, number, registration] {
    auto& sessions = registrars_[index].sessions;
    const auto it = sessions.find(id);
    if (it == sessions.end() || it->second.claim != number || it->second.on_word) return;
    it->second.on_word = true;
    decided(index, id, registration, registration.epoch);
  });
}

void World::claim(std::size_t index, std::uint64_t id, std::uint64_t number,
                  const pool::Registration& registration, bool again) {
  RegistrarHost& registrar = registrars_[index];
  const auto boot_ms =
      std::chrono::duration_cast<milliseconds>(registrar.booted.time_since_epoch());
  pool::EpochClaim wanted{.registration = registration,
                          .first_epoch = 1 + static_cast<std::uint64_t>(boot_ms.count()),
                          .pool_is_empty = !again && registrar.core->pool_is_empty(kPool),
                          .abandoned = registrar.sessions.at(id).abandoned};
  pool::claim_epoch(
      *registrar.store, std::move(wanted),
      [this, index, id, number, registration](Result<std::uint64_t> epoch) {
        auto& sessions = registrars_[index].sessions;
        const auto it = sessions.find(id);
        if (it == sessions.end() || it->second.claim != number) return;
        Session& session = it->second;
        if (!epoch && errc_of(epoch.error()) == Errc::store_failed && registration.epoch > 0) {
          at(now_ + kOnWord, [this, index, id, number, registration] {
            const auto waiting = registrars_[index].sessions.find(id);
            if (waiting == registrars_[index].sessions.end()) return;
            if (waiting->second.claim == number) claim(index, id, number, registration, true);
          });
          if (std::exchange(session.on_word, true)) return;
          return decided(index, id, registration, registration.epoch);
        }
        const bool confirmed = session.on_word && epoch && *epoch == registration.epoch;
        session.claim = 0;
        if (!confirmed) decided(index, id, registration, epoch);
      });
}

void World::decided(std::size_t index, std::uint64_t id, const pool::Registration& registration,
                    const Result<std::uint64_t>& epoch) {
  RegistrarHost& registrar = registrars_[index];
  const auto it = registrar.sessions.find(id);
  if (it == registrar.sessions.end()) return;
  const std::size_t host = registrar.host;
  if (!runs(host)) {
    at(hosts_[host].stalled_until,
       [this, index, id, registration, epoch] { decided(index, id, registration, epoch); });
    return;
  }
  const std::uint64_t granted = epoch ? *epoch : registration.epoch;
  const bool lax = mutation_ == Mutation::takes_any_epoch && granted > 0;
  if (!epoch && !lax) return close_session(index, id, errc_of(epoch.error()));
  flush(index);  // so that `told` is what the core knows
  if (!registrar.sessions.contains(id)) return;
  const auto known = registrar.told.find(pool::element_id(registration.name));
  const std::uint64_t in_force =
      lax && known != registrar.told.end() ? std::max(granted, known->second.epoch) : granted;
  const auto attached = registrar.core->attach(local(host), StreamId{id}, registration, in_force);
  if (!attached) return close_session(index, id, errc_of(attached.error()));
  say("registrar " + std::to_string(index) + " takes " + registration.name + " with epoch " +
      std::to_string(granted));
  check_attached(index, registration.name, granted);
  registrar.ended[registration.name] = false;
  for (Process& process : relays_) {
    if (process.incarnation == registration.incarnation) process.admitted = now_;
  }
  send(it->second.stream->down, [this, index, id, granted] {
    for (std::size_t i = 0; i < relays_.size(); ++i) {
      const auto& stream = relays_[i].links[index].stream;
      if (stream && stream->id == id) registered(i, index, granted);
    }
  });
}

void World::serve_beat(std::size_t index, std::uint64_t id, const pool::Heartbeat& beat) {
  RegistrarHost& registrar = registrars_[index];
  const auto it = registrar.sessions.find(id);
  if (it == registrar.sessions.end()) return;
  if (!registrar.core->heartbeat(local(registrar.host), StreamId{id}, beat)) {
    if (it->second.claim == 0) close_session(index, id, Errc::unknown_stream);
    return;
  }
  send(it->second.stream->down, [this, index, id] {
    for (Process& process : relays_) {
      RelayLink& link = process.links[index];
      if (link.stream && link.stream->id == id) link.heard = local(process.host);
    }
  });
}

void World::session_ended(std::size_t index, std::uint64_t id) {
  RegistrarHost& registrar = registrars_[index];
  const auto it = registrar.sessions.find(id);
  if (it == registrar.sessions.end()) return;
  it->second.stream->server_left = true;
  *it->second.abandoned = true;
  registrar.sessions.erase(it);
  if (registrar.core) registrar.core->stream_ended(local(registrar.host), StreamId{id});
}

// By the registrar.
void World::close_session(std::size_t index, std::uint64_t id, Errc reason) {
  const auto it = registrars_[index].sessions.find(id);
  if (it == registrars_[index].sessions.end()) return;
  const auto stream = it->second.stream;
  session_ended(index, id);
  send(stream->down, [this, index, id, reason] {
    for (std::size_t i = 0; i < relays_.size(); ++i) {
      const auto& current = relays_[i].links[index].stream;
      if (current && current->id == id) refused(i, index, reason);
    }
  });
}

void World::serve_watch(std::size_t index, std::uint64_t id, std::size_t controller) {
  RegistrarHost& registrar = registrars_[index];
  if (!registrar.watches.contains(id)) return;
  if (!registrar.core->watch(local(registrar.host), WatcherId{id}, kPool)) {
    fail("a watch of controller " + std::to_string(controller) + " was refused");
  }
}

void World::step_registrar(std::size_t index) {
  RegistrarHost& registrar = registrars_[index];
  if (!registrar.core || !runs(registrar.host)) return;
  const bool due = now_.time_since_epoch() % milliseconds(5) == Duration::zero();
  if (due && mutation_ != Mutation::never_ticks) registrar.core->tick(local(registrar.host));
  for (auto& [id, watch] : registrar.watches) {
    if (!watch.lagging || !watch.stream->down.queue.empty()) continue;
    watch.lagging = false;
    registrar.core->resync(local(registrar.host), WatcherId{id});
  }
  flush(index);
}

void World::flush(std::size_t index) {
  RegistrarHost& registrar = registrars_[index];
  const auto out = registrar.core->take_outbox();
  std::size_t all = registrar.told.size() + registrar.silent_deaths.size();
  for (const auto& notice : out.notices) {
    using What = pool::Registrar::Notice::What;
    if (notice.what == What::stream_ended) registrar.ended[notice.element] = true;
    if (notice.what == What::dead) check_removal(index, notice.element, all);
    if (notice.what == What::panic_began) say("registrar " + std::to_string(index) + " panics");
    if (notice.what == What::panic_ended) {
      say("registrar " + std::to_string(index) + " is calm again");
    }
    if (notice.what != What::joined) continue;
    if (!registrar.told.contains(pool::element_id(notice.element))) ++all;
    all -= std::erase_if(registrar.silent_deaths,
                         [&](const auto& death) { return death.second == notice.element; });
  }
  for (const auto& order : out.drain_orders) {
    const auto session = registrar.sessions.find(order.stream.value);
    if (session == registrar.sessions.end()) continue;
    send(session->second.stream->down, [this, index, id = order.stream.value, order] {
      for (Process& process : relays_) {
        const auto& stream = process.links[index].stream;
        if (stream && stream->id == id) process.drained = order.drained;
      }
    });
  }
  for (const auto& message : out.updates) {
    if (message.watcher.value != kReference) {
      const auto it = registrar.watches.find(message.watcher.value);
      if (it != registrar.watches.end()) send_update(index, it->second, message.update);
      continue;
    }
    const PoolUpdate& update = *message.update;
    if (update.snapshot) registrar.told.clear();
    for (const PoolElement& element : update.changed) registrar.told[element.id] = element;
    for (const auto id : update.removed) registrar.told.erase(id);
    registrar.digests[update.sequence] = digest(registrar.told, false);
    if (registrar.told.empty()) registrar.silent_deaths.clear();  // the pool ceased
  }
  for (const auto& closed : out.closed) close_session(index, closed.stream.value, closed.reason);
}

void World::send_update(std::size_t index, Watch& watch,
                        const std::shared_ptr<const PoolUpdate>& update) {
  if (watch.stream->down.queue.size() >= kMaxQueued) watch.lagging = true;
  if (watch.lagging) return;
  send(watch.stream->down, [this, index, id = watch.stream->id, to = watch.controller, update] {
    const auto& stream = controllers_[to]->links[index].stream;
    if (stream && stream->id == id) receive(to, index, *update);
  });
}

}  // namespace rtpool::sim
