#include "control/calls/call_manager.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <unordered_map>
#include <utility>

#include "control/calls/call_report.h"
#include "control/calls/dialogue.h"
#include "control/ng/reply.h"
#include "relay/base/assert.h"

namespace rtpool::control {
namespace {

using ng::Command;

constexpr std::size_t kMaxListed = 10'000;
constexpr std::size_t kDefaultListed = 32;
// Relays are asked to forget a call that they may have taken although their answer was lost.
constexpr Duration kForgetDeadline = std::chrono::seconds(2);
// A refused connection fails at once; it costs this much of the proxy's time.
constexpr Duration kFastFailure = std::chrono::milliseconds(5);

// What a relay's error means for the request.
enum class Failure : std::uint8_t {
  gone,     // the relay can't be reached, or is not what it was
  full,     // it has no room
  refused,  // it does not like what was asked
};

Failure classify(const Error& error) {
  const auto& code = error.code;
  if (code == make_error_code(EngineErrc::out_of_ports) ||
      code == make_error_code(EngineErrc::too_many_calls)) {
    return Failure::full;
  }
  for (const auto errc : {EngineErrc::unknown_call, EngineErrc::stale_revision,
                          EngineErrc::invalid_spec, EngineErrc::unknown_interface}) {
    if (code == make_error_code(errc)) return Failure::refused;
  }
  return Failure::gone;
}

std::int64_t to_seconds(WallTime wall) {
  return static_cast<std::int64_t>(wall) / 1'000'000'000;
}

bool is_report(Command command) {
  return command == Command::query || command == Command::delete_call;
}

}  // namespace

struct CallManager::Impl {
  struct Job {
    ng::Request request;
    Instant now;
    WallTime wall;
    Reply reply;
  };

  // A call, or the attempt to make one: `record` is empty until a relay has taken it.
  struct Entry {
    std::optional<CallRecord> record;
    bool busy = false;
    std::deque<Job> waiting;
    std::optional<Instant> delete_at;
    std::optional<Instant> relay_gone_since;
    Instant created{};
  };

  // One offer or answer on its way to a relay.
  struct Attempt {
    Job job;
    CallRecord next;
    Exchange exchange;
    std::vector<std::string> excluded;
    Duration left{};
    bool some_full = false;
    bool moved = false;
  };

  Impl(CallManagerOptions o, RelaySelector& s, RelayGateway& g)
      : options(std::move(o)), selector(s), gateway(g) {}

  void log(LogLevel level, std::string_view call_id, const std::string& text) const {
    if (options.log) options.log(level, call_id, text);
  }

  void run(const std::string& call_id);
  void finished(const std::string& call_id);
  void exchange(Job job, Entry& entry);
  void attempt(const std::shared_ptr<Attempt>& work);
  void relay_answered(const std::shared_ptr<Attempt>& work, const Result<media::CallState>& state);
  void relay_failed(const std::shared_ptr<Attempt>& work, const Error& error);
  void no_relay(const std::shared_ptr<Attempt>& work);
  void conclude(const std::string& call_id, const Reply& reply, ng::Value value);
  void report(Job job, Entry& entry);
  void remove(Job job, Entry& entry);
  void remove_branch(Job job, CallRecord next);
  void end_call(const std::string& call_id, const Reply& reply);
  [[nodiscard]] ng::Value list(const ng::Request& request) const;
  [[nodiscard]] ng::Value statistics(Instant now) const;

