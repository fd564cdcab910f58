#include "control/calls/call_manager.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "control/calls/call_manager_impl.h"
#include "control/calls/call_report.h"
#include "control/calls/dialogue.h"
#include "control/ng/reply.h"
#include "relay/base/assert.h"

namespace rtpool::control {
namespace {

using ng::Command;

constexpr std::size_t kMaxListed = 10'000;
constexpr std::size_t kDefaultListed = 32;
// Of operations that no proxy waits for.
constexpr Duration kUnhurried = std::chrono::seconds(1);

constexpr std::size_t kMaxLeftovers = 10'000;
constexpr std::size_t kLeftoversAtOnce = 256;

bool is_report(Command command) {
  return command == Command::query || command == Command::delete_call;
}

ng::Value not_found(const ng::Request& request) {
  if (request.command != Command::delete_call) return ng::error(ng::kUnknownCall);
  return request.flags.has("fatal") ? ng::error(ng::kTagsDidNotMatch)
                                    : ng::warning(ng::kTagsDidNotMatch);
}

}  // namespace

CallManager::CallManager(CallManagerOptions options, RelaySelector& selector, RelayGateway& gateway,
                         CallStore* store)
    : impl_(std::make_unique<Impl>(std::move(options), selector, gateway, store)) {
  RTPOOL_ASSERT(impl_->options.secret_bytes);
}
CallManager::~CallManager() = default;

void CallManager::handle(const ng::Request& request, Instant now, WallTime wall, Reply reply) {
  auto& impl = *impl_;
  if (!impl.started) impl.started = now;
  ++impl.requests[static_cast<std::size_t>(request.command)];
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
      return take(request, now, wall, std::move(reply), false);
    default:
      return reply(ng::error(std::string(ng::to_string(request.command)) +
                             " is not supported by this relay"));
  }
}

void CallManager::take(const ng::Request& request, Instant now, WallTime wall, Reply reply,
                       bool local) {
  auto& impl = *impl_;
  const bool known = impl.book.find(request.call_id) != nullptr;
  if (!known && request.command == Command::offer && impl.calls.size() >= impl.options.max_calls) {
    ++impl.counts.refused_full;
    impl.log(LogLevel::warn, request.call_id,
             "offer refused: " + std::to_string(impl.options.max_calls) +
                 " calls, the limit of --max-calls");
    return reply(ng::load_limit(request.supports.has("load limit")));
  }
  auto& entry = impl.calls[request.call_id];
  if (entry.waiting.size() >= impl.options.max_pending) {
    return reply(ng::error("Too many requests for one call at a time"));
  }
  entry.waiting.push_back({request, now, wall, std::move(reply), 0, local});
  impl.run(request.call_id);
}

// Takes the next request of a call, unless one is in work.
void CallManager::Impl::run(const std::string& call_id) {
  const auto found = calls.find(call_id);
  if (found == calls.end() || found->second.busy) return;
  auto& entry = found->second;
  if (entry.waiting.empty()) {
    if (book.find(call_id) == nullptr) calls.erase(found);
    return;
  }
  auto job = std::move(entry.waiting.front());
  entry.waiting.pop_front();
  entry.busy = true;
  const bool known = book.find(call_id) != nullptr;
  // What looks like a new call is most likely one: should another controller have it, keeping it
  // will show.
  const bool new_call =
      !known && job.request.command == Command::offer && job.request.to_tag.empty();
  if (new_call || (known && job.local)) return serve(std::move(job));
  refresh_and_serve(std::move(job));
}

void CallManager::Impl::refresh_and_serve(Job job) {
  const std::string call_id = job.request.call_id;
  const bool known = book.find(call_id) != nullptr;
  const Duration time = store_time(job);
  book.refresh(call_id, time, guarded([this, known, job = std::move(job)](bool asked) mutable {
                 const std::string& id = job.request.call_id;
                 if (!asked) ++counts.store_failures;
                 if (!known && book.find(id) != nullptr) {
                   ++counts.adopted;
                   log(LogLevel::info, id, "goes on here, from another controller's record");
                 }
                 serve(std::move(job));
               }));
}

void CallManager::Impl::serve(Job job) {
  if (is_report(job.request.command)) return report(std::move(job));
  exchange(std::move(job));
}

void CallManager::Impl::finished(const std::string& call_id) {
  if (const auto found = calls.find(call_id); found != calls.end()) found->second.busy = false;
  run(call_id);
}

void CallManager::Impl::conclude(const std::string& call_id, const Reply& reply, ng::Value value) {
  const std::string id = call_id;  // may be a part of what the reply lets go
  if (reply) reply(std::move(value));
  finished(id);
}

