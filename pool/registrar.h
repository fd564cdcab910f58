// The registrar's core (RFC 5352, 5353 in spirit): the handlespace as soft state, liveness, and
// watches. Sans-IO: messages and time come in by calls, messages go out through take_outbox(); it
// opens no socket, reads no clock, logs nothing and starts no thread. Owned by one thread.
//
// Liveness. An element is heard through its heartbeat stream.
//   - The stream ends: suspect at once (chosen only when nothing else is left), removed after
//   `fence`
//     unless it is back on another stream by then.
//   - Silence with the stream open for `missed_heartbeats` intervals and a half: removed. Each
//   report of
//     unreachability since the last heartbeat counts as one missed, but never alone: one must be
//     missed.
//   - More than half of a pool (of `panic_minimum` or more) silent at once, streams open: panic.
//   The silent ones stay
//     as suspects, nobody is removed for silence, and updates say so.
//   - If the registrar itself was not running (a gap between two calls), silence counts from its
//   wake-up.
//   - An element that dies again and again is damped at its return (pool/flap_history.h). Streams
//   that end within `settle_time` of a pause or start of the registrar itself blame nobody.
// A tick looks only at what is due: it costs nothing for elements that are heard.
// Epochs and policies are settled beforehand, by pool/ledger.h. Everything has a limit (Options).
// Does not choose for controllers: they do so from the view that they watch; resolve() is for
// others.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pool/errc.h"
#include "pool/flap_history.h"
#include "pool/policy.h"
#include "pool/pool_element.h"
#include "relay/base/time.h"

namespace rtpool::pool {

using StreamId = StrongId<struct StreamIdTag, std::uint64_t>;
using WatcherId = StrongId<struct WatcherIdTag, std::uint64_t>;

struct Heartbeat {
  std::uint32_t load = 0;  // of kFullLoad
  std::uint32_t calls = 0;
  bool drained = false;  // as the operator ordered, here or at another registrar
  bool leaving = false;  // it is shutting down
};

class Registrar {
 public:
  struct Options {
    Duration heartbeat_interval = std::chrono::milliseconds(50);
    std::uint32_t missed_heartbeats = 3;
    Duration fence = std::chrono::milliseconds(20);
    Duration settle_time = std::chrono::seconds(1);  // after start, views are "not settled"
    Duration load_push_interval = std::chrono::milliseconds(50);
    Duration watch_keepalive = std::chrono::milliseconds(100);
    std::size_t panic_minimum = 3;  // elements; below it "more than half" says nothing
    std::size_t max_pools = 1'024;
    std::size_t max_elements = 10'000;  // over all pools
    std::size_t max_watchers = 4'096;
    FlapHistory::Options flaps;
  };

  // What goes out.
  struct WatchMessage {
    WatcherId watcher;
    std::shared_ptr<const PoolUpdate> update;
  };
  struct DrainOrder {  // for the element to repeat in its heartbeats, to every registrar
    StreamId stream;
    bool drained = false;
  };
  struct StreamClosed {  // by the registrar
    StreamId stream;
    Errc reason = Errc::stale_epoch;
  };
  struct Notice {  // for the log
    enum class What {
      joined,
      returned,
      left,
      stream_ended,
      dead,
      panic_began,
      panic_ended,
      damped,
      undamped
    };
    What what = What::joined;
    std::string pool;
    std::string element;  // empty for panic
    Duration hold{};      // of one that is damped
  };
  struct Outbox {
    std::vector<WatchMessage> updates;
    std::vector<DrainOrder> drain_orders;
    std::vector<StreamClosed> closed;
    std::vector<Notice> notices;
  };

  struct Counts {
    std::uint64_t registrations = 0;
    std::uint64_t heartbeats = 0;
    std::uint64_t deaths = 0;
    std::uint64_t reports = 0;
    std::uint64_t damped = 0;  // returns that were
    std::size_t pools = 0;
    std::size_t elements = 0;
    std::size_t watchers = 0;
  };

  Registrar(Options options, Instant now, std::uint64_t seed);

  // Checks all of a registration that needs no store. Changes nothing.
  [[nodiscard]] Result<void> admit(const Registration& registration) const;
  [[nodiscard]] bool pool_is_empty(const std::string& pool) const { return !pools_.contains(pool); }

  // Of a pool that exists; the default otherwise.
  [[nodiscard]] Policy policy(const std::string& pool) const;

  // The registration with the epoch that was granted. A live element of a lower epoch under the
  // same name is replaced and its stream closed; a higher one refuses this (stale_epoch).
  Result<void> attach(Instant now, StreamId stream, const Registration& registration,
                      std::uint64_t epoch);
  Result<void> heartbeat(Instant now, StreamId stream, const Heartbeat& heartbeat);
  void stream_ended(Instant now, StreamId stream);
  Result<void> deregister(Instant now, const std::string& pool, const std::string& name,
                          std::uint64_t epoch);

