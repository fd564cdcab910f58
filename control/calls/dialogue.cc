#include "control/calls/dialogue.h"

#include <algorithm>
#include <array>
#include <utility>

#include "control/sdp/rewrite.h"

namespace rtpool::control {
namespace {

constexpr std::size_t kUfragLength = 8;  // RFC 8839, 5.4: at least 4 characters (24 bits)
constexpr std::size_t kPwdLength = 26;   // at least 22 (128 bits)

class DialogueCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "dialogue"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<DialogueErrc>(value)) {
      case DialogueErrc::unknown_call:
        return "unknown call";
      case DialogueErrc::bad_sdp:
        return "SDP not parsed";
      case DialogueErrc::refused:
        return "can't be done";
      case DialogueErrc::too_many:
        return "too many legs or streams";
    }
    return "unknown error";
  }
};

// Random ice-chars (RFC 8839, 5.1). 64 characters, so that each takes six bits without bias.
std::string ice_chars(std::size_t length, const SecretBytes& secret_bytes) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::byte, kPwdLength> bytes{};
  secret_bytes(std::span(bytes).first(length));
  std::string text;
  for (std::size_t i = 0; i < length; ++i)
    text += kAlphabet[std::to_integer<std::size_t>(bytes[i]) % 64];
  return text;
}

void take_words(sdp::Options& options, std::string_view key, const ng::FlagSet& words) {
  for (const auto& word : words.words()) sdp::take_word(options, key, word);
}

sdp::IceMode ice_mode(ng::IceMode mode) {
  switch (mode) {
    case ng::IceMode::unset:
      return sdp::IceMode::as_offered;
    case ng::IceMode::remove:
      return sdp::IceMode::remove;
    case ng::IceMode::force:
      return sdp::IceMode::force;
    case ng::IceMode::force_relay:
      return sdp::IceMode::force_relay;
    case ng::IceMode::optional:
      return sdp::IceMode::optional;
  }
  return sdp::IceMode::as_offered;
}

sdp::Options sdp_options(const ng::Request& request, sdp::Step step) {
  sdp::Options options;
  options.step = step;
  take_words(options, "flags", request.flags);
  take_words(options, "replace", request.replace);
  take_words(options, "rtcp-mux", request.rtcp_mux);
  options.ice = ice_mode(request.ice);
  // As the proxy wrote them: these two have values that mean something to SDP only.
  for (const auto* key : {"transport-protocol", "ptime-reverse"}) {
    if (const auto word = request.raw.find_text(key)) sdp::take_word(options, key, *word);
  }
  if (!request.transport_protocol.empty()) {
    sdp::take_word(options, "transport-protocol", request.transport_protocol);
  }
  options.media_address = request.media_address;
  options.codec = {
      .strip = request.codec.strip, .except = request.codec.except, .offer = request.codec.offer};
  if (request.ptime_ms) options.ptime_ms = *request.ptime_ms;
  return options;
}

Error to_dialogue_error(const Error& error) {
  const bool parse = error.code == make_error_code(sdp::Errc::malformed) ||
                     error.code == make_error_code(sdp::Errc::too_large) ||
                     error.code == make_error_code(sdp::Errc::unresolved_address);
  return {parse ? DialogueErrc::bad_sdp : DialogueErrc::refused, error.message()};
}

// Works one description, from `sender` to `recipient`, into the record.
class Taker {
 public:
  Taker(CallRecord& record, const ng::Request& request, const DialogueDefaults& defaults,
        sdp::Step step)
      : record_(record), request_(request), defaults_(defaults), step_(step) {}

  Result<Exchange> take(std::size_t sender, std::size_t recipient, bool new_sender) {
    auto session = sdp::parse(request_.sdp);
    if (!session) return to_dialogue_error(session.error());
    Exchange exchange{sender, recipient, std::move(*session), sdp_options(request_, step_), {}};
    // Parties change only when the whole description fits.
    auto plan = sdp::negotiate(exchange.session, exchange.options, record_.legs[sender].party,
                               record_.legs[recipient].party);
    if (!plan) return to_dialogue_error(plan.error());
    exchange.plan = std::move(*plan);
    new_sender_ = new_sender;
    const auto& media = exchange.session.media();
    record_.legs[sender].media.resize(std::max(media.size(), record_.legs[sender].media.size()));
    record_.legs[recipient].media.resize(
        std::max(media.size(), record_.legs[recipient].media.size()));
    for (std::size_t i = 0; i < media.size(); ++i) take_line(exchange, i);
    if (record_.spec.streams.size() > media::kMaxStreamsPerCall) {
      return Error(
          DialogueErrc::too_many,
          "more than " + std::to_string(media::kMaxStreamsPerCall) + " streams in one call");
    }
    return exchange;
  }

