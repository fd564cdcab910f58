// Offers and answers: worked on a copy of the record, sent to a relay, kept, answered.
#include <algorithm>
#include <chrono>
#include <utility>

#include "control/calls/call_manager_impl.h"
#include "control/ng/reply.h"

namespace rtpool::control {
namespace {

using ng::Command;

// Less time than this is not worth asking another relay.
constexpr Duration kTooLate = std::chrono::milliseconds(10);
constexpr int kMaxAttempts = 3;
constexpr Duration kRefusalLines = std::chrono::seconds(1);  // no more often than that

// What a relay's error means for the request.
enum class Failure : std::uint8_t {
  gone,     // the relay can't be reached, or is not what it was
  full,     // it has no room
  stale,    // it knows a later specification: another controller was first
  refused,  // it does not like what was asked
};

// What the proxy is told of a relay that has no room; empty for any other error.
std::string_view limit_text(const ErrorCode& code) {
  if (code == make_error_code(EngineErrc::too_many_calls)) return ng::kParallelSessionLimit;
  if (code == make_error_code(EngineErrc::out_of_ports)) return ng::kRanOutOfPorts;
  if (code == make_error_code(EngineErrc::too_many_packets)) return ng::kLoadLimit;
  if (code == make_error_code(EngineErrc::too_much_bandwidth)) return ng::kBandwidthLimit;
  if (code == make_error_code(EngineErrc::too_busy)) return ng::kCpuLimit;
  return {};
}

Failure classify(const Error& error) {
  const auto& code = error.code;
  if (!limit_text(code).empty()) return Failure::full;
  if (code == make_error_code(EngineErrc::stale_revision)) return Failure::stale;
  for (const auto errc :
       {EngineErrc::unknown_call, EngineErrc::invalid_spec, EngineErrc::unknown_interface}) {
    if (code == make_error_code(errc)) return Failure::refused;
  }
  return Failure::gone;
}

std::int64_t to_seconds(WallTime wall) {
  return static_cast<std::int64_t>(wall) / 1'000'000'000;
}

}  // namespace

Duration CallManager::Impl::store_time(const Job& job) const {
  return std::clamp<Duration>(left(job), std::chrono::milliseconds(1), options.store_deadline);
}

// Time is kept back for the store, which comes after the relay.
Duration CallManager::Impl::relay_time(const Job& job) const {
  return std::min(options.relay_deadline,
                  left(job) - (shared ? options.store_deadline : Duration::zero()));
}

void CallManager::Impl::exchange(Job job) {
  const bool offer = job.request.command == Command::offer;
  const std::string call_id = job.request.call_id;
  const CallRecord* known = book.find(call_id);
  if (!offer && known == nullptr) {
    return conclude(call_id, job.reply, ng::error(ng::kUnknownCall));
  }
  auto work = std::make_shared<Attempt>();
  work->fresh = known == nullptr;
  if (known != nullptr) {
    work->next = *known;
  } else {
    work->next.call_id = call_id;
    work->next.created_us = static_cast<std::int64_t>(job.wall) / 1000;
    auto& spec = work->next.spec;
    spec.key = call_id;
    spec.setup_timeout = options.setup_timeout;
    spec.media_timeout = options.media_timeout;
    spec.max_duration = options.max_duration;
  }
  const auto now_s = to_seconds(job.wall);
  work->next.last_signal = now_s;
  const DialogueDefaults defaults{options.tos, options.secret_bytes};
  auto taken = offer ? take_offer(work->next, job.request, defaults, now_s)
                     : take_answer(work->next, job.request, defaults, now_s);
  if (!taken) return refuse(job, taken.error());
  work->exchange = std::move(*taken);
  ++work->next.spec.revision;
  work->job = std::move(job);
  attempt(work);
}

void CallManager::Impl::refuse(const Job& job, const Error& error) {
  log(LogLevel::warn, job.request.call_id,
      std::string(ng::to_string(job.request.command)) + " refused: " + error.message());
  auto reply = ng::error(error.detail);
  if (error.code == make_error_code(DialogueErrc::bad_sdp)) {
    reply = ng::error(ng::kSdpNotParsed).set("message", error.detail);
  } else if (error.code == make_error_code(DialogueErrc::unknown_call)) {
    reply = ng::error(ng::kUnknownCall);
  }
  conclude(job.request.call_id, job.reply, std::move(reply));
}

// Asks the call's relay, or the next one of the pool.
void CallManager::Impl::attempt(const Work& work) {
  auto& next = work->next;
  const bool offer = work->job.request.command == Command::offer;
  if (!next.relay.id.empty() && offer && !selector.alive(next.relay)) {
    // Its relay is gone: an offer moves the call to a live one, with new ports for everybody.
    log(LogLevel::info, next.call_id, "relay " + next.relay.id + " is gone, the call moves");
    work->excluded.push_back(next.relay.id);
    work->moved = true;
    next.relay = {};
  }
  const Duration time = relay_time(work->job);
  if (time < kTooLate) return no_relay(work, false);
  if (next.relay.id.empty()) {
    auto selected = selector.select(work->excluded);
    if (!selected) {
      // Of those that are left out some are dead; the others said themselves that they are full.
      return no_relay(
          work, work->some_full || selected.error().code == make_error_code(RelayErrc::all_full));
    }
    next.relay = std::move(*selected);
  }
  gateway.apply(next.relay, next.spec, time,
                guarded([this, work](const Result<media::CallState>& state) {
                  relay_answered(work, state);
                }));
}

void CallManager::Impl::relay_answered(const Work& work, const Result<media::CallState>& state) {
  if (!state) return relay_failed(work, state.error());
  const auto& request = work->job.request;
  work->next.endpoints = state->streams;
  auto text = write_description(work->next, work->exchange);
  if (!text) {
    log(LogLevel::error, request.call_id, "SDP not written: " + text.error().message());
    return conclude(request.call_id, work->job.reply, ng::error(text.error().detail));
  }
  book.keep(work->next, store_time(work->job),
            guarded([this, work, text = std::move(*text)](Kept how) { kept(work, how, text); }));
}

void CallManager::Impl::kept(const Work& work, Kept how, const std::string& description) {
  const auto& request = work->job.request;
  if (how == Kept::overtaken) {
    // Another controller changed the call meanwhile, or has one of this Call-ID: go on from there.
    const CallRecord* current = book.find(request.call_id);
    if (current == nullptr || current->relay.id != work->next.relay.id) {
      leave_behind(work->next.relay, request.call_id);
    }
    return again(std::move(work->job));
  }
  if (how == Kept::here) ++counts.store_failures;
  auto& entry = calls.at(request.call_id);
  entry.delete_at.reset();
  entry.relay_gone_since.reset();
  if (work->fresh) {
    ++counts.created;
    if (!work->excluded.empty()) ++counts.relay_failovers;
  }
  if (work->moved) ++counts.moved;
  log(work->fresh ? LogLevel::info : LogLevel::debug, request.call_id,
      std::string(ng::to_string(request.command)) + " on relay " + work->next.relay.id +
          " of pool " + options.pool + ", " + std::to_string(work->next.spec.streams.size()) +
          " streams");
  conclude(request.call_id, work->job.reply, ng::ok().set("sdp", description));
}

// Works a request once more, from what another controller made of its call.
void CallManager::Impl::again(Job job) {
  ++counts.overtaken;
  if (++job.attempts >= kMaxAttempts || left(job) < 2 * kTooLate) {
    log(LogLevel::warn, job.request.call_id, "given up: another controller was first each time");
    return conclude(job.request.call_id, job.reply,
                    ng::error("Another controller is changing this call, try again"));
  }
  refresh_and_serve(std::move(job));
}

void CallManager::Impl::relay_failed(const Work& work, const Error& error) {
  auto& next = work->next;
  const auto& request = work->job.request;
  const auto failure = classify(error);
  if (failure == Failure::stale && shared) return again(std::move(work->job));
  // Of many offers that find a relay full each would have a line, just when there is no time for
  // it.
  log(failure == Failure::full ? LogLevel::debug : LogLevel::warn, request.call_id,
      std::string(ng::to_string(request.command)) + ": relay " + next.relay.id + ": " +
          error.message());
  if (failure == Failure::refused || failure == Failure::stale)
    return conclude(request.call_id, work->job.reply, ng::error(error.message()));
  if (failure == Failure::gone) {
    if (error.code != make_error_code(RelayErrc::stale_epoch))
      selector.report_unreachable(next.relay);
    // It may have taken the call and only its answer was lost.
    if (work->fresh && error.code == make_error_code(RelayErrc::deadline))
      leave_behind(next.relay, next.call_id);
  }
  if (failure == Failure::full) {
    work->some_full = true;
    work->limit = limit_text(error.code);
  }
  if (request.command == Command::answer || (!work->fresh && failure == Failure::full)) {
    // The other party already has this relay's ports: another relay's would not help.
    return conclude(request.call_id, work->job.reply,
                    ng::error("Relay " + next.relay.id + ": " + error.message()));
  }
  work->excluded.push_back(next.relay.id);
  work->moved = !work->fresh;
  next.relay = {};
  attempt(work);
}

// "load limit" says that the whole pool is full. With no live relay, or no time for another one,
// the reply is the error at which a proxy asks its next controller.
void CallManager::Impl::no_relay(const Work& work, bool full) {
  const auto& request = work->job.request;
  ++(full ? counts.refused_full : counts.refused_no_relay);
  const std::string reason = full ? "all relays of pool " + options.pool + " are full"
                                  : "no live relay in pool " + options.pool;
  const Instant now = work->job.now;
  if (!refusal_told || now - *refusal_told >= kRefusalLines) {
    const std::uint64_t silent = std::exchange(refusals_untold, 0);
    refusal_told = now;
    log(LogLevel::error, request.call_id,
        "offer refused: " + reason +
            (silent == 0 ? "" : "; " + std::to_string(silent) + " more since the last such line"));
  } else {
    ++refusals_untold;
  }
  conclude(request.call_id, work->job.reply,
           full ? ng::load_limit(request.supports.has("load limit"), work->limit)
                : ng::error(ng::kParallelSessionLimit).set("message", reason));
}

}  // namespace rtpool::control
