#include "relay/media/call.h"

#include <algorithm>

#include "relay/base/assert.h"
#include "relay/media/demux.h"
#include "relay/media/rtcp.h"
#include "relay/media/stream.h"

namespace rtpool::media {
namespace {

// One datagram on its way through the checks.
struct Arrival {
  std::uint16_t index;
  ComponentKind kind;
  Stream& stream;
  Component& component;
  Instant now;
  const RemoteEndpoint& source;
  Bytes datagram;
};

// What every RTP packet touches of the stream that it came to.
void prefetch_lines(const Stream& stream) {
  stream.rtp.latch.prefetch();
  __builtin_prefetch(&stream.rtp.received, 1);
  __builtin_prefetch(&stream.rtp.last_packet, 1);
  __builtin_prefetch(&stream.ssrcs, 1);
}

// How a datagram leaves: media is held back on hold, control and handshakes are not.
enum class Passage : std::uint8_t { media, control, handshake };

}  // namespace

struct Call::Impl {
  Impl(const CallSpec& s, const CallOptions& o, Instant now)
      : last_activity(now), spec(s), options(o), created(now) {}

  void configure(const std::vector<StreamSockets>& sockets, Instant now);
  std::uint16_t place_of(StreamId id);

  Verdict receive(Arrival& arrival, bool truncated);
  Verdict receive_rtp(Arrival& arrival, Latch::Gate gate);
  Verdict receive_rtcp(Arrival& arrival, Latch::Gate gate);
  Verdict receive_handshake(Arrival& arrival, Latch::Gate gate, PacketKind kind);
  Verdict answer_check(Arrival& arrival);
  Latch::Gate gate(const Arrival& arrival) const;
  // Drop::none: let in.
  Drop admit(Arrival& arrival, Latch::Gate gate, Latch::Evidence evidence);
  Verdict forward(Arrival& arrival, Passage passage);
  Verdict drop(Component& component, Drop reason) {
    ++component.dropped;
    ++drops[static_cast<std::size_t>(reason)];
    return {.action = Action::drop, .reason = reason};
  }

