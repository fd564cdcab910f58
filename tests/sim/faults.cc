// What goes wrong in a history: crashes, hangs, stalls, clock steps, cut ways, a bad store, mass
// failures, drains, and a second process under the name of one that only hung.
#include <algorithm>

#include "tests/sim/world.h"

namespace rtpool::sim {
namespace {

// The longest stall of a registrar after which all streams are still there: its relays' patience,
// less a heartbeat and its acknowledgement on a bad way.
constexpr milliseconds kTolerated(750);

}  // namespace

void World::stall(std::size_t index, Duration time) {
  Host& host = hosts_[index];
  host.stalled_until = std::max(host.stalled_until, now_ + time);
  if (time > milliseconds(50)) host.disturbed = host.stalled_until;
  if (time > kTolerated) host.given_up = host.stalled_until;
}

void World::cut(std::size_t from, std::size_t to, Duration time) {
  cut_until_[from][to] = std::max(cut_until_[from][to], now_ + time);
  disturbed_[from][to] = cut_until_[from][to];
}

// Another process takes the name over while the first one hangs: it must not come back.
void World::replace(std::size_t index) {
  Process& old = relays_[index];
  say(old.name + " hangs and is replaced by another process");
  stall(old.host, between(500, 1'500));
  old.dead_since = now_;
  const std::size_t host = next_host_++;
  at(now_ + between(50, 300), [this, index, host] {
    Process& replaced = relays_[index];
    if (newest(replaced.name) != &replaced) return;  // it crashed and is back already
    replaced.restart_at = Instant::max();
    start_relay(replaced.name, host);
  });
}

void World::inject_relay(std::size_t index) {
  Process& process = relays_[index];
  if (process.crashed) {
    if (now_ < process.restart_at) return;
    process.restart_at = Instant::max();
    say(process.name + " starts");
    start_relay(process.name, process.host);
    return;
  }
  if (!runs(process.host) || newest(process.name) != &process) return;
  const bool attached_everywhere =
      std::all_of(process.links.begin(), process.links.begin() + registrar_count_,
                  [](const RelayLink& link) { return link.granted != 0; });
  if (chance(8'000)) {
    // A host that vanishes while its first claim is with a slow store may leave its name to a ghost
    // (docs/adr/0011): that is a known limit, and no fault here.
    const bool tells = !attached_everywhere || !chance(4);
    say(process.name + (tells ? " crashes" : "'s host loses power"));
    end_relay(process, tells);
    process.restart_at = now_ + between(20, 1'500);
  } else if (chance(8'000)) {
    const auto time = between(300, 1'500);
    say(process.name + " hangs for " + std::to_string(time.count()) + " ms");
    stall(process.host, time);
    process.dead_since = now_;
  } else if (chance(1'500)) {
    stall(process.host, between(1, 50));
    process.dead_since = now_;
  } else if (chance(10'000)) {
    say(process.name + "'s clock steps");
    hosts_[process.host].clock += between(10, 700);
  } else if (chance(10'000)) {
    if (shared_store_ && attached_everywhere && next_host_ < kStore) replace(index);
  }
}

void World::inject_registrar(std::size_t index) {
  RegistrarHost& registrar = registrars_[index];
  if (!registrar.core || !runs(registrar.host)) return;
  const std::string name = "registrar " + std::to_string(index);
  if (chance(10'000)) {
    say(name + " crashes");
    crash_registrar(index);
    at(now_ + between(100, 900), [this, index, name] {
      if (registrars_[index].core) return;
      say(name + " is back");
      boot(index);
    });
  } else if (chance(4'000)) {
    const auto time = chance(6) ? between(1'000, 1'500) : between(20, 750);
    say(name + " stalls for " + std::to_string(time.count()) + " ms");
    stall(registrar.host, time);
  } else if (chance(6'000)) {
    say(name + "'s clock steps");
    // To the registrar it is a pause: it begins to count silence anew.
    hosts_[registrar.host].clock += between(10, 5'000);
    hosts_[registrar.host].disturbed = std::max(hosts_[registrar.host].disturbed, now_);
  } else if (chance(5'000)) {
    const Process& process = relays_[random_.below(static_cast<std::uint32_t>(relays_.size()))];
    const bool drained = chance(3);
    if (registrar.core->set_drained(local(registrar.host), kPool, process.name, drained)) {
      say(name + (drained ? " drains " : " undrains ") + process.name);
    }
  }
}

void World::inject_elsewhere() {
  for (const auto& controller : controllers_) {
    if (chance(8'000)) stall(controller->host, between(20, 800));
    if (chance(8'000)) {
      hosts_[controller->host].clock += between(10, 5'000);
      hosts_[controller->host].disturbed = std::max(hosts_[controller->host].disturbed, now_);
    }
  }
  if (chance(700)) {
    const RegistrarHost& registrar =
        registrars_[random_.below(static_cast<std::uint32_t>(registrar_count_))];
    std::size_t other = random_.below(static_cast<std::uint32_t>(next_host_ + 1));
    if (other == next_host_) other = kStore;
    const auto time = between(50, 1'500);
    const auto ways = random_.below(4);
    say("the way between hosts " + std::to_string(registrar.host) + " and " +
        std::to_string(other) + " is cut for " + std::to_string(time.count()) + " ms" +
        (ways == 0   ? ", to the registrar"
         : ways == 1 ? ", from it"
                     : ""));
    if (ways != 1) cut(other, registrar.host, time);
    if (ways != 0) cut(registrar.host, other, time);
  }
  if (chance(3'000)) store_slow_until_ = now_ + between(100, 1'000);
  if (chance(3'000)) {
    say("the store fails");
    store_fails_until_ = now_ + between(100, 1'000);
  }
}

void World::mass_fault() {
  const auto kind = random_.below(3);
  if (kind == 0) {
    say("most relays hang at once");
    const auto time = between(300, 900);
    std::size_t spared = 1;
    for (Process& process : relays_) {
      if (process.crashed || !runs(process.host) || newest(process.name) != &process) continue;
      if (spared-- == 1) continue;
      stall(process.host, time);
      process.dead_since = now_;
    }
  } else if (kind == 1) {
    say("all relays crash at once");
    for (Process& process : relays_) {
      if (process.crashed) continue;
      end_relay(process, true);
      if (newest(process.name) == &process) process.restart_at = now_ + between(20, 800);
    }
  } else {
    say("all registrars crash at once");
    for (std::size_t i = 0; i < registrar_count_; ++i) {
      if (registrars_[i].core) crash_registrar(i);
    }
    const Instant back = now_ + between(200, 900);
    quiet_until_ = back + milliseconds(500);
    at(back, [this] {
      say("all registrars are back");
      for (std::size_t i = 0; i < registrar_count_; ++i) {
        if (!registrars_[i].core) boot(i);
      }
      all_back_since_ = now_;
    });
  }
}

void World::inject() {
  if (now_ < quiet_until_) return;
  if (now_ == mass_at_) return mass_fault();
  for (std::size_t i = relays_.size(); i-- > 0;) inject_relay(i);
  for (std::size_t i = 0; i < registrar_count_; ++i) inject_registrar(i);
  inject_elsewhere();
}

void World::heal() {
  say("everything heals");
  for (std::size_t from = 0; from < kMaxHosts; ++from) {
    for (std::size_t to = 0; to < kMaxHosts; ++to) {
      cut_until_[from][to] = std::min(cut_until_[from][to], now_);
      disturbed_[from][to] = std::min(disturbed_[from][to], now_);
    }
  }
  store_slow_until_ = std::min(store_slow_until_, now_);
  store_fails_until_ = std::min(store_fails_until_, now_);
  for (Host& host : hosts_) {
    host.stalled_until = std::min(host.stalled_until, now_);
    host.disturbed = std::min(host.disturbed, now_);
    host.given_up = std::min(host.given_up, now_);
  }
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    if (!registrars_[i].core) boot(i);
  }
  for (std::size_t i = relays_.size(); i-- > 0;) {
    Process& process = relays_[i];
    if (newest(process.name) != &process) continue;
    if (process.crashed) start_relay(process.name, process.host);
  }
  // One stays away for good.
  for (Process& process : relays_) {
    if (process.name != "r0" || process.crashed) continue;
    end_relay(process, true);
  }
}

}  // namespace rtpool::sim