void CallManager::Impl::report(Job job) {
  const std::string call_id = job.request.call_id;
  const CallRecord* record = book.find(call_id);
  // Without a from-tag the whole call is meant.
  const bool matches = record != nullptr &&
                       (job.request.from_tag.empty() || record->leg_by_tag(job.request.from_tag));
  if (!matches) return conclude(call_id, job.reply, not_found(job.request));
  if (job.request.command != Command::query) return remove(std::move(job));
  const Duration time = relay_time(job);
  gateway.query(record->relay, call_id, time,
                guarded([this, job = std::move(job)](const Result<media::CallState>& state) {
                  const CallRecord* known = book.find(job.request.call_id);
                  if (known == nullptr) {
                    return conclude(job.request.call_id, job.reply, not_found(job.request));
                  }
                  conclude(job.request.call_id, job.reply,
                           call_report(*known, state ? &*state : nullptr));
                }));
}

void CallManager::Impl::remove(Job job) {
  const std::string call_id = job.request.call_id;
  CallRecord next = *book.find(call_id);
  switch (take_delete(next, job.request)) {
    case Forgotten::nothing:
      return conclude(call_id, job.reply, not_found(job.request));
    case Forgotten::branch:
      return remove_branch(std::move(job), std::move(next));
    case Forgotten::call:
      break;
  }
  if (job.request.delete_delay_s.value_or(0) > 0) {
    calls.at(call_id).delete_at = job.now + std::chrono::seconds(*job.request.delete_delay_s);
    job.request.command = Command::query;
    return report(std::move(job));
  }
  end_call(std::move(job));
}

void CallManager::Impl::remove_branch(Job job, CallRecord next) {
  ++next.spec.revision;
  const RelayRef relay = next.relay;
  const media::CallSpec spec = next.spec;
  const Duration time = relay_time(job);
  gateway.apply(
      relay, spec, time,
      guarded([this, job = std::move(job),
               next = std::move(next)](const Result<media::CallState>& state) mutable {
        if (!state) {
          return conclude(job.request.call_id, job.reply, ng::error(state.error().message()));
        }
        next.endpoints = state->streams;
        auto report = call_report(next, nullptr);
        const Duration left_for_store = store_time(job);
        book.keep(
            std::move(next), left_for_store,
            guarded([this, job = std::move(job), report = std::move(report)](Kept how) mutable {
              if (how == Kept::overtaken) return again(std::move(job));
              conclude(job.request.call_id, job.reply, std::move(report));
            }));
      }));
}

void CallManager::Impl::end_call(Job job) {
  const std::string call_id = job.request.call_id;
  const RelayRef relay = book.find(call_id)->relay;
  const Duration time = std::max<Duration>(relay_time(job), std::chrono::milliseconds(1));
  gateway.remove(relay, call_id, time,
                 guarded([this, job = std::move(job)](const Result<media::CallState>& state) {
                   const std::string& id = job.request.call_id;
                   const CallRecord* record = book.find(id);
                   if (record == nullptr) return conclude(id, job.reply, not_found(job.request));
                   auto value = call_report(*record, state ? &*state : nullptr);
                   log(LogLevel::info, id,
                       "deleted" + (state ? std::string() : ", relay: " + state.error().message()));
                   ++counts.deleted;
                   if (!state && state.error().code != make_error_code(EngineErrc::unknown_call)) {
                     leave_behind(record->relay, id);
                   }
                   book.drop(id, kUnhurried);
                   conclude(id, job.reply, std::move(value));
                 }));
}

void CallManager::on_relay_ended(const RelayRef& relay, const CallEnded& ended) {
  auto& impl = *impl_;
  const std::string& call_id = ended.state.key;
  const bool by_controller = ended.reason == media::EndReason::deleted;
  const CallRecord* record = impl.book.find(call_id);
  if (record == nullptr) {
    // The controller that had it may be gone.
    if (!by_controller) impl.book.drop_ended(call_id, relay, ended.state.revision, kUnhurried);
    return;
  }
  if (record->relay.id != relay.id || ended.state.revision < record->spec.revision) return;
  auto& entry = impl.calls[call_id];
  if (by_controller) {
    // Another controller's delete; ours finds the call busy, and so does what may follow it.
    if (entry.busy) return;
    impl.book.forget(call_id);
    return impl.run(call_id);
  }
  ++impl.counts.timed_out;
  impl.log(LogLevel::info, call_id,
           "ended by relay: " + std::string(media::to_string(ended.reason)));
  // A request in work finishes first; it finds the relay without the call and says so.
  if (entry.busy) {
    entry.delete_at = Instant{};
    return;
  }
  impl.book.drop(call_id, kUnhurried);
  impl.run(call_id);
}

// A call whose relay is gone for long: over, unless another controller has moved it.
void CallManager::Impl::check_lost(const std::string& call_id) {
  calls.at(call_id).busy = true;
  book.refresh(call_id, kUnhurried, guarded([this, call_id](bool) {
                 const CallRecord* record = book.find(call_id);
                 auto& entry = calls.at(call_id);
                 if (record != nullptr && !selector.alive(record->relay)) {
                   ++counts.timed_out;
                   log(LogLevel::warn, call_id,
                       "forgotten: its relay is gone for longer than the media time-out");
                   book.drop(call_id, kUnhurried);
                 }
                 entry.relay_gone_since.reset();
                 finished(call_id);
               }));
}

