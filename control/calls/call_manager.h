// The controller's calls: NG requests in, replies out, relays told by whole specifications. Used by
// the control thread alone; time comes with each request. Requests of one call are worked one after
// another; those of different calls overlap while relays are asked.
//
// An offer asks the pool for a relay and the relay for ports; a relay that does not answer within
// its deadline is reported and the next one is asked, within the same offer. Every request is
// answered within `reply_deadline`. It opens no sockets, reads no clock of its own and knows no
// gRPC: relays are reached through a RelayGateway, the pool through a RelaySelector, other
// controllers through the CallStore.
//
// Any controller serves any call: what comes next in a call is worked on the record in the store,
// and put there before the proxy gets its answer. While the store can't be asked, calls that are
// known here go on and new ones begin; the store gets them when it is back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/calls/call_record.h"
#include "control/calls/call_store.h"
#include "control/calls/relay_gateway.h"
#include "control/ng/request.h"
#include "control/ng/value.h"
#include "relay/base/time.h"

namespace rtpool::control {

// The pool as the call manager sees it; pool::PoolUserClient stands behind it.
class RelaySelector {
 public:
  virtual ~RelaySelector() = default;
  // A relay for a new call, none of those in `exclude` (relay ids).
  // Errors: RelayErrc::none_left; RelayErrc::all_full when every relay of the pool is at its limit.
  virtual Result<RelayRef> select(std::span<const std::string> exclude) = 0;
  virtual void report_unreachable(const RelayRef& relay) = 0;
  // Whether the relay is still in the pool with that epoch.
  [[nodiscard]] virtual bool alive(const RelayRef& relay) const = 0;
};

enum class LogLevel : std::uint8_t { debug, info, warn, error };

struct CallManagerOptions {
  std::string pool = "media";                                // for messages only
  Duration relay_deadline = std::chrono::milliseconds(80);   // for one relay's answer
  Duration reply_deadline = std::chrono::milliseconds(230);  // for the proxy's
  Duration store_deadline = std::chrono::milliseconds(40);   // for one operation of the store
  Duration setup_timeout = std::chrono::seconds(60);         // offer never answered
  Duration media_timeout = std::chrono::seconds(60);         // no packet of any party
  Duration max_duration = std::chrono::hours(12);
  std::uint32_t max_calls = 100'000;
  std::size_t max_pending = 16;  // requests that wait for one call
  std::uint8_t tos = 0;          // of media sent, unless the request says otherwise
  // What time it is, for deadlines of requests that are in work. None: it stands still meanwhile.
  std::function<Instant()> clock;
  // Fills a buffer with random bytes fit for secrets (ICE passwords).
  std::function<void(std::span<std::byte>)> secret_bytes;
  // One line for the operator; `call_id` may be empty.
  std::function<void(LogLevel level, std::string_view call_id, std::string_view text)> log;
};

struct CallManagerCounts {
  std::uint64_t calls = 0;  // known now
  std::uint64_t created = 0, deleted = 0, timed_out = 0;
  std::uint64_t relay_failovers = 0;  // offers that needed another relay than the first
  std::uint64_t moved = 0;            // calls that a re-INVITE put on another relay
  std::uint64_t adopted = 0;          // calls of another controller that were gone on with here
  std::uint64_t overtaken = 0;        // changes done again because another controller was first
  std::uint64_t store_failures = 0;   // requests that had to do without the store
  std::uint64_t unsaved = 0;          // calls that the store has not got yet, now
  std::uint64_t refused_no_relay = 0, refused_full = 0;
};

class CallManager {
 public:
  using Reply = std::function<void(ng::Value)>;

  // All three outlive the manager; without a store this controller is alone.
  CallManager(CallManagerOptions options, RelaySelector& selector, RelayGateway& gateway,
              CallStore* store = nullptr);
  ~CallManager();

  // Answers exactly once, now or later. `wall` is Unix time.
  void handle(const ng::Request& request, Instant now, WallTime wall, Reply reply);
  // A call ended on its relay by itself. Wire to RelayGateway::set_on_ended().
  void on_relay_ended(const RelayRef& relay, const CallEnded& ended);
  // About once a second: delayed deletes, calls whose relay is gone for longer than its media
  // time-out.
  void tick(Instant now);

  [[nodiscard]] CallManagerCounts counts() const;
  // Call-ids, for the operator's list.
  [[nodiscard]] std::vector<std::string> call_ids(std::size_t limit) const;
  // In order, those that come after `after`: for lists in pages.
  [[nodiscard]] std::vector<std::string> call_ids_after(const std::string& after,
                                                        std::size_t limit) const;
  // The query reply of a call (as for NG) by callback; error value when unknown. Not counted. The
  // store is asked only for calls that are not known here.
  void describe(const std::string& call_id, Instant now, Reply reply);

 private:
  // handle() for what concerns one call; not counted as a proxy's request. `local`: for an
  // operator, who is content with what is known here.
  void take(const ng::Request& request, Instant now, WallTime wall, Reply reply, bool local);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::control