  CallManagerOptions options;
  RelaySelector& selector;
  RelayGateway& gateway;
  std::unordered_map<std::string, Entry> calls;
  CallManagerCounts counts;
  std::optional<Instant> started;
  std::uint64_t requests[ng::kCommandCount] = {};
  // Gone when the manager is: what comes back from relays later is ignored.
  std::shared_ptr<int> life = std::make_shared<int>();
};

CallManager::CallManager(CallManagerOptions options, RelaySelector& selector, RelayGateway& gateway)
    : impl_(std::make_unique<Impl>(std::move(options), selector, gateway)) {
  RTPOOL_ASSERT(impl_->options.secret_bytes);
}
CallManager::~CallManager() = default;

void CallManager::handle(const ng::Request& request, Instant now, WallTime wall, Reply reply) {
  ++impl_->requests[static_cast<std::size_t>(request.command)];
  take(request, now, wall, std::move(reply));
}

void CallManager::take(const ng::Request& request, Instant now, WallTime wall, Reply reply) {
  auto& impl = *impl_;
  if (!impl.started) impl.started = now;
  switch (request.command) {
    case Command::ping:
      return reply(ng::pong());
    case Command::list:
      return reply(impl.list(request));
    case Command::statistics:
      return reply(impl.statistics(now));
    case Command::offer:
    case Command::answer:
    case Command::delete_call:
    case Command::query:
      break;
    default:
      return reply(ng::error(std::string(ng::to_string(request.command)) +
                             " is not supported by this relay"));
  }
  const bool known = impl.calls.contains(request.call_id);
  if (!known && request.command == Command::offer && impl.calls.size() >= impl.options.max_calls) {
    ++impl.counts.refused_full;
    impl.log(LogLevel::warn, request.call_id,
             "offer refused: " + std::to_string(impl.options.max_calls) +
                 " calls, the limit of --max-calls");
    return reply(ng::load_limit(request.supports.has("load limit")));
  }
  if (!known && request.command != Command::offer) {
    if (request.command == Command::delete_call && !request.flags.has("fatal")) {
      return reply(ng::warning(ng::kTagsDidNotMatch));
    }
    return reply(ng::error(request.command == Command::delete_call ? ng::kTagsDidNotMatch
                                                                   : ng::kUnknownCall));
  }
  auto& entry = impl.calls[request.call_id];
  if (!known) entry.created = now;
  if (entry.waiting.size() >= impl.options.max_pending) {
    return reply(ng::error("Too many requests for one call at a time"));
  }
  entry.waiting.push_back({request, now, wall, std::move(reply)});
  impl.run(request.call_id);
}

// Takes the next request of a call, unless one is in work.
void CallManager::Impl::run(const std::string& call_id) {
  const auto found = calls.find(call_id);
  if (found == calls.end() || found->second.busy) return;
  auto& entry = found->second;
  if (entry.waiting.empty()) {
    if (!entry.record) calls.erase(found);
    return;
  }
  auto job = std::move(entry.waiting.front());
  entry.waiting.pop_front();
  entry.busy = true;
  if (is_report(job.request.command)) return report(std::move(job), entry);
  exchange(std::move(job), entry);
}

void CallManager::Impl::finished(const std::string& call_id) {
  if (const auto found = calls.find(call_id); found != calls.end()) found->second.busy = false;
  run(call_id);
}

void CallManager::Impl::conclude(const std::string& call_id, const Reply& reply, ng::Value value) {
  reply(std::move(value));
  finished(std::string(call_id));
}

void CallManager::Impl::exchange(Job job, Entry& entry) {
  const bool offer = job.request.command == Command::offer;
  const std::string call_id = job.request.call_id;
  if (!offer && !entry.record) return conclude(call_id, job.reply, ng::error(ng::kUnknownCall));
  auto work = std::make_shared<Attempt>();
  const auto now_s = to_seconds(job.wall);
  if (entry.record) {
    work->next = *entry.record;
  } else {
    work->next.call_id = call_id;
    work->next.created_us = static_cast<std::int64_t>(job.wall) / 1000;
    auto& spec = work->next.spec;
    spec.key = call_id;
    spec.setup_timeout = options.setup_timeout;
    spec.media_timeout = options.media_timeout;
    spec.max_duration = options.max_duration;
  }
  work->next.last_signal = now_s;
  const DialogueDefaults defaults{options.tos, options.secret_bytes};
  auto taken = offer ? take_offer(work->next, job.request, defaults, now_s)
                     : take_answer(work->next, job.request, defaults, now_s);
  if (!taken) {
    const auto& error = taken.error();
    log(LogLevel::warn, call_id,
        std::string(ng::to_string(job.request.command)) + " refused: " + error.message());
    auto reply = ng::error(error.detail);
    if (error.code == make_error_code(DialogueErrc::bad_sdp)) {
      reply = ng::error(ng::kSdpNotParsed).set("message", error.detail);
    } else if (error.code == make_error_code(DialogueErrc::unknown_call)) {
      reply = ng::error(ng::kUnknownCall);
    }
    return conclude(call_id, job.reply, std::move(reply));
  }
  work->exchange = std::move(*taken);
  ++work->next.spec.revision;
  work->left = options.reply_deadline;
  work->job = std::move(job);
  attempt(work);
}

// Asks the call's relay, or the next one of the pool.
void CallManager::Impl::attempt(const std::shared_ptr<Attempt>& work) {
  auto& next = work->next;
  const bool offer = work->job.request.command == Command::offer;
  const bool placed = !next.relay.id.empty();
  if (placed && offer && !selector.alive(next.relay)) {
    // Its relay is gone: an offer moves the call to a live one, with new ports for everybody.
    log(LogLevel::info, next.call_id, "relay " + next.relay.id + " is gone, the call moves");
    work->excluded.push_back(next.relay.id);
    work->moved = true;
    next.relay = {};
  }
  if (next.relay.id.empty()) {
    auto selected = selector.select(work->excluded);
    if (!selected || work->left <= kFastFailure) return no_relay(work);
    next.relay = *selected;
  }
  gateway.apply(next.relay, next.spec, std::min(options.relay_deadline, work->left),
                [this, work, alive = std::weak_ptr(life)](const Result<media::CallState>& state) {
                  if (!alive.expired()) relay_answered(work, state);
                });
}

void CallManager::Impl::relay_answered(const std::shared_ptr<Attempt>& work,
                                       const Result<media::CallState>& state) {
  if (!state) return relay_failed(work, state.error());
  auto& next = work->next;
  const auto& request = work->job.request;
  next.endpoints = state->streams;
  auto text = write_description(next, work->exchange);
  if (!text) {
    log(LogLevel::error, request.call_id, "SDP not written: " + text.error().message());
    return conclude(request.call_id, work->job.reply, ng::error(text.error().detail));
  }
  auto& entry = calls.at(request.call_id);
  const bool fresh = !entry.record;
  if (fresh) ++counts.created;
  if (!work->excluded.empty() && fresh) ++counts.relay_failovers;
  if (work->moved) ++counts.moved;
  entry.record = std::move(next);
  entry.delete_at.reset();
  log(fresh ? LogLevel::info : LogLevel::debug, request.call_id,
      std::string(ng::to_string(request.command)) + " on relay " + entry.record->relay.id +
          " of pool " + options.pool + ", " + std::to_string(entry.record->spec.streams.size()) +
          " streams");
  conclude(request.call_id, work->job.reply, ng::ok().set("sdp", std::move(*text)));
}

void CallManager::Impl::relay_failed(const std::shared_ptr<Attempt>& work, const Error& error) {
  auto& next = work->next;
  const auto& request = work->job.request;
  const auto failure = classify(error);
  log(LogLevel::warn, request.call_id,
      std::string(ng::to_string(request.command)) + ": relay " + next.relay.id + ": " +
          error.message());
  if (failure == Failure::refused)
    return conclude(request.call_id, work->job.reply, ng::error(error.message()));
  const bool slow = error.code == make_error_code(RelayErrc::deadline);
  if (failure == Failure::gone) {
    if (error.code != make_error_code(RelayErrc::stale_epoch))
      selector.report_unreachable(next.relay);
    // It may have taken the call and only its answer was lost.
    if (slow) gateway.remove(next.relay, next.call_id, kForgetDeadline, [](const auto&) {});
  }
  work->some_full = work->some_full || failure == Failure::full;
  work->left -= slow ? options.relay_deadline : kFastFailure;
  const bool standing = calls.at(request.call_id).record.has_value();
  if (request.command == Command::answer || (standing && failure == Failure::full)) {
    // The other party already has this relay's ports: another relay's would not help.
    return conclude(request.call_id, work->job.reply,
                    ng::error("Relay " + next.relay.id + ": " + error.message()));
  }
  work->excluded.push_back(next.relay.id);
  work->moved = standing;
  next.relay = {};
  attempt(work);
}

void CallManager::Impl::no_relay(const std::shared_ptr<Attempt>& work) {
  const auto& request = work->job.request;
  ++(work->some_full ? counts.refused_full : counts.refused_no_relay);
  log(LogLevel::error, request.call_id,
      work->some_full ? "offer refused: all relays of pool " + options.pool + " are full"
                      : "offer refused: no live relay in pool " + options.pool);
  const auto reason = work->some_full ? ng::kRanOutOfPorts : ng::kParallelSessionLimit;
  conclude(request.call_id, work->job.reply,
           ng::load_limit(request.supports.has("load limit"), reason));
}

void CallManager::Impl::report(Job job, Entry& entry) {
  const std::string call_id = job.request.call_id;
  const bool query = job.request.command == Command::query;
  // Without a from-tag the whole call is meant.
  const bool matches = entry.record && (job.request.from_tag.empty() ||
                                        entry.record->leg_by_tag(job.request.from_tag));
  if (!matches) {
    if (query) return conclude(call_id, job.reply, ng::error(ng::kUnknownCall));
    return conclude(call_id, job.reply,
                    job.request.flags.has("fatal") ? ng::error(ng::kTagsDidNotMatch)
                                                   : ng::warning(ng::kTagsDidNotMatch));
  }
  if (!query) return remove(std::move(job), entry);
  gateway.query(entry.record->relay, call_id, options.relay_deadline,
                [this, job = std::move(job),
                 alive = std::weak_ptr(life)](const Result<media::CallState>& state) {
                  if (alive.expired()) return;
                  const auto& found = calls.at(job.request.call_id);
                  conclude(job.request.call_id, job.reply,
                           call_report(*found.record, state ? &*state : nullptr));
                });
}

void CallManager::Impl::remove(Job job, Entry& entry) {
  const std::string call_id = job.request.call_id;
  CallRecord next = *entry.record;
  switch (take_delete(next, job.request)) {
    case Forgotten::nothing:
      return conclude(call_id, job.reply,
                      job.request.flags.has("fatal") ? ng::error(ng::kTagsDidNotMatch)
                                                     : ng::warning(ng::kTagsDidNotMatch));
    case Forgotten::branch:
      return remove_branch(std::move(job), std::move(next));
    case Forgotten::call:
      break;
  }
  if (job.request.delete_delay_s.value_or(0) > 0) {
    entry.delete_at = job.now + std::chrono::seconds(*job.request.delete_delay_s);
    job.request.command = Command::query;
    return report(std::move(job), entry);
  }
  end_call(call_id, job.reply);
}

void CallManager::Impl::remove_branch(Job job, CallRecord next) {
  ++next.spec.revision;
  auto done = [this, job = std::move(job), next,
               alive = std::weak_ptr(life)](const Result<media::CallState>& state) {
    if (alive.expired()) return;
    auto& entry = calls.at(job.request.call_id);
    if (state) {
      entry.record = next;
      entry.record->endpoints = state->streams;
    }
    conclude(job.request.call_id, job.reply,
             state ? call_report(*entry.record, nullptr) : ng::error(state.error().message()));
  };
  gateway.apply(next.relay, next.spec, options.relay_deadline, std::move(done));
}

void CallManager::Impl::end_call(const std::string& call_id, const Reply& reply) {
  const auto relay = calls.at(call_id).record->relay;
  gateway.remove(
      relay, call_id, options.relay_deadline,
      [this, call_id, reply, alive = std::weak_ptr(life)](const Result<media::CallState>& state) {
        if (alive.expired()) return;
        auto& entry = calls.at(call_id);
        auto value = call_report(*entry.record, state ? &*state : nullptr);
        log(LogLevel::info, call_id,
            "deleted" + (state ? std::string() : ", relay: " + state.error().message()));
        ++counts.deleted;
        entry.record.reset();
        if (reply) reply(std::move(value));
        finished(call_id);
      });
}

void CallManager::on_relay_ended(const RelayRef& relay, const CallEnded& ended) {
  auto& impl = *impl_;
  const auto found = impl.calls.find(ended.state.key);
  if (found == impl.calls.end() || !found->second.record ||
      found->second.record->relay.id != relay.id)
    return;
  if (ended.state.revision < found->second.record->spec.revision)
    return;  // it has been set up anew since
  ++impl.counts.timed_out;
  impl.log(LogLevel::info, ended.state.key,
           "ended by relay: " + std::string(media::to_string(ended.reason)));
  // A request in work finishes first; it finds the relay without the call and says so.
  if (found->second.busy) {
    found->second.delete_at = Instant{};
    return;
  }
  found->second.record.reset();
  impl.run(ended.state.key);
}

void CallManager::tick(Instant now) {
  auto& impl = *impl_;
  std::vector<std::string> due, lost;
  for (auto& [call_id, entry] : impl.calls) {
    if (entry.busy || !entry.record) continue;
    if (entry.delete_at && *entry.delete_at <= now) {
      due.push_back(call_id);
      continue;
    }
    if (impl.selector.alive(entry.record->relay)) {
      entry.relay_gone_since.reset();
    } else if (!entry.relay_gone_since) {
      entry.relay_gone_since = now;
    }
    const auto limit = std::max(impl.options.media_timeout, Duration(std::chrono::seconds(1)));
    if (entry.relay_gone_since && now - *entry.relay_gone_since > limit) lost.push_back(call_id);
  }
  for (const auto& call_id : due) {
    impl.calls.at(call_id).busy = true;
    impl.end_call(call_id, {});
  }
  for (const auto& call_id : lost) {
    ++impl.counts.timed_out;
    impl.log(LogLevel::warn, call_id,
             "forgotten: its relay is gone for longer than the media time-out");
    impl.calls.at(call_id).record.reset();
    impl.run(call_id);
  }
}

ng::Value CallManager::Impl::list(const ng::Request& request) const {
  const auto limit = std::min<std::size_t>(request.limit.value_or(kDefaultListed), kMaxListed);
  auto ids = ng::Value::list();
  std::size_t count = 0;
  for (const auto& [call_id, entry] : calls) {
    if (count == limit) break;
    if (!entry.record) continue;
    ids.add(call_id);
    ++count;
  }
  return ng::ok().set("calls", std::move(ids));
}

ng::Value CallManager::Impl::statistics(Instant now) const {
  const auto uptime =
      std::chrono::duration_cast<std::chrono::seconds>(now - started.value_or(now)).count();
  auto current = ng::Value::dictionary(
      {{"sessionsown", calls.size()}, {"sessionsforeign", 0}, {"sessionstotal", calls.size()}});
  auto total =
      ng::Value::dictionary({{"uptime", uptime},
                             {"managedsessions", counts.created},
                             {"deletedsessions", counts.deleted},
                             {"rejectedsessions", counts.refused_full + counts.refused_no_relay},
                             {"timeoutsessions", counts.timed_out},
                             {"movedsessions", counts.moved},
                             {"relayfailovers", counts.relay_failovers}});
  const auto count = [this](Command command) {
    return requests[static_cast<std::size_t>(command)];
  };
  auto control = ng::Value::dictionary({{"totalpingcount", count(Command::ping)},
                                        {"totaloffercount", count(Command::offer)},
                                        {"totalanswercount", count(Command::answer)},
                                        {"totaldeletecount", count(Command::delete_call)},
                                        {"totalquerycount", count(Command::query)},
                                        {"totallistcount", count(Command::list)}});
  return ng::ok().set("statistics",
                      ng::Value::dictionary({{"currentstatistics", std::move(current)},
                                             {"totalstatistics", std::move(total)},
                                             {"controlstatistics", std::move(control)}}));
}

CallManagerCounts CallManager::counts() const {
  auto counts = impl_->counts;
  counts.calls = impl_->calls.size();
  return counts;
}

std::vector<std::string> CallManager::call_ids(std::size_t limit) const {
  std::vector<std::string> ids;
  for (const auto& [call_id, entry] : impl_->calls) {
    if (ids.size() >= limit) break;
    if (entry.record) ids.push_back(call_id);
  }
  return ids;
}

void CallManager::describe(const std::string& call_id, Instant now, Reply reply) {
  ng::Request request;
  request.command = Command::query;
  request.call_id = call_id;
  take(request, now, WallTime{}, std::move(reply));
}

}  // namespace rtpool::control
