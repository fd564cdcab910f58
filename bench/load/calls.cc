#include "bench/load/calls.h"

namespace rtpool::bench {
namespace {

constexpr const char *kCallerTag = "caller", *kCalleeTag = "callee";

constexpr std::int64_t kQueryPatienceNs = 2'000'000'000;

const char* command_of(std::uint8_t step) {
  constexpr const char* kNames[] = {"offer", "answer", "delete"};
  return kNames[step];
}

}  // namespace

Calls::Calls(NgClient& ng, Telephones& telephones, std::uint64_t seed, bool media)
    : ng_(ng),
      telephones_(telephones),
      prefix_("load-" + std::to_string(seed) + "-"),
      media_(media),
      generations_(telephones.calls()) {}

ng::Value Calls::request(const char* command, std::size_t call) const {
  std::string id = prefix_ + std::to_string(call) + "-" + std::to_string(generations_[call]);
  return ng::Value::dictionary(
      {{"command", command}, {"call-id", std::move(id)}, {"from-tag", kCallerTag}});
}

void Calls::send(std::size_t call, Step step, const ng::Value& request) {
  waiting_.emplace(ng_.send(request), Waiting{call, step});
}

void Calls::begin(std::size_t call) {
  ++generations_[call];
  ng::Value offer = request("offer", call);
  offer.set("replace", ng::Value::list({"origin"})).set("sdp", telephones_.sdp(2 * call));
  // Both telephones share one port for RTP and RTCP, and so does the relay (RFC 5761).
  if (telephones_.options().rtcp_mux) offer.set("rtcp-mux", ng::Value::list({"require"}));
  send(call, Step::offer, offer);
}

void Calls::end(std::size_t call) {
  send(call, Step::remove, request("delete", call).set("delete-delay", 0));
}

std::optional<CallEvent> Calls::poll() {
  while (const auto reply = ng_.poll()) {
    const auto found = waiting_.find(reply->ticket);
    if (found == waiting_.end()) continue;
    const Waiting waiting = found->second;
    waiting_.erase(found);
    if (const auto event = advance(waiting, *reply)) return event;
  }
  return std::nullopt;
}

std::optional<CallEvent> Calls::advance(const Waiting& waiting, const NgReply& reply) {
  Histogram* times[] = {&times_.offer, &times_.answer, &times_.remove};
  times[static_cast<std::size_t>(waiting.step)]->record(reply.took_ns);
  if (!reply.ok()) return fail(waiting, reply.problem());
  if (waiting.step == Step::remove) return CallEvent{waiting.call, CallEvent::What::over};
  const std::string sdp = reply.body.find_text("sdp").value_or("");
  // The reply to an offer goes to the callee, that to an answer to the caller.
  const std::size_t reader = 2 * waiting.call + (waiting.step == Step::offer ? 1 : 0);
  if (media_ && !telephones_.connect(reader, sdp)) {
    return fail(waiting, "the reply's SDP has no address for audio");
  }
  if (waiting.step == Step::answer) return CallEvent{waiting.call, CallEvent::What::up};
  ng::Value answer = request("answer", waiting.call);
  answer.set("to-tag", kCalleeTag)
      .set("replace", ng::Value::list({"origin"}))
      .set("sdp", telephones_.sdp(2 * waiting.call + 1));
  send(waiting.call, Step::answer, answer);
  return std::nullopt;
}

CallEvent Calls::fail(const Waiting& waiting, const std::string& why) {
  ++failures_;
  if (problem_.empty()) {
    problem_ = std::string(command_of(static_cast<std::uint8_t>(waiting.step))) + " of call " +
               std::to_string(waiting.call) + ": " + why;
  }
  return {waiting.call, CallEvent::What::failed};
}

bool Calls::each(std::size_t first, std::size_t last, std::size_t outstanding,
                 void (Calls::*start)(std::size_t)) {
  const std::uint64_t failures_before = failures_;
  std::size_t started = first, done = first;
  while (done < last) {
    if (started < last && started - done < outstanding) (this->*start)(started++);
    while (poll()) ++done;
  }
  return failures_ == failures_before;
}

bool Calls::set_up(std::size_t first, std::size_t last, std::size_t outstanding) {
  return each(first, last, outstanding, &Calls::begin);
}

bool Calls::tear_down(std::size_t first, std::size_t last, std::size_t outstanding) {
  return each(first, last, outstanding, &Calls::end);
}

std::optional<std::uint64_t> Calls::packets_by_relay(std::size_t first, std::size_t last) {
  std::uint64_t packets = 0;
  for (std::size_t call = first; call < last; ++call) {
    const NgReply reply = ng_.ask(request("query", call), kQueryPatienceNs);
    const ng::Value* totals = reply.body.find("totals");
    const ng::Value* rtp = totals == nullptr ? nullptr : totals->find("RTP");
    const auto count = rtp == nullptr ? std::nullopt : rtp->find_integer("packets");
    if (!count || *count < 0) return std::nullopt;
    packets += static_cast<std::uint64_t>(*count);
  }
  return packets;
}

}  // namespace rtpool::bench