  Result<std::vector<PoolElement>> resolve(Instant now, const std::string& pool, std::size_t limit,
                                           const SelectRequest& request);
  // The snapshot is in the outbox; a pool that does not exist yet can be watched.
  Result<void> watch(Instant now, WatcherId watcher, const std::string& pool);
  void unwatch(WatcherId watcher);
  // For a watcher that lost an update: a snapshot.
  void resync(Instant now, WatcherId watcher);

  Result<void> report_unreachable(Instant now, const std::string& pool, PoolElementId id,
                                  std::uint64_t epoch);
  Result<void> set_drained(Instant now, const std::string& pool, const std::string& name,
                           bool drained);
  // All pools, or the one named; an unknown one is an empty list.
  [[nodiscard]] std::vector<ListedPool> list(Instant now, const std::string& pool) const;

  // Call every few milliseconds: deaths, load pushes and watch keep-alives are due by time.
  void tick(Instant now);

  Outbox take_outbox();
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] Instant started_at() const { return started_at_; }

 private:
  struct Member {
    PoolElement element;
    StreamId stream;  // not valid: ended
    Instant last_heard{};
    Instant stream_ended_at{};
    Instant damped_until{};
    std::uint32_t reports = 0;
    bool operator_drained = false;
    bool leaving = false;
    std::optional<bool> ordered_drained;       // told, not yet repeated by the element
    Instant ordered_at{};                      // when it was told last
    bool load_changed = false;                 // waits for the next load push
    std::list<PoolElementId>::iterator place;  // in Pool::heard or, without a stream, Pool::ended
  };
  struct Pool {
    std::string handle;
    Policy policy = Policy::least_used_degradation;
    std::map<PoolElementId, Member> members;
    std::list<PoolElementId> heard;  // with a stream; the one heard longest ago first
    std::list<PoolElementId> ended;  // without; the one that ended first is first
    std::set<std::pair<Instant, PoolElementId>> damped;  // by the end of their hold
    std::vector<PoolElementId> loads;                    // that changed since the last push
    std::unique_ptr<Selector> selector;
    std::map<PoolElementId, Instant> silent_deaths;  // of the last second, or since the panic began
    bool panic = false;
  };
  struct Feed {  // what the watchers of one handle share
    std::uint64_t sequence = 0;
    std::vector<WatcherId> watchers;
    Instant last_sent{};
  };
  struct Attachment {
    std::string pool;
    PoolElementId id;
  };

  void wake(Instant now);
  [[nodiscard]] bool settled(Instant now) const {
    return now - started_at_ >= options_.settle_time;
  }
  [[nodiscard]] std::uint32_t missed(const Member& member, Instant now) const;
  Pool& pool_for(const Registration& registration);
  Member* find(const std::string& pool, PoolElementId id);
  Member* find_by_stream(StreamId stream, Pool** pool);
  void update_drained(Member& member) const;
  void order_drained(Instant now, Member& member);
  void died(Instant now, const Pool& pool, const Member& member);
  void damp(Instant now, Pool& pool, Member& member);
  void undamp(Instant now, Pool& pool);
  void check_pool(Instant now, Pool& pool);
  void set_panic(Instant now, Pool& pool, std::size_t silent);
  void remove(Instant now, Pool& pool, PoolElementId id, Notice::What why);
  void send_removed(Instant now, const Pool& pool, std::vector<PoolElementId> removed);
  void publish(Instant now, Pool& pool, Member& member);
  void push_loads(Instant now, Pool& pool);
  void send(Instant now, const std::string& handle, Feed& feed, PoolUpdate update);
  PoolUpdate snapshot(Instant now, const std::string& handle, const Feed& feed) const;
  void notice(Notice::What what, const std::string& pool, const std::string& element,
              Duration hold = {});

  Options options_;
  Random random_;
  Instant started_at_;
  Instant last_step_;
  Instant woke_at_;
  Instant blames_from_;  // streams that end before it do not count as deaths of their elements
  Instant last_load_push_;
  bool announced_settled_ = false;
  FlapHistory flaps_;
  std::unordered_map<std::string, Pool> pools_;
  std::unordered_map<std::string, Feed> feeds_;
  std::unordered_map<StreamId, Attachment> streams_;
  std::unordered_map<WatcherId, std::string> watchers_;
  std::size_t elements_ = 0;
  Counts counts_;
  Outbox outbox_;
};

}  // namespace rtpool::pool
