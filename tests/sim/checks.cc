// What must hold in every history. Each check has the name that it fails with.
#include <algorithm>
#include <functional>

#include "tests/sim/world.h"

namespace rtpool::sim {
namespace {

// Fence, tick, and twice a segment that had to be sent again.
constexpr milliseconds kCrashBound(160);
// Three heartbeats and a half, tick, and twice a segment that had to be sent again.
constexpr milliseconds kHangBound(350);
// Patience with a dead stream, the pauses before and after a refusal, and a claim on the store.
constexpr milliseconds kLiveBound(2'000);
constexpr milliseconds kMissingBound(300);
// A store is slow, or fails, for a second at most.
constexpr milliseconds kSlowestClaim(1'000);
// The longest pause between attempts, and a registration on a bad way.
constexpr milliseconds kBackBound(400);
constexpr milliseconds kSettled(1'200);
// Since when all must have been well with a relay for its removal to be wrong.
constexpr milliseconds kWellFor(1'500);

}  // namespace

void World::fail(const std::string& what) {
  if (failure_.empty()) failure_ = what;
}

Instant World::ways_good_since(std::size_t a, std::size_t b) const {
  return std::max(disturbed_[a][b], disturbed_[b][a]);
}

// In the future while it is not.
Instant World::good_since(std::size_t a, std::size_t b) const {
  if (!hosts_[a].running || !hosts_[b].running) return Instant::max();
  return std::max({hosts_[a].disturbed, hosts_[b].disturbed, ways_good_since(a, b)});
}

bool World::store_good_for(std::size_t registrar, Duration time) const {
  const Instant since = std::max({store_slow_until_, store_fails_until_,
                                  ways_good_since(registrars_[registrar].host, kStore)});
  return !shared_store_ || since + time < now_;
}

const Process* World::newest(const std::string& name) const {
  const Process* found = nullptr;
  for (const Process& process : relays_) {
    if (process.name == name && (found == nullptr || process.number > found->number)) {
      found = &process;
    }
  }
  return found;
}

bool World::hangs_or_ended(const Process& process) const {
  return process.crashed || !runs(process.host);
}

// dead-not-chosen: no controller that is well informed chooses a relay that has ended or hung for
// longer than the bound, unless as a suspect, when nothing else is left.
void World::check_dead(Controller& controller) {
  bool informed = false;
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    if (!controller.view.in_contact(i)) continue;
    const RegistrarHost& registrar = registrars_[i];
    // A registrar that does not work, or that can't be heard, vouches for all it knew.
    const Instant good = good_since(registrar.host, controller.host);
    if (good == Instant::max() || now_ - good < kWatchPatience + kHangBound) return;
    if (now_ - registrar.booted < kSettled) return;
    informed = true;
  }
  if (!informed || controller.view.panic()) return;
  const auto chosen =
      controller.selector.select(local(controller.host), {.exclude = {}, .zone = {}});
  if (!chosen || (*chosen)->suspect) return;
  const Process* process = nullptr;
  for (const Process& candidate : relays_) {
    if (candidate.name == (*chosen)->name && candidate.epoch == (*chosen)->epoch) {
      process = &candidate;
    }
  }
  if (process == nullptr || !hangs_or_ended(*process)) return;
  // Registrars with stores of their own may give its epoch, which only one of them knew of, to its
  // successor too, until that has brought the higher one.
  const Process* successor = newest(process->name);
  if (!shared_store_ && successor != process && !hangs_or_ended(*successor)) return;
  Duration bound = process->told ? kCrashBound : kHangBound;
  for (const RegistrarHost& registrar : registrars_) {
    // What it sent before may still arrive, and its end not be told.
    const Instant good = ways_good_since(process->host, registrar.host);
    if (good > process->dead_since - kInterval)
      bound = std::max<Duration>(kHangBound, good + kHangBound - process->dead_since);
  }
  // Its claim on a slow store may be granted after it has hung, and its silence counts from then.
  if (shared_store_ && process->admitted > process->dead_since) {
    bound =
        std::max(bound, std::min<Duration>(process->admitted - process->dead_since, kSlowestClaim) +
                            kHangBound);
  }
  if (now_ - process->dead_since > bound) fail("dead-not-chosen: " + process->name);
}

// live-not-lost: a relay that runs, and that a registrar and a controller can reach, can be chosen
// there after the bound, but for the moments in which that controller renews a broken watch.
void World::check_lost(Controller& controller) {
  for (const Process& process : relays_) {
    if (process.crashed || newest(process.name) != &process) continue;
    const bool reachable = [&] {
      for (std::size_t i = 0; i < registrar_count_; ++i) {
        const std::size_t registrar = registrars_[i].host;
        const Instant first = good_since(process.host, registrar);
        const Instant second = good_since(registrar, controller.host);
        if (first == Instant::max() || second == Instant::max()) continue;
        if (std::max(first, second) + kLiveBound < now_ && store_good_for(i, kLiveBound)) {
          return true;
        }
      }
      return false;
    }();
    const pool::PoolElement* element = controller.selector.find(pool::element_id(process.name));
    if (!reachable ||
        (element != nullptr && !element->suspect && element->epoch == process.epoch)) {
      controller.missing_since.erase(process.name);
      continue;
    }
    const Instant since = controller.missing_since.try_emplace(process.name, now_).first->second;
    if (now_ - since > kMissingBound) {
      fail("live-not-lost: " + process.name +
           (element == nullptr ? " is not there"
            : element->suspect ? " is suspect"
                               : " has another epoch"));
    }
  }
}

// cache-serves-without-registrars: a controller without contact chooses from what it knew.
void World::check_cache(Controller& controller) {
  if (controller.view.contacts() > 0 || !controller.filled) return;
  if (!controller.selector.select(local(controller.host), {.exclude = {}, .zone = {}})) {
    fail("cache-serves-without-registrars: nothing is left to choose");
  }
}

// burst-spreads: calls between two load reports differ by one at most between relays whose loads
// differ by less than one call.
void World::check_burst(const Controller& controller) {
  pool::Selector selector(mutation_ == Mutation::ignores_hand_outs ? pool::Policy::least_used
                                                                   : controller.view.policy(),
                          1);
  std::map<std::string, int> calls;
  for (const auto& [id, element] : controller.view.elements()) {
    selector.put(element);
    if (!element.suspect && !element.damped && !element.drained) calls[element.name] = 0;
  }
  if (calls.size() < 2) return;
  for (int i = 0; i < 100; ++i) {
    const auto chosen = selector.select(local(controller.host), {.exclude = {}, .zone = {}});
    if (chosen) ++calls[(*chosen)->name];
  }
  int least = 100;
  int most = 0;
  for (const auto& [name, count] : calls) {
    least = std::min(least, count);
    most = std::max(most, count);
  }
  if (most - least > 1) {
    fail("burst-spreads: " + std::to_string(least) + " to " + std::to_string(most) + " calls");
  }
}

// stale-epoch-refused: what a registrar carries is never replaced by an older process ...
void World::check_attached(std::size_t registrar, const std::string& name, std::uint64_t epoch) {
  const auto known = registrars_[registrar].told.find(pool::element_id(name));
  if (known != registrars_[registrar].told.end() && known->second.epoch > epoch) {
    fail("stale-epoch-refused: " + name + " came with epoch " + std::to_string(epoch) + " after " +
         std::to_string(known->second.epoch));
  }
}

// ... and of two processes of a name the later one has the higher epoch, where there is one store.
void World::check_granted(const Process& process) {
  if (!shared_store_) return;
  for (const Process& other : relays_) {
    if (other.name != process.name || other.epoch == 0 || &other == &process) continue;
    if ((other.number > process.number) != (other.epoch > process.epoch)) {
      fail("stale-epoch-refused: the processes of " + process.name + " hold epochs " +
           std::to_string(process.epoch) + " and " + std::to_string(other.epoch));
    }
  }
}

// live-not-removed: under one lost heartbeat, a stall of 50 ms, a clock step or a pause of the
// registrar that relays sit out, no registrar drops a relay that runs and whose stream is up.
// mass-failure-keeps-pool: no registrar drops more than half of the pool within a second of its
// clock for silence alone.
void World::check_removal(std::size_t index, const std::string& name, std::size_t& all) {
  RegistrarHost& registrar = registrars_[index];
  say("registrar " + std::to_string(index) + " removes " + name);
  const auto element = registrar.told.find(pool::element_id(name));
  for (const Process& process : relays_) {
    if (process.name != name || process.crashed || !runs(process.host)) continue;
    if (element == registrar.told.end() || element->second.epoch != process.epoch) continue;
    const RelayLink& link = process.links[index];
    const Instant good = std::max({hosts_[process.host].disturbed, hosts_[registrar.host].given_up,
                                   ways_good_since(process.host, registrar.host)});
    if (link.stream == nullptr || link.granted == 0 || newest(name) != &process) continue;
    if (now_ - good > kWellFor && now_ - link.granted_at > kWellFor) {
      fail("live-not-removed: " + name + " by registrar " + std::to_string(index));
    }
  }
  if (registrar.ended[name]) return;
  auto& deaths = registrar.silent_deaths;
  const Instant clock = local(registrar.host);
  while (!deaths.empty() && clock - deaths.front().first > std::chrono::seconds(1)) {
    deaths.pop_front();
    --all;
  }
  deaths.emplace_back(clock, name);
  if (all >= 3 && deaths.size() * 2 > all) {
    fail("mass-failure-keeps-pool: " + std::to_string(deaths.size()) + " of " +
         std::to_string(all) + " removed for silence within a second");
  }
}

// watch-gap-free-or-resync: with the same sequence a controller knows what a watcher knows that has
// missed nothing.
void World::check_watch(const RegistrarHost& registrar, const WatchLink& link,
                        std::uint64_t sequence) {
  if (!registrar.core || link.stream->boot != registrar.boot) return;
  const auto known = registrar.digests.find(sequence);
  if (known == registrar.digests.end() || known->second != digest(link.told, false)) {
    fail("watch-gap-free-or-resync: at sequence " + std::to_string(sequence));
  }
}

// back-within-one-interval: after all registrars were started again every relay that was well is
// back at each, after no more than the pause between two attempts and the way there.
void World::check_back() {
  if (all_back_since_ == Instant::max() || now_ < all_back_since_ + kBackBound) return;
  const Instant back = std::exchange(all_back_since_, Instant::max());
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    const RegistrarHost& registrar = registrars_[i];
    if (registrar.booted != back || !registrar.core || !store_good_for(i, kWellFor)) continue;
    for (const Process& process : relays_) {
      if (process.crashed || newest(process.name) != &process) continue;
      const Instant good =
          std::max(hosts_[process.host].disturbed, ways_good_since(process.host, registrar.host));
      if (now_ - good < kWellFor + kBackBound) continue;
      if (registrar.told.contains(pool::element_id(process.name))) continue;
      fail("back-within-one-interval: " + process.name + " is not back at registrar " +
           std::to_string(i));
    }
  }
}

// epochs-agree: with everything healed, each registrar carries each relay under the epoch that the
// relay holds. views-converge: all registrars and all controllers know exactly the relays that run,
// with the same attributes and loads. (Damping is each registrar's own judgement.)
void World::check_converged() {
  std::vector<std::string> live;
  for (const Process& process : relays_) {
    if (!process.crashed && newest(process.name) == &process) live.push_back(process.name);
  }
  std::sort(live.begin(), live.end());
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < registrar_count_; ++i) {
    Elements elements;
    for (const auto& pool : registrars_[i].core->list(now_, kPool)) {
      for (const auto& listed : pool.elements) elements[listed.element.id] = listed.element;
    }
    std::vector<std::string> names;
    for (const auto& [id, element] : elements) {
      names.push_back(element.name);
      if (element.epoch != newest(element.name)->epoch) {
        return fail("epochs-agree: registrar " + std::to_string(i) + " carries " + element.name +
                    " under " + std::to_string(element.epoch) + ", which holds " +
                    std::to_string(newest(element.name)->epoch));
      }
    }
    std::sort(names.begin(), names.end());
    if (names != live) {
      std::string text;
      for (const auto& name : names) text += " " + name;
      return fail("views-converge: registrar " + std::to_string(i) + " knows only" + text);
    }
    const std::uint64_t sum = digest(elements, true);
    if (i > 0 && sum != expected) {
      return fail("views-converge: registrar " + std::to_string(i) + " knows other attributes");
    }
    expected = sum;
  }
  for (std::size_t i = 0; i < controllers_.size(); ++i) {
    if (digest(controllers_[i]->view.elements(), true) != expected) {
      return fail("views-converge: controller " + std::to_string(i) + " knows something else");
    }
  }
}

std::uint64_t World::digest(const Elements& elements, bool all) {
  std::uint64_t sum = elements.size();
  const auto add = [&](std::uint64_t value) { sum = (sum ^ value) * 0x9e3779b97f4a7c15ULL; };
  const std::hash<std::string> hash;
  for (const auto& [id, element] : elements) {
    add(id.value);
    add(hash(element.name));
    add(hash(element.endpoint));
    add(hash(element.zone));
    add(element.epoch);
    add(element.values.weight);
    add(element.values.priority);
    add(element.values.capacity);
    add(element.drained ? 1 : 2);
    add(element.suspect ? 1 : 2);
    if (all) {
      add(element.load);
      add(element.calls);
    } else {
      add(element.damped ? 1 : 2);
    }
  }
  return sum;
}

}  // namespace rtpool::sim
