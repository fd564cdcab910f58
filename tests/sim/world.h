// A pool in simulated time: registrars, relays and controllers as processes on hosts of their own,
// a network between any two of them, and one store for all registrars or one for each. Steps are
// milliseconds; each seed is one history. What can go wrong is in faults.cc, what must hold anyway
// in checks.cc, and mutations (mutation.h) break the pool on purpose to show that the checks see
// it.
//
// The registrar, the ledger, the view and the selector are the product's own. The streams between
// them, and what relays and controllers do with those, follow pool/pool_element_client.cc,
// pool/pool_user_client.cc, pool/registrar_service.cc and pool/admission.cc, with their times.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "pool/ledger.h"
#include "pool/memory_store.h"
#include "pool/policy.h"
#include "pool/pool_view.h"
#include "pool/registrar.h"
#include "tests/sim/mutation.h"

namespace rtpool::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kFaultTime(3'000);
constexpr milliseconds kHealTime(3'500);
constexpr milliseconds kInterval(50);
constexpr milliseconds kRelayPatience(1'000);
constexpr milliseconds kWatchPatience(350);
constexpr milliseconds kRefusalPause(500);
constexpr milliseconds kOnWord(100);  // a claim that the store leaves unanswered for so long
constexpr std::size_t kMaxRegistrars = 3;
constexpr std::size_t kMaxHosts = 20;
constexpr std::size_t kStore = kMaxHosts - 1;  // its place in the network
constexpr const char* kPool = "media";

// One direction of a stream: keeps its order, delays, and holds everything while the way is cut or
// the receiver does not run, as TCP does.
struct Pipe {
  std::size_t from = 0;
  std::size_t to = 0;
  std::deque<std::pair<Instant, std::function<void()>>> queue;
};

// Both ends of a stream know it by its number; a new one is opened for each attempt.
struct Stream {
  std::uint64_t id = 0;
  std::size_t registrar = 0;
  std::uint64_t boot = 0;  // of the registrar that has accepted it
  Pipe up, down;
  bool client_left = false;
  bool server_left = false;
};

struct Host {
  bool running = false;
  Instant stalled_until{};
  Duration clock{};     // how far its monotonic clock is ahead
  Instant disturbed{};  // when it last did not run as it should, or will have done so
  Instant given_up{};   // the same, but for stalls that end before peers close their streams
};

struct Link {  // a client's end
  std::shared_ptr<Stream> stream;
  Instant retry_at{};
  Duration backoff = milliseconds(20);
  Instant heard{};  // by the client's clock
};

struct RelayLink : Link {
  std::uint64_t granted = 0;
  Instant granted_at{};
  Instant next_beat{};
  bool ever_attached = false;
  bool claims_anew = false;
};

struct Process {  // a relay's
  std::string name;
  std::size_t host = 0;
  std::uint64_t number = 0;  // later ones of a name have higher ones
  std::uint64_t incarnation = 0;
  std::uint64_t epoch = 0;
  bool crashed = false;
  bool displaced = false;
  bool drained = false;
  std::uint32_t load = 0;
  bool told = false;     // when it ended, its kernel said so
  Instant dead_since{};  // when it ended, or began to hang
  Instant admitted{};    // when a registrar took it last
  Instant restart_at = Instant::max();
  std::array<RelayLink, kMaxRegistrars> links;
};

struct Session {  // a registrar's end of a relay's stream
  std::shared_ptr<Stream> stream;
  std::uint64_t claim = 0;  // the number of the one in flight; 0: none
  bool on_word = false;     // admitted before the store has answered
  std::shared_ptr<std::atomic<bool>> abandoned = std::make_shared<std::atomic<bool>>(false);
};

struct Watch {  // a registrar's end of a controller's stream
  std::shared_ptr<Stream> stream;
  std::size_t controller = 0;
  bool lagging = false;
};

using Elements = std::map<pool::PoolElementId, pool::PoolElement>;

struct RegistrarHost {
  std::size_t host = 0;
  std::unique_ptr<pool::Registrar> core;
  pool::Store* store = nullptr;
  std::uint64_t boot = 0;
  Instant booted{};
  std::map<std::uint64_t, Session> sessions;
  std::map<std::uint64_t, Watch> watches;
  // For the checks: what a watcher that misses nothing knows, and its digest by sequence.
  Elements told;
  std::map<std::uint64_t, std::uint64_t> digests;
  std::map<std::string, bool> ended;  // whose stream has ended
  std::deque<std::pair<Instant, std::string>> silent_deaths;
};

struct WatchLink : Link {
  Elements told;  // as this registrar told it
  std::uint64_t sequence = 0;
};

struct Controller {
  Controller(std::size_t registrars, pool::Policy policy, std::uint64_t seed)
      : view(registrars), selector(policy, seed) {}
  std::size_t host = 0;
  Instant joins{};
  bool filled = false;  // when it lost contact last, there was something to choose
  std::map<std::string, Instant> missing_since;  // live relays
  pool::PoolView view;
  pool::Selector selector;
  std::array<WatchLink, kMaxRegistrars> links;
};

class World {
 public:
  World(std::uint64_t seed, Mutation mutation, bool verbose);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Empty, or the name of the property that failed, a colon and how.
  std::string run();

 private:
  // world.cc: processes, streams, network
  struct Event {
    Instant due;
    std::uint64_t number = 0;
    std::function<void()> action;
    bool operator>(const Event& other) const {
      return due != other.due ? due > other.due : number > other.number;
    }
  };
  class NetworkStore;
  friend class NetworkStore;

  void say(const std::string& text);
  bool chance(std::uint32_t in) { return random_.below(in) == 0; }
  milliseconds between(int least, int most) {
    return milliseconds(
        least + static_cast<int>(random_.below(static_cast<std::uint32_t>(most - least + 1))));
  }
  void at(Instant due, std::function<void()> action);
  Instant arrival();
  [[nodiscard]] bool open(std::size_t from, std::size_t to) const {
    return now_ >= cut_until_[from][to];
  }
  [[nodiscard]] bool runs(std::size_t host) const {
    return hosts_[host].running && now_ >= hosts_[host].stalled_until;
  }
  [[nodiscard]] Instant local(std::size_t host) const { return now_ + hosts_[host].clock; }
  void send(Pipe& pipe, std::function<void()> action);
  void pump();
  void pump(Pipe& pipe);
  std::shared_ptr<Stream> open_stream(std::size_t client, std::size_t registrar);

  void boot(std::size_t registrar);
  void crash_registrar(std::size_t registrar);
  void serve_registration(std::size_t registrar, std::uint64_t id,
                          const pool::Registration& registration);
  void claim(std::size_t registrar, std::uint64_t id, std::uint64_t number,
             const pool::Registration& registration, bool again);
  void decided(std::size_t registrar, std::uint64_t id, const pool::Registration& registration,
               const Result<std::uint64_t>& epoch);
  void serve_beat(std::size_t registrar, std::uint64_t id, const pool::Heartbeat& beat);
  void session_ended(std::size_t registrar, std::uint64_t id);
  void close_session(std::size_t registrar, std::uint64_t id, pool::Errc reason);
  void serve_watch(std::size_t registrar, std::uint64_t id, std::size_t controller);
  void step_registrar(std::size_t registrar);
  void flush(std::size_t registrar);
  void send_update(std::size_t registrar, Watch& watch,
                   const std::shared_ptr<const pool::PoolUpdate>& update);

  void start_relay(const std::string& name, std::size_t host);
  void end_relay(Process& process, bool tells);
  void step_relay(std::size_t index);
  void open_link(std::size_t index, std::size_t registrar);
  void registered(std::size_t index, std::size_t registrar, std::uint64_t epoch);
  void refused(std::size_t index, std::size_t registrar, pool::Errc reason);
  void leave_link(Process& process, RelayLink& link);
  pool::Registration registration(const Process& process, bool anew) const;

  void step_controller(std::size_t index);
  void receive(std::size_t controller, std::size_t registrar, const pool::PoolUpdate& update);
  void drop_watch(Controller& controller, std::size_t registrar);
  void apply(Controller& controller, const pool::PoolView::Changes& changes);
  Duration back_off(Link& link);

  // faults.cc
  void inject();
  void inject_relay(std::size_t index);
  void inject_registrar(std::size_t index);
  void inject_elsewhere();
  void mass_fault();
  void heal();
  void stall(std::size_t host, Duration time);
  void cut(std::size_t from, std::size_t to, Duration time);
  void replace(std::size_t index);

  // checks.cc
  void fail(const std::string& what);
  [[nodiscard]] Instant ways_good_since(std::size_t a, std::size_t b) const;
  [[nodiscard]] Instant good_since(std::size_t a, std::size_t b) const;
  [[nodiscard]] bool store_good_for(std::size_t registrar, Duration time) const;
  [[nodiscard]] const Process* newest(const std::string& name) const;
  [[nodiscard]] bool hangs_or_ended(const Process& process) const;
  void check_dead(Controller& controller);
  void check_lost(Controller& controller);
  void check_cache(Controller& controller);
  void check_burst(const Controller& controller);
  void check_attached(std::size_t registrar, const std::string& name, std::uint64_t epoch);
  void check_granted(const Process& process);
  // `all`: members and those removed for silence within the last second.
  void check_removal(std::size_t registrar, const std::string& name, std::size_t& all);
  void check_watch(const RegistrarHost& registrar, const WatchLink& link, std::uint64_t sequence);
  void check_back();
  void check_converged();
  static std::uint64_t digest(const Elements& elements, bool all);

  Random random_;
  Mutation mutation_;
  bool verbose_;
  bool shared_store_ = false;
  std::size_t registrar_count_ = 0;
  Instant now_{};
  std::array<Host, kMaxHosts> hosts_;
  std::array<std::array<Instant, kMaxHosts>, kMaxHosts> cut_until_{};
  std::array<std::array<Instant, kMaxHosts>, kMaxHosts> disturbed_{};  // a way, last
  std::size_t next_host_ = 0;
  pool::MemoryStore shared_;
  std::deque<std::unique_ptr<pool::Store>> stores_;  // claims under way outlive a registrar
  Instant store_slow_until_{};
  Instant store_fails_until_{};
  Instant mass_at_{};
  Instant quiet_until_{};  // no new faults before it
  std::vector<RegistrarHost> registrars_;
  std::deque<Process> relays_;  // also those that ended or were displaced
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::vector<std::shared_ptr<Stream>> streams_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t event_number_ = 0;
  std::uint64_t next_id_ = 1;
  std::uint64_t next_process_ = 0;
  std::uint64_t next_claim_ = 0;
  Instant all_back_since_ = Instant::max();  // when all registrars were started again together
  std::string failure_;
};

}  // namespace rtpool::sim