  std::vector<Stream> streams;
  DropCounts drops{};
  Instant last_activity;
  RemoteEndpoint reply_to;
  CallSpec spec;
  CallOptions options;
  Instant created;
};

// A place for a new stream: a hole that an earlier update left, or one more at the end.
std::uint16_t Call::Impl::place_of(StreamId id) {
  const auto named = [](StreamId wanted) {
    return [wanted](const Stream& stream) { return stream.id == wanted; };
  };
  auto it = std::find_if(streams.begin(), streams.end(), named(id));
  if (it == streams.end()) it = std::find_if(streams.begin(), streams.end(), named(StreamId{}));
  if (it == streams.end()) it = streams.emplace(streams.end());
  return static_cast<std::uint16_t>(it - streams.begin());
}

void Call::Impl::configure(const std::vector<StreamSockets>& sockets, Instant now) {
  RTPOOL_ASSERT(sockets.size() == spec.streams.size());
  RTPOOL_ASSERT(spec.streams.size() <= kMaxStreamsPerCall);
  for (std::size_t i = 0; i < spec.streams.size(); ++i) {
    const StreamSpec& wanted = spec.streams[i];
    streams[place_of(wanted.id)].configure(wanted, sockets[i], options.learning_window, now);
  }
  // Only now: a new stream must not take the place of one that is just going, whose last datagrams
  // may be in flight.
  for (Stream& stream : streams) {
    const bool kept = std::any_of(spec.streams.begin(), spec.streams.end(),
                                  [&](const StreamSpec& s) { return s.id == stream.id; });
    if (!kept) stream = Stream{};
  }
  for (const StreamSpec& wanted : spec.streams) {
    Stream& stream = streams[place_of(wanted.id)];
    stream.peer = wanted.forward_to.valid() ? place_of(wanted.forward_to) : kNoStream;
  }
}

Latch::Gate Call::Impl::gate(const Arrival& arrival) const {
  // RTCP is accepted from the address that RTP was learned from, where there is no ICE to decide.
  const Latch& rtp = arrival.stream.rtp.latch;
  const bool companion = arrival.kind == ComponentKind::rtcp && rtp.latched();
  Component& component = arrival.component;
  const Latch::Gate result = component.latch.check(arrival.source, arrival.now,
                                                   companion ? &rtp.source().address : nullptr);
  if (result == Latch::Gate::refused && component.ice && component.ice->heard(arrival.source)) {
    return Latch::Gate::heard;
  }
  return result;
}

Drop Call::Impl::admit(Arrival& arrival, Latch::Gate gate, Latch::Evidence evidence) {
  Latch& latch = arrival.component.latch;
  if (gate == Latch::Gate::heard) [[likely]] {
    if (arrival.source == latch.source()) latch.touch(arrival.now, evidence.media);
    return Drop::none;
  }
  switch (latch.admit(arrival.source, arrival.now, evidence)) {
    case Latch::Admission::admitted:
      return Drop::none;
    case Latch::Admission::foreign:
      return Drop::ssrc_refused;
    case Latch::Admission::too_often:
      return Drop::rate_limited;
  }
  return Drop::ssrc_refused;
}

Verdict Call::Impl::receive(Arrival& arrival, bool truncated) {
  const bool present = !arrival.datagram.empty() && !truncated;
  const PacketKind kind = present ? classify(arrival.datagram) : PacketKind::unknown;
  if (kind == PacketKind::stun && arrival.component.ice) return answer_check(arrival);

  const Latch::Gate gate = this->gate(arrival);
  if (gate == Latch::Gate::refused) return drop(arrival.component, Drop::source_refused);
  if (!present) [[unlikely]] {
    if (truncated) return drop(arrival.component, Drop::truncated);
    if (gate == Latch::Gate::heard) last_activity = arrival.now;
    return drop(arrival.component, Drop::empty);
  }
  if (arrival.stream.opaque) {
    const Drop refused = admit(arrival, gate, {.media = true});
    return refused == Drop::none ? forward(arrival, Passage::media)
                                 : drop(arrival.component, refused);
  }
  switch (kind) {
    case PacketKind::rtp:
      return receive_rtp(arrival, gate);
    case PacketKind::rtcp:
      return receive_rtcp(arrival, gate);
    case PacketKind::stun:
    case PacketKind::dtls:
      return receive_handshake(arrival, gate, kind);
    default:
      return drop(arrival.component, Drop::unexpected_protocol);
  }
}

Verdict Call::Impl::receive_rtp(Arrival& arrival, Latch::Gate gate) {
  if (arrival.kind == ComponentKind::rtcp) {
    return drop(arrival.component, Drop::unexpected_protocol);
  }
  const auto packet = RtpView::parse(arrival.datagram);
  if (!packet) return drop(arrival.component, Drop::malformed_rtp);
  SsrcTable& ssrcs = arrival.stream.ssrcs;
  const bool continues =
      gate == Latch::Gate::candidate && ssrcs.continues(packet->ssrc(), packet->sequence());
  const Drop refused = admit(arrival, gate, {.media = true, .continues = continues});
  if (refused != Drop::none) return drop(arrival.component, refused);
  ssrcs.record(*packet, arrival.datagram.size(), arrival.now);
  return forward(arrival, Passage::media);
}

Verdict Call::Impl::receive_rtcp(Arrival& arrival, Latch::Gate gate) {
  const auto packet = RtcpView::parse(arrival.datagram);
  if (!packet) return drop(arrival.component, Drop::malformed_rtcp);
  Stream& stream = arrival.stream;
  // On a shared port the latch is RTP's: RTCP alone does not move it.
  const bool own_port = arrival.kind == ComponentKind::rtcp;
  const std::uint32_t ssrc = packet->sender_ssrc();
  const bool known =
      (stream.has_rtcp_ssrc && stream.rtcp_ssrc == ssrc) || stream.ssrcs.contains(ssrc);
  const Drop refused = admit(arrival, gate, {.media = own_port, .continues = own_port && known});
  if (refused != Drop::none) return drop(arrival.component, refused);
  if (own_port) {
    stream.rtcp_ssrc = ssrc;
    stream.has_rtcp_ssrc = true;
  }
  return forward(arrival, Passage::control);
}

// STUN and DTLS between the parties. Both ends must have a use for it.
Verdict Call::Impl::receive_handshake(Arrival& arrival, Latch::Gate gate, PacketKind kind) {
  const Stream* peer = arrival.stream.peer != kNoStream ? &streams[arrival.stream.peer] : nullptr;
  bool wanted = false;
  if (kind == PacketKind::dtls) {
    wanted = arrival.stream.pass_dtls && (peer == nullptr || peer->pass_dtls) &&
             looks_like_dtls(arrival.datagram);
  } else {
    if (!StunView::parse(arrival.datagram)) return drop(arrival.component, Drop::malformed_stun);
    wanted = peer == nullptr || (!peer->rtp.ice && !peer->rtcp.ice);
  }
  if (!wanted) return drop(arrival.component, Drop::unexpected_protocol);
  const Drop refused = admit(arrival, gate, {});
  if (refused != Drop::none) return drop(arrival.component, refused);
  return forward(arrival, Passage::handshake);
}

Verdict Call::Impl::answer_check(Arrival& arrival) {
  Component& component = arrival.component;
  const auto request = StunView::parse(arrival.datagram);
  if (!request) return drop(component, Drop::malformed_stun);
  if (arrival.source.port == 0) return drop(component, Drop::source_refused);
  const IceLite::Answer answer = component.ice->answer(*request, arrival.source, arrival.now);
  switch (answer.outcome) {
    case IceLite::Outcome::unexpected:
      return drop(component, Drop::unexpected_protocol);
    case IceLite::Outcome::unauthenticated:
      return drop(component, Drop::stun_unauthenticated);
    case IceLite::Outcome::too_often:
      return drop(component, Drop::rate_limited);
    case IceLite::Outcome::nominated:
      component.latch.nominate(arrival.source, arrival.now);
      break;
    case IceLite::Outcome::answered:
      break;
  }
  component.count_received(arrival.datagram.size(), arrival.now);
  component.count_sent(answer.reply.size());
  last_activity = arrival.now;
  reply_to = arrival.source;
  return {.action = Action::reply,
          .out_stream = arrival.index,
          .out_component = arrival.kind,
          .to = &reply_to,
          .payload = answer.reply};
}

Verdict Call::Impl::forward(Arrival& arrival, Passage passage) {
  const std::size_t bytes = arrival.datagram.size();
  arrival.component.count_received(bytes, arrival.now);
  last_activity = arrival.now;
  const std::uint16_t peer_index = arrival.stream.peer;
  if (peer_index == kNoStream) return drop(arrival.component, Drop::no_peer);
  Stream& peer = streams[peer_index];
  if (passage == Passage::media && !peer.send) return drop(arrival.component, Drop::on_hold);

  ComponentKind out = arrival.kind;
  if (passage == Passage::control) out = peer.rtcp_mux ? ComponentKind::rtp : ComponentKind::rtcp;
  Component& component = peer.component(out);
  // RTCP where the other side has no socket for it, a handshake on an RTCP port that it does not
  // have.
  if (!component.has_socket()) return drop(arrival.component, Drop::no_peer);
  const RemoteEndpoint* to = component.latch.target(arrival.now);
  if (to == nullptr) return drop(arrival.component, Drop::peer_unknown);
  component.count_sent(bytes);
  return {.action = Action::forward, .out_stream = peer_index, .out_component = out, .to = to};
}

Call::Call(const CallSpec& spec, const std::vector<StreamSockets>& sockets,
           const CallOptions& options, Instant now)
    : impl_(std::make_unique<Impl>(spec, options, now)) {
  impl_->configure(sockets, now);
}

Call::Call(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Call::~Call() = default;

std::unique_ptr<Call> Call::copy() const {
  return std::unique_ptr<Call>(new Call(std::make_unique<Impl>(*impl_)));
}

void Call::update(const CallSpec& spec, const std::vector<StreamSockets>& sockets, Instant now) {
  if (spec.revision < impl_->spec.revision) return;
  const bool newer = spec.revision > impl_->spec.revision;
  impl_->spec = spec;
  impl_->configure(sockets, now);
  if (newer) impl_->last_activity = std::max(impl_->last_activity, now);
}

std::optional<std::uint16_t> Call::index_of(StreamId id) const {
  if (!id.valid()) return std::nullopt;
  for (std::size_t i = 0; i < impl_->streams.size(); ++i) {
    if (impl_->streams[i].id == id) return static_cast<std::uint16_t>(i);
  }
  return std::nullopt;
}

Verdict Call::receive(std::uint16_t stream, ComponentKind component, Instant now,
                      const RemoteEndpoint& source, Bytes datagram, bool truncated) {
  Impl& impl = *impl_;
  if (stream >= impl.streams.size() || !impl.streams[stream].live()) [[unlikely]] {
    // The stream was removed while the datagram waited.
    ++impl.drops[static_cast<std::size_t>(Drop::no_call)];
    return {.action = Action::drop, .reason = Drop::no_call};
  }
  Stream& receiving = impl.streams[stream];
  Arrival arrival{.index = stream,
                  .kind = component,
                  .stream = receiving,
                  .component = receiving.component(component),
                  .now = now,
                  .source = source,
                  .datagram = datagram};
  return impl.receive(arrival, truncated);
}

void Call::prefetch() const {
  __builtin_prefetch(&impl_->streams, 1);
  __builtin_prefetch(&impl_->last_activity, 1);
}

void Call::prefetch_streams() const {
  for (const Stream& stream : impl_->streams) __builtin_prefetch(&stream);
}

void Call::prefetch_stream(std::uint16_t index) const {
  if (index >= impl_->streams.size()) return;
  prefetch_lines(impl_->streams[index]);
}

void Call::prefetch_peer(std::uint16_t index) const {
  if (index >= impl_->streams.size()) return;
  const Stream& stream = impl_->streams[index];
  stream.ssrcs.prefetch();
  if (stream.peer >= impl_->streams.size()) return;
  const Component& out = impl_->streams[stream.peer].rtp;
  out.latch.prefetch();
  __builtin_prefetch(&out.sent, 1);
  __builtin_prefetch(&out.local);
}

void Call::send_failed(std::uint16_t stream, ComponentKind component, std::size_t bytes) {
  ++impl_->drops[static_cast<std::size_t>(Drop::send_failed)];
  // The stream may have gone since, and another have come to its place.
  if (stream >= impl_->streams.size()) return;
  PacketCounts& sent = impl_->streams[stream].component(component).sent;
  if (sent.packets > 0) --sent.packets;
  sent.bytes -= std::min<std::uint64_t>(bytes, sent.bytes);
}

std::optional<EndReason> Call::expired(Instant now) const {
  const CallSpec& spec = impl_->spec;
  const auto over = [now](Duration limit, Instant since) {
    return limit > Duration::zero() && now - since >= limit;
  };
  if (over(spec.max_duration, impl_->created)) return EndReason::max_duration;
  if (!spec.answered) {
    return over(spec.setup_timeout, impl_->created) ? std::optional(EndReason::setup_timeout)
                                                    : std::nullopt;
  }
  if (over(spec.media_timeout, impl_->last_activity)) return EndReason::media_timeout;
  return std::nullopt;
}

CallState Call::state(Instant now) const {
  CallState state{.key = impl_->spec.key,
                  .revision = impl_->spec.revision,
                  .created = impl_->created,
                  .observed = now,
                  .drops = impl_->drops};
  state.streams.reserve(impl_->spec.streams.size());
  for (const StreamSpec& wanted : impl_->spec.streams) {
    const Stream& stream = impl_->streams[*index_of(wanted.id)];
    state.streams.push_back({.id = stream.id,
                             .rtp = stream.rtp.state(now),
                             .rtcp = stream.rtcp.state(now),
                             .ssrcs = stream.ssrcs.states()});
  }
  return state;
}

const CallSpec& Call::spec() const {
  return impl_->spec;
}
const DropCounts& Call::drops() const {
  return impl_->drops;
}

}  // namespace rtpool::media
