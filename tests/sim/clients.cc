// Relays and controllers: what they do with their streams to the registrars.
#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace rtpool::sim {

using pool::Errc;
using pool::PoolElement;
using pool::PoolUpdate;

Duration World::back_off(Link& link) {
  const auto base = std::chrono::duration_cast<microseconds>(link.backoff).count();
  link.backoff = std::min<Duration>(link.backoff * 2, milliseconds(200));
  return microseconds(base / 2 + random_.below(static_cast<std::uint32_t>(base / 2) + 1));
}

// ---- relays

void World::start_relay(const std::string& name, std::size_t host) {
  Process& process = relays_.emplace_back();
  process.name = name;
  process.host = host;
  process.number = ++next_process_;
  process.incarnation = random_() | 1;
  process.load = random_.below(1'000'000);
  hosts_[host] = Host{.running = true,
                      .stalled_until = now_,
                      .clock = hosts_[host].clock,
                      .disturbed = now_,
                      .given_up = now_};
  for (RelayLink& link : process.links) link.retry_at = now_ + between(0, 20);
}

// The kernel of the dead side tells the other, unless the whole host is gone.
void World::end_relay(Process& process, bool tells) {
  process.crashed = true;
  process.told = tells;
  process.dead_since = now_;
  hosts_[process.host].running = false;
  for (RelayLink& link : process.links) {
    if (!link.stream) continue;
    if (tells) {
      leave_link(process, link);
    } else {
      link.stream->client_left = true;
      link.stream->up.queue.clear();
      link.stream.reset();
    }
  }
}

void World::leave_link(Process&, RelayLink& link) {
  const auto stream = std::exchange(link.stream, nullptr);
  link.granted = 0;
  stream->client_left = true;
  send(stream->up,
       [this, index = stream->registrar, id = stream->id] { session_ended(index, id); });
}

pool::Registration World::registration(const Process& process, bool anew) const {
  pool::Registration registration;
  registration.pool = kPool;
  registration.name = process.name;
  registration.endpoint = "10.0.0." + std::to_string(process.host) + ":7410";
  registration.zone = process.host % 2 == 0 ? "even" : "";
  registration.incarnation = process.incarnation;
  registration.epoch = anew ? 0 : process.epoch;
  return registration;
}

void World::open_link(std::size_t index, std::size_t registrar) {
  Process& process = relays_[index];
  RelayLink& link = process.links[registrar];
  link.stream = open_stream(process.host, registrar);
  link.heard = local(process.host);
  link.granted = 0;
  send(link.stream->up, [this, index, registrar, stream = link.stream,
                         said = registration(process, link.claims_anew)] {
    RegistrarHost& host = registrars_[registrar];
    if (!host.core) {  // refused by the kernel
      stream->server_left = true;
      send(stream->down, [this, index, registrar, id = stream->id] {
        const auto& current = relays_[index].links[registrar].stream;
        if (current && current->id == id) refused(index, registrar, Errc::stopped);
      });
      return;
    }
    stream->boot = host.boot;
    host.sessions[stream->id] = {.stream = stream};
    serve_registration(registrar, stream->id, said);
  });
}

void World::registered(std::size_t index, std::size_t registrar, std::uint64_t epoch) {
  Process& process = relays_[index];
  RelayLink& link = process.links[registrar];
  if (link.granted == 0) {
    link.granted_at = now_;
    link.next_beat = local(process.host);
  }
  link.granted = epoch;
  link.heard = local(process.host);
  link.backoff = milliseconds(20);
  link.ever_attached = true;
  link.claims_anew = false;
  process.epoch = std::max(process.epoch, epoch);
  check_granted(process);
  if (mutation_ == Mutation::keeps_to_itself) return;
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    RelayLink& other = process.links[i];
    if (!other.stream || other.granted == 0 || other.granted >= process.epoch) continue;
    send(other.stream->up, [this, i, id = other.stream->id, said = registration(process, false)] {
      if (registrars_[i].core) serve_registration(i, id, said);
    });
  }
}

void World::refused(std::size_t index, std::size_t registrar, Errc reason) {
  Process& process = relays_[index];
  say(process.name + " loses its stream to registrar " + std::to_string(registrar) + ": " +
      std::string(name_of(reason)));
  RelayLink& link = process.links[registrar];
  link.stream->client_left = true;
  link.stream.reset();
  link.granted = 0;
  Duration wait = back_off(link);
  if (reason == Errc::stale_epoch) {
    process.displaced = process.displaced || link.ever_attached;
    if (!process.displaced && !link.claims_anew) {
      link.claims_anew = true;
    } else {
      wait = kRefusalPause;
    }
  } else if (reason != Errc::stopped) {
    wait = kRefusalPause;
  }
  link.retry_at = mutation_ == Mutation::gives_up ? Instant::max() : now_ + wait;
}