 private:
  void take_line(const Exchange& exchange, std::size_t i) {
    const auto& media = exchange.session.media()[i];
    const auto& plan = exchange.plan.media[i];
    auto& from = record_.legs[exchange.sender].media[i];
    auto& to = record_.legs[exchange.recipient].media[i];
    for (auto* line : {&from, &to}) {
      line->type = media.type;
      line->protocol = media.protocol_text;
    }
    if (!plan.sender.open || !plan.recipient.open) {
      // An answer that rejects a line may be one of several branches' answers: only an offer gives
      // ports back.
      if (step_ == sdp::Step::offer)
        close_line(from, to);
      else if (auto* stream = record_.spec_of(from.stream))
        stream->remote_rtp = stream->remote_rtcp = std::nullopt;
      return;
    }
    open_stream(from, plan.sender, media, request_.direction ? &request_.direction->first : nullptr,
                true);
    open_stream(to, plan.recipient, media,
                request_.direction ? &request_.direction->second : nullptr, false);
    locate_sender(*record_.spec_of(from.stream), media, plan.sender);
    link(exchange, i, from.stream, to.stream);
  }

  void close_line(MediaLine& from, MediaLine& to) {
    for (const auto id : {from.stream, to.stream}) {
      std::erase_if(record_.spec.streams, [id](const auto& stream) { return stream.id == id; });
      for (auto& stream : record_.spec.streams) {
        if (id.valid() && stream.forward_to == id) stream.forward_to = {};
      }
      for (auto& leg : record_.legs) {
        for (auto& line : leg.media) {
          if (id.valid() && line.stream == id) line.stream = {};
        }
      }
    }
  }

  void open_stream(MediaLine& line, const sdp::SocketPlan& plan, const sdp::Media& media,
                   const std::string* interface, bool sender) {
    if (!line.stream.valid()) {
      line.stream = media::StreamId{++record_.last_stream};
      media::StreamSpec fresh;
      fresh.id = line.stream;
      if (media.address) fresh.family = media.address->family;
      record_.spec.streams.push_back(fresh);
    }
    auto& stream = *record_.spec_of(line.stream);
    if (step_ == sdp::Step::offer) {
      if (interface != nullptr && !interface->empty()) stream.interface = *interface;
      if (!sender && request_.address_family) stream.family = *request_.address_family;
    }
    stream.tos = request_.tos.value_or(defaults_.tos);
    stream.rtcp_mux = plan.rtcp_mux;
    stream.pass_dtls = plan.dtls;
    stream.opaque = !sdp::is_rtp(media.protocol) && media.protocol != sdp::Protocol::dtls_sctp;
    if (!plan.ice) {
      stream.ice.reset();
    } else if (!stream.ice) {
      stream.ice = media::IceSpec{ice_chars(kUfragLength, defaults_.secret_bytes),
                                  ice_chars(kPwdLength, defaults_.secret_bytes),
                                  {},
                                  {}};
    }
  }

  // Where the sender of the description is, and what may be heard from there.
  void locate_sender(media::StreamSpec& stream, const sdp::Media& media,
                     const sdp::SocketPlan& plan) {
    const auto before = stream;
    stream.sip_source = request_.received_from;
    if (!media.zero_address() || !stream.remote_rtp) {
      stream.remote_rtp = media.remote_rtp();
      stream.remote_rtcp = media.remote_rtcp();
    }
    if (request_.flags.has("SIP-source-address") && request_.received_from) {
      for (auto* remote : {&stream.remote_rtp, &stream.remote_rtcp}) {
        if (*remote) (*remote)->address = *request_.received_from;
      }
    }
    stream.send = media.wants_media();
    if (request_.flags.has("asymmetric"))
      stream.latch = media::LatchPolicy::signalled;
    else if (request_.flags.has("media-handover"))
      stream.latch = media::LatchPolicy::any;
    else
      stream.latch = media::LatchPolicy::learn;
    if (stream.ice && plan.ice) {
      stream.ice->remote_ufrag = media.ice.ufrag;
      stream.ice->remote_pwd = media.ice.pwd;
    }
    const bool moved = stream.remote_rtp != before.remote_rtp ||
                       stream.remote_rtcp != before.remote_rtcp ||
                       stream.sip_source != before.sip_source || stream.latch != before.latch;
    if (moved || new_sender_) ++stream.learn_epoch;
  }