// Has the relay end the call as soon as it answers.
void CallManager::Impl::leave_behind(const RelayRef& relay, const std::string& call_id) {
  if (leftovers.size() >= kMaxLeftovers) leftovers.pop_front();
  leftovers.push_back({relay, call_id, {}});
}

void CallManager::Impl::clear_leftovers(Instant now) {
  const std::size_t count = std::min(leftovers.size(), kLeftoversAtOnce);
  for (std::size_t i = 0; i < count; ++i) {
    Leftover next = std::move(leftovers.front());
    leftovers.pop_front();
    if (!next.since) next.since = now;
    // Its own time-outs have ended the call by now, or it is another process.
    if (now - *next.since > std::max(options.media_timeout, options.setup_timeout)) continue;
    const CallRecord* again = book.find(next.call_id);
    if (again != nullptr && again->relay.id == next.relay.id) continue;  // the Call-ID is in use
    if (!selector.alive(next.relay)) {
      leftovers.push_back(std::move(next));
      continue;
    }
    const RelayRef relay = next.relay;
    const std::string call_id = next.call_id;
    gateway.remove(relay, call_id, kUnhurried,
                   guarded([this, next = std::move(next)](const Result<media::CallState>& state) {
                     const bool done =
                         state || state.error().code == make_error_code(EngineErrc::unknown_call);
                     if (!done && leftovers.size() < kMaxLeftovers) leftovers.push_back(next);
                   }));
  }
}

void CallManager::tick(Instant now) {
  auto& impl = *impl_;
  std::vector<std::string> due, lost;
  const auto limit = std::max(impl.options.media_timeout, Duration(std::chrono::seconds(1)));
  for (auto& [call_id, entry] : impl.calls) {
    const CallRecord* record = impl.book.find(call_id);
    if (entry.busy || record == nullptr) continue;
    if (entry.delete_at && *entry.delete_at <= now) {
      due.push_back(call_id);
      continue;
    }
    if (impl.selector.alive(record->relay)) {
      entry.relay_gone_since.reset();
    } else if (!entry.relay_gone_since) {
      entry.relay_gone_since = now;
    }
    if (entry.relay_gone_since && now - *entry.relay_gone_since > limit) lost.push_back(call_id);
  }
  for (const auto& call_id : due) {
    impl.calls.at(call_id).busy = true;
    Impl::Job job;
    job.request.command = Command::delete_call;
    job.request.call_id = call_id;
    job.now = now;
    impl.end_call(std::move(job));
  }
  for (const auto& call_id : lost) impl.check_lost(call_id);
  impl.book.flush(kUnhurried);
  impl.clear_leftovers(now);
}

ng::Value CallManager::Impl::list(const ng::Request& request) const {
  const auto limit = std::min<std::size_t>(request.limit.value_or(kDefaultListed), kMaxListed);
  auto ids = ng::Value::list();
  std::size_t count = 0;
  book.for_each([&](const CallRecord& record) {
    if (count == limit) return false;
    ids.add(record.call_id);
    ++count;
    return true;
  });
  return ng::ok().set("calls", std::move(ids));
}

ng::Value CallManager::Impl::statistics(Instant now) const {
  const auto uptime =
      std::chrono::duration_cast<std::chrono::seconds>(now - started.value_or(now)).count();
  auto current = ng::Value::dictionary(
      {{"sessionsown", book.size()}, {"sessionsforeign", 0}, {"sessionstotal", book.size()}});
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
  counts.calls = impl_->book.size();
  counts.unsaved = impl_->book.unsaved();
  return counts;
}

std::vector<std::string> CallManager::call_ids(std::size_t limit) const {
  std::vector<std::string> ids;
  impl_->book.for_each([&](const CallRecord& record) {
    if (ids.size() >= limit) return false;
    ids.push_back(record.call_id);
    return true;
  });
  return ids;
}

std::vector<std::string> CallManager::call_ids_after(const std::string& after,
                                                     std::size_t limit) const {
  // The lowest `limit`, the highest of them on top: one pass, and no more copies than are wanted.
  std::vector<const std::string*> lowest;
  const auto below = [](const std::string* a, const std::string* b) { return *a < *b; };
  impl_->book.for_each([&](const CallRecord& record) {
    if (record.call_id <= after) return true;
    if (lowest.size() == limit) {
      if (limit == 0 || *lowest.front() < record.call_id) return true;
      std::pop_heap(lowest.begin(), lowest.end(), below);
      lowest.pop_back();
    }
    lowest.push_back(&record.call_id);
    std::push_heap(lowest.begin(), lowest.end(), below);
    return true;
  });
  std::sort(lowest.begin(), lowest.end(), below);
  std::vector<std::string> ids;
  for (const std::string* id : lowest) ids.push_back(*id);
  return ids;
}

void CallManager::describe(const std::string& call_id, Instant now, Reply reply) {
  ng::Request request;
  request.command = Command::query;
  request.call_id = call_id;
  take(request, now, WallTime{}, std::move(reply), true);
}

}  // namespace rtpool::control
