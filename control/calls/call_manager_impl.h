// The call manager's inside, shared by its two source files: call_manager.cc (requests in order,
// reports, deletes, ends) and call_exchange.cc (offers and answers).
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/calls/call_book.h"
#include "control/calls/call_manager.h"
#include "control/calls/dialogue.h"
#include "control/ng/reply.h"
#include "control/ng/request.h"
#include "control/ng/value.h"

namespace rtpool::control {

struct CallManager::Impl {
  struct Job {
    ng::Request request;
    Instant now;
    WallTime wall;
    Reply reply;
    int attempts = 0;    // to work it, where other controllers were first
    bool local = false;  // an operator's look at what is known here
  };

  // What happens to a call now. Its record is in the book.
  struct Entry {
    bool busy = false;
    std::deque<Job> waiting;
    std::optional<Instant> delete_at;
    std::optional<Instant> relay_gone_since;
  };

  // One offer or answer on its way to a relay.
  struct Attempt {
    Job job;
    CallRecord next;
    Exchange exchange;
    std::vector<std::string> excluded;
    bool fresh = false;      // the call was not known here before
    bool some_full = false;  // of the relays asked
    // Why the last of those was, in the proxy's words. Those that report to be full are not asked.
    std::string_view limit = ng::kLoadLimit;
    bool moved = false;
  };
  using Work = std::shared_ptr<Attempt>;

  // A call that a relay may still have although it is over: its relay did not answer.
  struct Leftover {
    RelayRef relay;
    std::string call_id;
    std::optional<Instant> since;  // first seen by tick()
  };

  Impl(CallManagerOptions o, RelaySelector& s, RelayGateway& g, CallStore* store)
      : options(std::move(o)), selector(s), gateway(g), shared(store != nullptr), book(store) {}

  void log(LogLevel level, std::string_view call_id, const std::string& text) const {
    if (options.log) options.log(level, call_id, text);
  }
  // What the proxy's patience leaves of a request's time.
  [[nodiscard]] Duration left(const Job& job) const {
    const Instant now = options.clock ? options.clock() : job.now;
    return options.reply_deadline - (now - job.now);
  }
  [[nodiscard]] Duration store_time(const Job& job) const;
  [[nodiscard]] Duration relay_time(const Job& job) const;
  // Wraps what is to be done with an answer that may come when the manager is gone.
  template <class Work>
  [[nodiscard]] auto guarded(Work work) {
    return [work = std::move(work), alive = std::weak_ptr(life)](const auto& result) mutable {
      if (!alive.expired()) work(result);
    };
  }

  // call_manager.cc
  void run(const std::string& call_id);
  void refresh_and_serve(Job job);
  void serve(Job job);
  void finished(const std::string& call_id);
  void conclude(const std::string& call_id, const Reply& reply, ng::Value value);
  void report(Job job);
  void remove(Job job);
  void remove_branch(Job job, CallRecord next);
  void end_call(Job job);
  void check_lost(const std::string& call_id);
  void leave_behind(const RelayRef& relay, const std::string& call_id);
  void clear_leftovers(Instant now);
  [[nodiscard]] ng::Value list(const ng::Request& request) const;
  [[nodiscard]] ng::Value statistics(Instant now) const;

  // call_exchange.cc
  void exchange(Job job);
  void refuse(const Job& job, const Error& error);
  void attempt(const Work& work);
  void relay_answered(const Work& work, const Result<media::CallState>& state);
  void relay_failed(const Work& work, const Error& error);
  void no_relay(const Work& work, bool full);
  void kept(const Work& work, Kept how, const std::string& description);
  void again(Job job);

  CallManagerOptions options;
  RelaySelector& selector;
  RelayGateway& gateway;
  bool shared;  // with other controllers, by a store
  CallBook book;
  std::unordered_map<std::string, Entry> calls;
  std::deque<Leftover> leftovers;  // at most kMaxLeftovers; beyond, relays' time-outs do it
  CallManagerCounts counts;
  std::optional<Instant> refusal_told;  // the last line about a refused offer
  std::uint64_t refusals_untold = 0;    // refused since without one
  std::optional<Instant> started;
  std::uint64_t requests[ng::kCommandCount] = {};
  // Gone when the manager is: what comes back from relays later is ignored.
  std::shared_ptr<int> life = std::make_shared<int>();
};

}  // namespace rtpool::control