  // Who hears whom. The branch that answered last is the one in dialogue with the offerer; before
  // any answer it is the one offered to first.
  void link(const Exchange& exchange, std::size_t line, media::StreamId from, media::StreamId to) {
    auto& sender = *record_.spec_of(from);
    auto& recipient = *record_.spec_of(to);
    if (step_ == sdp::Step::offer) {
      if (!sender.forward_to.valid()) {
        sender.forward_to = to;
        if (!recipient.forward_to.valid()) recipient.forward_to = from;
      }
      return;
    }
    sender.forward_to = to;
    recipient.forward_to = from;
    for (std::size_t i = 0; i < record_.legs.size(); ++i) {
      const auto& other = record_.legs[i];
      if (i == exchange.sender || i == exchange.recipient || line >= other.media.size()) continue;
      auto* stream = record_.spec_of(other.media[line].stream);
      if (stream != nullptr && stream->forward_to == to) stream->forward_to = {};
    }
    record_.legs[exchange.recipient].peer = exchange.sender;
  }

  CallRecord& record_;
  const ng::Request& request_;
  const DialogueDefaults& defaults_;
  sdp::Step step_;
  bool new_sender_ = false;
};

Result<std::size_t> add_leg(CallRecord& record, std::string_view tag, std::int64_t now_s) {
  if (record.legs.size() >= kMaxLegsPerCall) {
    return Error(DialogueErrc::too_many,
                 "more than " + std::to_string(kMaxLegsPerCall) + " legs in one call");
  }
  record.legs.emplace_back();
  record.legs.back().tag = tag;
  record.legs.back().created = now_s;
  return record.legs.size() - 1;
}

// The leg that an offer without to-tag goes to: the same branch again (a retransmission, or a new
// attempt after an authentication challenge), or without `via-branch` the one callee-facing leg
// there is.
std::optional<std::size_t> offered_leg(const CallRecord& record, std::size_t offerer,
                                       std::string_view via_branch) {
  for (std::size_t i = 0; i < record.legs.size(); ++i) {
    if (i != offerer && record.legs[i].peer == offerer && record.legs[i].via_branch == via_branch)
      return i;
  }
  return std::nullopt;
}

// The leg that an answer comes from.
std::optional<std::size_t> answering_leg(const CallRecord& record, std::size_t offerer,
                                         const ng::Request& request) {
  if (const auto known = record.leg_by_tag(request.to_tag)) return known;
  std::optional<std::size_t> unnamed, shared;
  for (std::size_t i = 0; i < record.legs.size(); ++i) {
    const auto& leg = record.legs[i];
    if (i == offerer || leg.peer != offerer) continue;
    if (!request.via_branch.empty() && leg.via_branch == request.via_branch) return i;
    if (leg.tag.empty() && !unnamed) unnamed = i;
    shared = i;
  }
  return unnamed ? unnamed : shared;
}

}  // namespace

ErrorCode make_error_code(DialogueErrc errc) {
  static const DialogueCategory category;
  return {static_cast<int>(errc), category};
}

Result<Exchange> take_offer(CallRecord& record, const ng::Request& request,
                            const DialogueDefaults& defaults, std::int64_t now_s) {
  auto offerer = record.leg_by_tag(request.from_tag);
  if (!offerer) {
    const auto added = add_leg(record, request.from_tag, now_s);
    if (!added) return added.error();
    offerer = *added;
  }
  auto recipient = request.to_tag.empty() ? offered_leg(record, *offerer, request.via_branch)
                                          : record.leg_by_tag(request.to_tag);
  if (!recipient || *recipient == *offerer) {
    const auto added = add_leg(record, request.to_tag, now_s);
    if (!added) return added.error();
    recipient = *added;
    record.legs[*recipient].via_branch = request.via_branch;
    record.legs[*recipient].peer = *offerer;
    if (record.legs.size() == 2) record.legs[*offerer].peer = *recipient;
  }
  if (!request.label.empty()) record.legs[*offerer].label = request.label;
  if (!request.to_label.empty()) record.legs[*recipient].label = request.to_label;
  return Taker(record, request, defaults, sdp::Step::offer).take(*offerer, *recipient, false);
}