void World::step_relay(std::size_t index) {
  Process& process = relays_[index];
  if (process.crashed || !runs(process.host)) return;
  const Instant clock = local(process.host);
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    RelayLink& link = process.links[i];
    if (!link.stream) {
      if (now_ >= link.retry_at) open_link(index, i);
      continue;
    }
    if (clock - link.heard > kRelayPatience) {
      leave_link(process, link);
      link.retry_at = mutation_ == Mutation::gives_up ? Instant::max() : now_ + back_off(link);
      continue;
    }
    if (link.granted == 0 || clock < link.next_beat) continue;
    link.next_beat = clock + kInterval;
    if (now_ < Instant(kFaultTime)) process.load = random_.below(1'000'000);
    const pool::Heartbeat beat{
        .load = process.load, .calls = process.load % 100, .drained = process.drained};
    send(link.stream->up, [this, i, id = link.stream->id, beat] {
      if (registrars_[i].core) serve_beat(i, id, beat);
    });
  }
}

// ---- controllers

void World::step_controller(std::size_t index) {
  Controller& controller = *controllers_[index];
  if (now_ < controller.joins || !runs(controller.host)) return;
  const Instant clock = local(controller.host);
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    WatchLink& link = controller.links[i];
    if (link.stream) {
      if (clock - link.heard > kWatchPatience) drop_watch(controller, i);
      continue;
    }
    if (now_ < link.retry_at) continue;
    link.stream = open_stream(controller.host, i);
    link.heard = clock;
    send(link.stream->up, [this, i, index, stream = link.stream] {
      RegistrarHost& registrar = registrars_[i];
      if (registrar.core) {
        stream->boot = registrar.boot;
        registrar.watches[stream->id] = {.stream = stream, .controller = index};
        serve_watch(i, stream->id, index);
        return;
      }
      stream->server_left = true;
      send(stream->down, [this, i, index, id = stream->id] {
        Controller& told = *controllers_[index];
        if (told.links[i].stream && told.links[i].stream->id == id) drop_watch(told, i);
      });
    });
  }
  if (now_.time_since_epoch() % milliseconds(5) != Duration::zero()) return;
  check_dead(controller);
  check_lost(controller);
  check_cache(controller);
  if (chance(100)) check_burst(controller);
}

void World::receive(std::size_t index, std::size_t registrar, const PoolUpdate& update) {
  Controller& controller = *controllers_[index];
  WatchLink& link = controller.links[registrar];
  link.heard = local(controller.host);
  link.backoff = milliseconds(20);
  // Now and then one gets lost on its way through a full queue: the gap must heal.
  if (!update.snapshot && !update.keepalive && chance(100)) return;
  PoolUpdate taken = update;
  if (mutation_ == Mutation::loads_lost && !update.snapshot) {
    std::erase_if(taken.changed, [&](const PoolElement& element) {
      const auto known = link.told.find(element.id);
      return known != link.told.end() && known->second.epoch == element.epoch &&
             known->second.suspect == element.suspect;
    });
  }
  if (mutation_ == Mutation::never_resyncs && !update.snapshot) {
    taken.sequence = link.sequence + (update.keepalive ? 0 : 1);
  }
  pool::PoolView::Changes changes;
  if (!controller.view.apply(registrar, taken, changes)) {
    drop_watch(controller, registrar);
    return;
  }
  link.sequence = taken.sequence;
  if (update.snapshot) link.told.clear();
  for (const PoolElement& element : update.changed) link.told[element.id] = element;
  for (const auto id : update.removed) link.told.erase(id);
  apply(controller, changes);
  check_watch(registrars_[registrar], link, update.sequence);
}

void World::drop_watch(Controller& controller, std::size_t registrar) {
  WatchLink& link = controller.links[registrar];
  const auto stream = std::exchange(link.stream, nullptr);
  stream->client_left = true;
  link.told.clear();
  link.retry_at = now_ + back_off(link);
  send(stream->up, [this, registrar, stream] {
    stream->server_left = true;
    RegistrarHost& host = registrars_[registrar];
    if (host.watches.erase(stream->id) > 0) host.core->unwatch(pool::WatcherId{stream->id});
  });
  if (controller.view.contacts() > 0) {
    controller.filled =
        std::any_of(controller.view.elements().begin(), controller.view.elements().end(),
                    [](const auto& item) { return !item.second.drained && !item.second.full(); });
  }
  pool::PoolView::Changes changes;
  controller.view.lost_contact(registrar, changes);
  apply(controller, changes);
  if (mutation_ != Mutation::forgets || controller.view.contacts() > 0) return;
  for (const auto& [id, element] : controller.view.elements()) controller.selector.remove(id);
  controller.view = pool::PoolView(registrar_count_);
}

void World::apply(Controller& controller, const pool::PoolView::Changes& changes) {
  controller.selector.set_policy(mutation_ == Mutation::ignores_hand_outs
                                     ? pool::Policy::least_used
                                     : controller.view.policy());
  for (const PoolElement& element : changes.put) controller.selector.put(element);
  for (const auto id : changes.removed) controller.selector.remove(id);
}

}  // namespace rtpool::sim
