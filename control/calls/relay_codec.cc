#include "control/calls/relay_codec.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <string>
#include <utility>

namespace rtpool::control {
namespace {

constexpr std::size_t kMaxKeyBytes = 1024;
constexpr std::size_t kMaxNameBytes = 256;
constexpr std::int64_t kNeverMs = -1;
constexpr std::uint64_t kMaxDurationMs = 366ULL * 24 * 3600 * 1000;

Error bad(std::string what) {
  return {EngineErrc::invalid_spec, std::move(what)};
}

void encode_address(const IpAddress& address, std::string& out) {
  out.assign(reinterpret_cast<const char*>(address.octets.data()), address.is_v4() ? 4 : 16);
}

void encode_endpoint(const Endpoint& endpoint, relay::v1::Endpoint& out) {
  encode_address(endpoint.address, *out.mutable_address());
  out.set_port(endpoint.port);
}

std::optional<IpAddress> decode_address(const std::string& in) {
  if (in.size() != 4 && in.size() != 16) return std::nullopt;
  IpAddress address;
  address.family = in.size() == 4 ? IpFamily::v4 : IpFamily::v6;
  std::copy(in.begin(), in.end(), address.octets.begin());
  return address;
}

template <class Kind>
std::optional<Kind> decode_endpoint(const relay::v1::Endpoint& in) {
  const auto address = decode_address(in.address());
  if (!address || in.port() > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
  return Kind{{*address, static_cast<std::uint16_t>(in.port())}};
}

// An endpoint that may be absent: an empty message is none; a bad one is an error.
Result<std::optional<RemoteEndpoint>> decode_remote(bool present, const relay::v1::Endpoint& in,
                                                    const char* field) {
  if (!present) return std::optional<RemoteEndpoint>{};
  auto endpoint = decode_endpoint<RemoteEndpoint>(in);
  if (!endpoint)
    return bad(std::string(field) + ": an address has 4 or 16 octets and a port 16 bits");
  return endpoint;
}

Result<Duration> decode_timeout(std::uint64_t ms, const char* field) {
  if (ms > kMaxDurationMs) return bad(std::string(field) + ": at most a year");
  return Duration(std::chrono::milliseconds(static_cast<std::int64_t>(ms)));
}

std::uint64_t to_ms(Duration duration) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

std::int64_t age_ms(Instant then, Instant now) {
  if (then == Instant{}) return kNeverMs;
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then).count();
}

Instant from_age(std::int64_t age, Instant now) {
  return age < 0 ? Instant{}
                 : now - std::chrono::milliseconds(std::min(age, std::int64_t(kMaxDurationMs)));
}

Result<media::IceSpec> decode_ice(const relay::v1::Ice& in) {
  for (const auto* text :
       {&in.local_ufrag(), &in.local_pwd(), &in.remote_ufrag(), &in.remote_pwd()}) {
    if (text->size() > kMaxNameBytes)
      return bad("ice: a user fragment or password has at most 256 characters");
  }
  return media::IceSpec{in.local_ufrag(), in.local_pwd(), in.remote_ufrag(), in.remote_pwd()};
}

void encode_stream(const media::StreamSpec& spec, relay::v1::StreamSpec& out) {
  out.set_id(spec.id.value);
  out.set_interface(spec.interface);
  out.set_ipv6(spec.family == IpFamily::v6);
  out.set_rtcp_mux(spec.rtcp_mux);
  if (spec.remote_rtp) encode_endpoint(*spec.remote_rtp, *out.mutable_remote_rtp());
  if (spec.remote_rtcp) encode_endpoint(*spec.remote_rtcp, *out.mutable_remote_rtcp());
  if (spec.sip_source) encode_address(*spec.sip_source, *out.mutable_sip_source());
  out.set_forward_to(spec.forward_to.value);
  out.set_hold(!spec.send);
  out.set_latch(static_cast<relay::v1::LatchPolicy>(spec.latch));
  out.set_learn_epoch(spec.learn_epoch);
  out.set_pass_dtls(spec.pass_dtls);
  out.set_tos(spec.tos);
  out.set_opaque(spec.opaque);
  if (spec.ice) {
    auto& ice = *out.mutable_ice();
    ice.set_local_ufrag(spec.ice->local_ufrag);
    ice.set_local_pwd(spec.ice->local_pwd);
    ice.set_remote_ufrag(spec.ice->remote_ufrag);
    ice.set_remote_pwd(spec.ice->remote_pwd);
  }
}

Result<media::StreamSpec> decode_stream(const relay::v1::StreamSpec& in) {
  if (in.interface().size() > kMaxNameBytes) return bad("interface: at most 256 characters");
  if (in.tos() > 255) return bad("tos: 0 to 255");
  if (in.latch() < relay::v1::LEARN || in.latch() > relay::v1::ANY)
    return bad("latch: unknown policy");
  media::StreamSpec spec;
  spec.id = media::StreamId{in.id()};
  spec.interface = in.interface();
  spec.family = in.ipv6() ? IpFamily::v6 : IpFamily::v4;
  spec.rtcp_mux = in.rtcp_mux();
  auto rtp = decode_remote(in.has_remote_rtp(), in.remote_rtp(), "remote_rtp");
  if (!rtp) return rtp.error();
  auto rtcp = decode_remote(in.has_remote_rtcp(), in.remote_rtcp(), "remote_rtcp");
  if (!rtcp) return rtcp.error();
  spec.remote_rtp = *rtp;
  spec.remote_rtcp = *rtcp;
  if (!in.sip_source().empty()) {
    spec.sip_source = decode_address(in.sip_source());
    if (!spec.sip_source) return bad("sip_source: an address has 4 or 16 octets");
  }
  spec.forward_to = media::StreamId{in.forward_to()};
  spec.send = !in.hold();
  spec.latch = static_cast<media::LatchPolicy>(in.latch());
  spec.learn_epoch = in.learn_epoch();
  spec.pass_dtls = in.pass_dtls();
  spec.opaque = in.opaque();
  spec.tos = static_cast<std::uint8_t>(in.tos());
  if (in.has_ice()) {
    auto ice = decode_ice(in.ice());
    if (!ice) return ice.error();
    spec.ice = *ice;
  }
  return spec;
}

void encode_counts(const media::PacketCounts& counts, relay::v1::Counts& out) {
  out.set_packets(counts.packets);
  out.set_bytes(counts.bytes);
}

media::PacketCounts decode_counts(const relay::v1::Counts& in) {
  return {in.packets(), in.bytes()};
}

void encode_component(const media::ComponentState& state, Instant now,
                      relay::v1::ComponentState& out) {
  encode_endpoint(state.local, *out.mutable_local());
  encode_endpoint(state.advertised, *out.mutable_advertised());
  if (state.remote) encode_endpoint(*state.remote, *out.mutable_remote());
  out.set_latched(state.latched);
  encode_counts(state.received, *out.mutable_received());
  encode_counts(state.sent, *out.mutable_sent());
  out.set_dropped(state.dropped);
  out.set_last_packet_age_ms(age_ms(state.last_packet, now));
}

std::optional<media::ComponentState> decode_component(const relay::v1::ComponentState& in,
                                                      Instant now) {
  const auto local = decode_endpoint<LocalEndpoint>(in.local());
  const auto advertised = decode_endpoint<AdvertisedEndpoint>(in.advertised());
  if (!local || !advertised) return std::nullopt;
  media::ComponentState state;
  state.local = *local;
  state.advertised = *advertised;
  if (in.has_remote()) {
    state.remote = decode_endpoint<RemoteEndpoint>(in.remote());
    if (!state.remote) return std::nullopt;
  }
  state.latched = in.latched();
  state.received = decode_counts(in.received());
  state.sent = decode_counts(in.sent());
  state.dropped = in.dropped();
  state.last_packet = from_age(in.last_packet_age_ms(), now);
  return state;
}

void encode_ssrc(const media::SsrcState& state, Instant now, relay::v1::Ssrc& out) {
  out.set_ssrc(state.ssrc);
  encode_counts(state.received, *out.mutable_received());
  out.set_last_sequence(state.last_sequence);
  out.set_last_timestamp(state.last_timestamp);
  out.set_payload_type(state.payload_type);
  out.set_lost(state.lost);
  out.set_jitter(state.jitter);
  out.set_first_packet_age_ms(age_ms(state.first_packet, now));
  out.set_last_packet_age_ms(age_ms(state.last_packet, now));
}

media::SsrcState decode_ssrc(const relay::v1::Ssrc& in, Instant now) {
  return {.ssrc = in.ssrc(),
          .received = decode_counts(in.received()),
          .last_sequence = static_cast<std::uint16_t>(in.last_sequence()),
          .last_timestamp = in.last_timestamp(),
          .payload_type = static_cast<std::uint8_t>(in.payload_type()),
          .lost = in.lost(),
          .jitter = in.jitter(),
          .first_packet = from_age(in.first_packet_age_ms(), now),
          .last_packet = from_age(in.last_packet_age_ms(), now)};
}

void encode_outcome(const media::Outcome& outcome, relay::v1::Outcome& out) {
  out.set_forwarded(outcome.forwarded);
  out.set_reason(static_cast<std::uint32_t>(outcome.reason));
  out.set_learned(static_cast<std::uint32_t>(outcome.learned));
  if (!outcome.forwarded) return;
  out.set_out_stream(outcome.out_stream.value);
  out.set_out_rtcp(outcome.out_component == media::ComponentKind::rtcp);
  encode_endpoint(outcome.from, *out.mutable_from());
  encode_endpoint(outcome.to, *out.mutable_to());
}

std::optional<media::Outcome> decode_outcome(const relay::v1::Outcome& in) {
  if (in.reason() >= media::kDropReasons ||
      in.learned() > static_cast<std::uint32_t>(media::Learned::moved))
    return std::nullopt;
  media::Outcome outcome{.forwarded = in.forwarded(),
                         .reason = static_cast<media::Drop>(in.reason()),
                         .learned = static_cast<media::Learned>(in.learned())};
  if (!outcome.forwarded) return outcome;
  const auto from = decode_endpoint<LocalEndpoint>(in.from());
  const auto to = decode_endpoint<RemoteEndpoint>(in.to());
  if (!from || !to) return std::nullopt;
  outcome.out_stream = media::StreamId{in.out_stream()};
  outcome.out_component = in.out_rtcp() ? media::ComponentKind::rtcp : media::ComponentKind::rtp;
  outcome.from = *from;
  outcome.to = *to;
  return outcome;
}

}  // namespace

void encode(const media::CallSpec& spec, relay::v1::CallSpec& out) {
  out.set_key(spec.key);
  out.set_revision(spec.revision);
  out.set_answered(spec.answered);
  out.set_setup_timeout_ms(to_ms(spec.setup_timeout));
  out.set_media_timeout_ms(to_ms(spec.media_timeout));
  out.set_max_duration_ms(to_ms(spec.max_duration));
  for (const auto& stream : spec.streams) encode_stream(stream, *out.add_streams());
}

Result<media::CallSpec> decode(const relay::v1::CallSpec& in) {
  if (in.key().empty() || in.key().size() > kMaxKeyBytes) return bad("key: 1 to 1024 characters");
  if (static_cast<std::size_t>(in.streams_size()) > media::kMaxStreamsPerCall) {
    return bad("streams: at most " + std::to_string(media::kMaxStreamsPerCall));
  }
  media::CallSpec spec;
  spec.key = in.key();
  spec.revision = in.revision();
  spec.answered = in.answered();
  const std::array<std::pair<std::uint64_t, Duration*>, 3> timeouts{{
      {in.setup_timeout_ms(), &spec.setup_timeout},
      {in.media_timeout_ms(), &spec.media_timeout},
      {in.max_duration_ms(), &spec.max_duration},
  }};
  for (const auto& [ms, out] : timeouts) {
    const auto timeout = decode_timeout(ms, "time-outs");
    if (!timeout) return timeout.error();
    *out = *timeout;
  }
  for (const auto& stream : in.streams()) {
    auto decoded = decode_stream(stream);
    if (!decoded)
      return bad("stream " + std::to_string(stream.id()) + ": " + decoded.error().detail);
    spec.streams.push_back(std::move(*decoded));
  }
  return spec;
}

void encode(const media::CallState& state, relay::v1::CallState& out) {
  out.set_key(state.key);
  out.set_revision(state.revision);
  out.set_age_ms(age_ms(state.created, state.observed));
  for (const auto& stream : state.streams) {
    auto& encoded = *out.add_streams();
    encoded.set_id(stream.id.value);
    encode_component(stream.rtp, state.observed, *encoded.mutable_rtp());
    encode_component(stream.rtcp, state.observed, *encoded.mutable_rtcp());
    for (const auto& ssrc : stream.ssrcs) encode_ssrc(ssrc, state.observed, *encoded.add_ssrcs());
  }
  for (const auto count : state.drops) out.add_drops(count);
}

Result<media::CallState> decode(const relay::v1::CallState& in, Instant now) {
  media::CallState state;
  state.key = in.key();
  state.revision = in.revision();
  state.created = from_age(in.age_ms(), now);
  state.observed = now;
  for (const auto& stream : in.streams()) {
    const auto rtp = decode_component(stream.rtp(), now);
    const auto rtcp = decode_component(stream.rtcp(), now);
    if (!rtp || !rtcp) return bad("stream " + std::to_string(stream.id()) + ": endpoint malformed");
    media::StreamState decoded{
        .id = media::StreamId{stream.id()}, .rtp = *rtp, .rtcp = *rtcp, .ssrcs = {}};
    for (const auto& ssrc : stream.ssrcs()) decoded.ssrcs.push_back(decode_ssrc(ssrc, now));
    state.streams.push_back(std::move(decoded));
  }
  for (int i = 0; i < in.drops_size() && i < static_cast<int>(media::kDropReasons); ++i) {
    state.drops[static_cast<std::size_t>(i)] = in.drops(i);
  }
  return state;
}

void encode(const ExplainQuestion& question, relay::v1::ExplainRequest& out) {
  out.set_key(question.key);
  encode_endpoint(question.source, *out.mutable_source());
  out.set_port(question.port);
}

Result<ExplainQuestion> decode(const relay::v1::ExplainRequest& in) {
  if (in.key().empty() || in.key().size() > kMaxKeyBytes) return bad("key: 1 to 1024 characters");
  const auto source = decode_endpoint<RemoteEndpoint>(in.source());
  if (!source) return bad("source: an address has 4 or 16 octets and a port 16 bits");
  if (in.port() > std::numeric_limits<std::uint16_t>::max()) return bad("port: 0 to 65535");
  return ExplainQuestion{in.key(), *source, static_cast<std::uint16_t>(in.port())};
}

void encode(const media::Explanation& explanation, relay::v1::Explanation& out) {
  out.set_stream(explanation.stream.value);
  out.set_rtcp(explanation.component == media::ComponentKind::rtcp);
  encode_endpoint(explanation.local, *out.mutable_local());
  encode_endpoint(explanation.advertised, *out.mutable_advertised());
  out.set_latched(explanation.latched);
  if (explanation.remote) encode_endpoint(*explanation.remote, *out.mutable_remote());
  if (explanation.signalled) encode_endpoint(*explanation.signalled, *out.mutable_signalled());
  if (explanation.sip_source) encode_address(*explanation.sip_source, *out.mutable_sip_source());
  out.set_policy(static_cast<relay::v1::LatchPolicy>(explanation.policy));
  out.set_ice(explanation.ice);
  encode_outcome(explanation.outcome, *out.mutable_outcome());
  if (!explanation.continued) return;
  out.set_continued_ssrc(explanation.continued_ssrc.value_or(0));
  encode_outcome(*explanation.continued, *out.mutable_continued());
}

Result<media::Explanation> decode(const relay::v1::Explanation& in) {
  const auto wrong = [&](const char* what) {
    return bad("explanation of stream " + std::to_string(in.stream()) + ": " + what + " malformed");
  };
  const auto local = decode_endpoint<LocalEndpoint>(in.local());
  const auto advertised = decode_endpoint<AdvertisedEndpoint>(in.advertised());
  const auto remote = decode_remote(in.has_remote(), in.remote(), "remote");
  const auto signalled = decode_remote(in.has_signalled(), in.signalled(), "signalled");
  if (!local || !advertised || !remote || !signalled) return wrong("endpoint");
  if (in.policy() < relay::v1::LEARN || in.policy() > relay::v1::ANY) return wrong("policy");
  const auto outcome = decode_outcome(in.outcome());
  if (!outcome) return wrong("outcome");
  media::Explanation out{
      .stream = media::StreamId{in.stream()},
      .component = in.rtcp() ? media::ComponentKind::rtcp : media::ComponentKind::rtp,
      .local = *local,
      .advertised = *advertised,
      .latched = in.latched(),
      .remote = *remote,
      .signalled = *signalled,
      .sip_source = {},
      .policy = static_cast<media::LatchPolicy>(in.policy()),
      .ice = in.ice(),
      .outcome = *outcome,
      .continued_ssrc = {},
      .continued = {}};
  if (!in.sip_source().empty()) {
    out.sip_source = decode_address(in.sip_source());
    if (!out.sip_source) return wrong("SIP source");
  }
  if (in.has_continued()) {
    out.continued = decode_outcome(in.continued());
    if (!out.continued) return wrong("outcome");
    out.continued_ssrc = in.continued_ssrc();
  }
  return out;
}

relay::v1::EndReason encode(media::EndReason reason) {
  return static_cast<relay::v1::EndReason>(reason);
}

media::EndReason decode(relay::v1::EndReason reason) {
  return relay::v1::EndReason_IsValid(reason) ? static_cast<media::EndReason>(reason)
                                              : media::EndReason::shutdown;
}

}  // namespace rtpool::control