Result<Exchange> take_answer(CallRecord& record, const ng::Request& request,
                             const DialogueDefaults& defaults, std::int64_t) {
  const auto offerer = record.leg_by_tag(request.from_tag);
  if (!offerer) return Error(DialogueErrc::unknown_call);
  const auto answerer = answering_leg(record, *offerer, request);
  if (!answerer || *answerer == *offerer) return Error(DialogueErrc::unknown_call);
  auto& leg = record.legs[*answerer];
  const bool new_sender = leg.tag != request.to_tag;
  if (new_sender) {
    if (leg.aliases.size() >= kMaxAliases)
      return Error(DialogueErrc::too_many, "branches that share one offer");
    std::erase(leg.aliases, request.to_tag);
    if (!leg.tag.empty()) leg.aliases.push_back(leg.tag);
    leg.tag = request.to_tag;
  }
  if (!request.label.empty()) leg.label = request.label;
  auto exchange =
      Taker(record, request, defaults, sdp::Step::answer).take(*answerer, *offerer, new_sender);
  if (exchange) record.spec.answered = true;
  return exchange;
}

Result<std::string> write_description(CallRecord& record, Exchange& exchange) {
  auto& leg = record.legs[exchange.recipient];
  std::vector<sdp::MediaRewrite> lines(exchange.session.media().size());
  std::optional<IpAddress> fallback;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto& plan = exchange.plan.media[i].recipient;
    const auto* state = record.state_of(leg.media[i].stream);
    if (state != nullptr && !fallback) fallback = state->rtp.advertised.address;
    if (!plan.open || state == nullptr) continue;
    lines[i].rtp = state->rtp.advertised;
    if (plan.rtcp && state->rtcp.advertised.port != 0) lines[i].rtcp = state->rtcp.advertised;
    if (const auto* stream = record.spec_of(leg.media[i].stream);
        stream != nullptr && stream->ice && plan.ice) {
      lines[i].ice_ufrag = stream->ice->local_ufrag;
      lines[i].ice_pwd = stream->ice->local_pwd;
    }
  }
  auto text = sdp::rewrite(exchange.session, exchange.options, lines, leg.party, fallback);
  if (!text) return to_dialogue_error(text.error());
  return text;
}

Forgotten take_delete(CallRecord& record, const ng::Request& request) {
  // Without a from-tag the branch, or else the whole call, is meant.
  const auto from = request.from_tag.empty() ? std::optional<std::size_t>{0}
                                             : record.leg_by_tag(request.from_tag);
  if (!from) return Forgotten::nothing;
  std::optional<std::size_t> branch;
  if (!request.to_tag.empty()) {
    branch = record.leg_by_tag(request.to_tag);
    // A to-tag that no branch has answered with: a failure reply, whose branch is still unnamed.
    if (!branch && request.via_branch.empty()) return Forgotten::call;
  }
  if (!request.via_branch.empty() && !branch) {
    for (std::size_t i = 0; i < record.legs.size(); ++i) {
      if (record.legs[i].via_branch == request.via_branch) branch = i;
    }
    if (!branch) return Forgotten::nothing;
  }
  if (!branch) return Forgotten::call;
  // Leg 0 is the first offerer, whom all branches are in dialogue with: of the two named the other
  // one goes. A branch that had answered takes the call with it unless another one has answered
  // too.
  const auto gone = *branch == 0 ? *from : *branch;
  const bool answered = !record.legs[gone].tag.empty();
  bool others = false;
  for (std::size_t i = 1; i < record.legs.size(); ++i) {
    others = others || (i != gone && (!answered || !record.legs[i].tag.empty()));
  }
  if (gone == 0 || !others) return Forgotten::call;
  for (const auto& line : record.legs[gone].media) {
    std::erase_if(record.spec.streams,
                  [&](const auto& stream) { return stream.id == line.stream; });
    for (auto& stream : record.spec.streams) {
      if (line.stream.valid() && stream.forward_to == line.stream) stream.forward_to = {};
    }
  }
  record.legs.erase(record.legs.begin() + static_cast<std::ptrdiff_t>(gone));
  for (auto& leg : record.legs) {
    if (leg.peer == gone)
      leg.peer = 0;
    else if (leg.peer > gone)
      --leg.peer;
  }
  return Forgotten::branch;
}

}  // namespace rtpool::control
