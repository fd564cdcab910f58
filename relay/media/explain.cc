#include "relay/media/explain.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include "relay/base/bytes.h"
#include "relay/media/rtp.h"
#include "relay/media/stream.h"

namespace rtpool::media {
namespace {

constexpr std::uint32_t kPayloadBytes = 160;  // 20 ms of G.711

// What the imagined packet claims to be.
struct Claim {
  std::uint32_t ssrc = 0;
  std::uint16_t sequence = 1;
  std::uint32_t timestamp = 0;
  std::uint8_t payload_type = 0;
};

using RtpPacket = std::array<std::byte, kRtpHeaderBytes + kPayloadBytes>;
using RtcpPacketBytes = std::array<std::byte, 8>;

RtpPacket rtp_packet(const Claim& claim) {
  RtpPacket packet{};
  packet[0] = std::byte{0x80};  // version 2
  packet[1] = static_cast<std::byte>(claim.payload_type & 0x7f);
  store_u16(packet, 2, claim.sequence);
  store_u32(packet, 4, claim.timestamp);
  store_u32(packet, 8, claim.ssrc);
  return packet;
}

// A receiver report without report blocks (RFC 3550, 6.4.2).
RtcpPacketBytes rtcp_packet(const Claim& claim) {
  RtcpPacketBytes packet{};
  packet[0] = std::byte{0x80};
  packet[1] = std::byte{201};
  store_u16(packet, 2, 1);
  store_u32(packet, 4, claim.ssrc);
  return packet;
}

// A source that the stream has not heard.
Claim stranger(const StreamState& stream) {
  Claim claim{.ssrc = 1};
  const auto known = [&](const SsrcState& heard) { return heard.ssrc == claim.ssrc; };
  while (std::any_of(stream.ssrcs.begin(), stream.ssrcs.end(), known)) ++claim.ssrc;
  if (!stream.ssrcs.empty()) claim.payload_type = stream.ssrcs.back().payload_type;
  return claim;
}

Claim next_of(const SsrcState& heard) {
  return {.ssrc = heard.ssrc,
          .sequence = static_cast<std::uint16_t>(heard.last_sequence + 1),
          .timestamp = heard.last_timestamp + kPayloadBytes,
          .payload_type = heard.payload_type};
}

const ComponentState& component_of(const StreamState& stream, ComponentKind kind) {
  return kind == ComponentKind::rtp ? stream.rtp : stream.rtcp;
}

// One place where packets of one kind arrive.
struct Arrival {
  const StreamSpec& spec;
  std::size_t place;     // of the stream in the specification, and so in the state
  ComponentKind socket;  // that it arrives at
  ComponentKind kind;    // of what arrives
};

Outcome try_packet(const Call& call, const Arrival& at, const RemoteEndpoint& source,
                   const Claim& claim, Instant now) {
  const auto copy = call.copy();
  const CallState before = copy->state(now);
  const RtpPacket rtp = rtp_packet(claim);
  const RtcpPacketBytes rtcp = rtcp_packet(claim);
  const Verdict verdict =
      copy->receive(*copy->index_of(at.spec.id), at.socket, now, source,
                    at.kind == ComponentKind::rtp ? Bytes(rtp) : Bytes(rtcp), false);
  Outcome outcome{.forwarded = verdict.action == Action::forward, .reason = verdict.reason};
  if (outcome.forwarded) {
    outcome.to = *verdict.to;
    outcome.out_component = verdict.out_component;
  }
  const CallState after = copy->state(now);
  for (const StreamState& stream : after.streams) {
    if (!outcome.forwarded || copy->index_of(stream.id) != verdict.out_stream) continue;
    outcome.out_stream = stream.id;
    outcome.from = component_of(stream, verdict.out_component).local;
  }
  const ComponentState& was = component_of(before.streams[at.place], at.socket);
  const ComponentState& is = component_of(after.streams[at.place], at.socket);
  if (is.latched && !was.latched) outcome.learned = Learned::latched;
  if (is.latched && was.latched && is.remote != was.remote) outcome.learned = Learned::moved;
  return outcome;
}

Explanation explain_one(const Call& call, const CallState& state, const Arrival& at,
                        const RemoteEndpoint& source, Instant now) {
  const StreamState& stream = state.streams[at.place];
  const ComponentState& component = component_of(stream, at.socket);
  Explanation told{
      .stream = at.spec.id,
      .component = at.kind,
      .local = component.local,
      .advertised = component.advertised,
      .latched = component.latched,
      .remote = component.remote,
      .signalled = at.socket == ComponentKind::rtp ? at.spec.remote_rtp : signalled_rtcp(at.spec),
      .sip_source = at.spec.sip_source,
      .policy = at.spec.latch,
      .ice = at.spec.ice.has_value()};
  told.outcome = try_packet(call, at, source, stranger(stream), now);
  if (told.outcome.reason != Drop::ssrc_refused) return told;
  // The one heard last first: it is the one that goes on.
  auto heard = stream.ssrcs;
  std::sort(heard.begin(), heard.end(),
            [](const SsrcState& a, const SsrcState& b) { return a.last_packet > b.last_packet; });
  for (const SsrcState& ssrc : heard) {
    const Outcome outcome = try_packet(call, at, source, next_of(ssrc), now);
    if (outcome.reason == Drop::ssrc_refused) continue;
    told.continued = outcome;
    told.continued_ssrc = ssrc.ssrc;
    break;
  }
  return told;
}

}  // namespace

std::vector<Explanation> explain(const Call& call, const RemoteEndpoint& source, std::uint16_t port,
                                 Instant now) {
  std::vector<Explanation> told;
  const CallState state = call.state(now);
  const auto& streams = call.spec().streams;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (streams[i].family != source.address.family) continue;
    for (const ComponentKind kind : {ComponentKind::rtp, ComponentKind::rtcp}) {
      if (streams[i].opaque && kind == ComponentKind::rtcp) continue;
      const bool shared = kind == ComponentKind::rtcp && streams[i].rtcp_mux;
      const Arrival at{streams[i], i, shared ? ComponentKind::rtp : kind, kind};
      const ComponentState& component = component_of(state.streams[i], at.socket);
      if (component.local.port == 0) continue;
      if (port != 0 && port != component.local.port && port != component.advertised.port) continue;
      told.push_back(explain_one(call, state, at, source, now));
    }
  }
  return told;
}

}  // namespace rtpool::media
