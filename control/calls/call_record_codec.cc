#include "control/calls/call_record_codec.h"

#include <limits>
#include <utility>

#include "control/calls/relay_codec.h"
#include "control/proto/call_record.pb.h"

namespace rtpool::control {
namespace {

constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kMaxLines = media::kMaxStreamsPerCall;

Error bad(std::string what) {
  return {RelayErrc::protocol, "call record: " + std::move(what)};
}

template <class Out>
void encode_all(const std::vector<std::string>& in, Out& out) {
  for (const auto& text : in) *out.Add() = text;
}

template <class In>
std::vector<std::string> decode_all(const In& in) {
  return {in.begin(), in.end()};
}

void encode_terms(const sdp::MediaTerms& in, call::v1::MediaTerms& out) {
  out.set_type(in.type);
  out.set_protocol_text(in.protocol_text);
  out.set_protocol(static_cast<std::uint32_t>(in.protocol));
  out.set_formats(in.formats);
  for (const auto& codec : in.codecs) {
    auto& one = *out.add_codecs();
    one.set_payload_type(codec.payload_type);
    one.set_encoding(codec.encoding);
    encode_all(codec.fmtp, *one.mutable_fmtp());
    encode_all(codec.feedback, *one.mutable_feedback());
  }
  for (const auto type : in.offered) out.add_offered(type);
  out.set_mid(in.mid);
  out.set_ptime_ms(in.ptime_ms);
  out.set_ptime_fixed(in.ptime_fixed);
  out.set_rejected(in.rejected);
  out.set_known(in.known);
  out.set_rtcp_mux(in.rtcp_mux);
  out.set_mux_decided(in.mux_decided);
  out.set_ice(in.ice);
  out.set_peer_lite(in.peer_lite);
  out.set_trickle(in.trickle);
  out.set_zero_address(in.zero_address);
  if (in.family) out.set_family(*in.family == IpFamily::v4 ? 4 : 6);
}

Result<sdp::MediaTerms> decode_terms(const call::v1::MediaTerms& in) {
  if (in.protocol() > static_cast<std::uint32_t>(sdp::Protocol::other))
    return bad("unknown protocol");
  sdp::MediaTerms out;
  out.type = in.type();
  out.protocol_text = in.protocol_text();
  out.protocol = static_cast<sdp::Protocol>(in.protocol());
  out.formats = in.formats();
  for (const auto& codec : in.codecs()) {
    out.codecs.push_back({.payload_type = static_cast<std::uint8_t>(codec.payload_type()),
                          .encoding = codec.encoding(),
                          .fmtp = decode_all(codec.fmtp()),
                          .feedback = decode_all(codec.feedback())});
  }
  for (const auto type : in.offered()) out.offered.push_back(static_cast<std::uint8_t>(type));
  out.mid = in.mid();
  out.ptime_ms = in.ptime_ms();
  out.ptime_fixed = in.ptime_fixed();
  out.rejected = in.rejected();
  out.known = in.known();
  out.rtcp_mux = in.rtcp_mux();
  out.mux_decided = in.mux_decided();
  out.ice = in.ice();
  out.peer_lite = in.peer_lite();
  out.trickle = in.trickle();
  out.zero_address = in.zero_address();
  if (in.family() != 0) out.family = in.family() == 4 ? IpFamily::v4 : IpFamily::v6;
  return out;
}

void encode_leg(const Leg& in, call::v1::Leg& out) {
  out.set_tag(in.tag);
  encode_all(in.aliases, *out.mutable_aliases());
  out.set_via_branch(in.via_branch);
  out.set_label(in.label);
  out.set_created(in.created);
  for (const auto& line : in.media) {
    auto& one = *out.add_media();
    one.set_stream(line.stream.value);
    one.set_type(line.type);
    one.set_protocol(line.protocol);
  }
  auto& party = *out.mutable_party();
  for (const auto& terms : in.party.media) encode_terms(terms, *party.add_media());
  party.set_username(in.party.username);
  party.set_session_name(in.party.session_name);
  party.set_named(in.party.named);
  party.set_version(in.party.version);
  party.set_last_sent(in.party.last_sent);
  out.set_peer(static_cast<std::uint32_t>(in.peer));
}

Result<Leg> decode_leg(const call::v1::Leg& in) {
  if (static_cast<std::size_t>(in.media_size()) > kMaxLines ||
      static_cast<std::size_t>(in.party().media_size()) > kMaxLines ||
      static_cast<std::size_t>(in.aliases_size()) > kMaxAliases) {
    return bad("a leg has too many media lines or aliases");
  }
  Leg out;
  out.tag = in.tag();
  out.aliases = decode_all(in.aliases());
  out.via_branch = in.via_branch();
  out.label = in.label();
  out.created = in.created();
  for (const auto& line : in.media()) {
    out.media.push_back({.stream = media::StreamId{line.stream()},
                         .type = line.type(),
                         .protocol = line.protocol()});
  }
  for (const auto& terms : in.party().media()) {
    auto decoded = decode_terms(terms);
    if (!decoded) return decoded.error();
    out.party.media.push_back(std::move(*decoded));
  }
  out.party.username = in.party().username();
  out.party.session_name = in.party().session_name();
  out.party.named = in.party().named();
  out.party.version = in.party().version();
  out.party.last_sent = in.party().last_sent();
  out.peer = in.peer();
  return out;
}

// That what the dialogue takes for granted holds: legs point at legs, lines at streams.
Result<void> check(const CallRecord& record) {
  if (record.call_id.empty() || record.spec.key != record.call_id) return bad("not of one call");
  for (const auto& leg : record.legs) {
    if (leg.peer >= record.legs.size()) return bad("a leg's peer is not there");
    for (const auto& line : leg.media) {
      if (!line.stream.valid()) continue;
      bool found = false;
      for (const auto& stream : record.spec.streams) found = found || stream.id == line.stream;
      if (!found) return bad("a media line's stream is not there");
    }
  }
  return {};
}

}  // namespace

std::string encode_record(const CallRecord& record) {
  call::v1::Record out;
  out.set_format(kFormat);
  out.set_call_id(record.call_id);
  out.set_relay_id(record.relay.id);
  out.set_relay_address(record.relay.address);
  out.set_relay_epoch(record.relay.epoch);
  encode(record.spec, *out.mutable_spec());
  out.set_created_us(record.created_us);
  out.set_last_signal(record.last_signal);
  for (const auto& leg : record.legs) encode_leg(leg, *out.add_legs());
  out.set_last_stream(record.last_stream);
  media::CallState addresses;
  for (const auto& stream : record.endpoints) {
    media::StreamState& one = addresses.streams.emplace_back();
    one.id = stream.id;
    one.rtp.local = stream.rtp.local;
    one.rtp.advertised = stream.rtp.advertised;
    one.rtcp.local = stream.rtcp.local;
    one.rtcp.advertised = stream.rtcp.advertised;
  }
  encode(addresses, *out.mutable_endpoints());
  out.mutable_endpoints()->clear_drops();
  return out.SerializeAsString();
}

Result<CallRecord> decode_record(std::string_view bytes) {
  call::v1::Record in;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return bad("not readable");
  }
  if (in.format() != kFormat) {
    return bad("format " + std::to_string(in.format()) + ", this version knows " +
               std::to_string(kFormat));
  }
  if (static_cast<std::size_t>(in.legs_size()) > kMaxLegsPerCall) return bad("too many legs");
  CallRecord out;
  out.call_id = in.call_id();
  out.relay = {in.relay_id(), in.relay_address(), in.relay_epoch()};
  auto spec = decode(in.spec());
  if (!spec) return bad(spec.error().detail);
  out.spec = std::move(*spec);
  out.created_us = in.created_us();
  out.last_signal = in.last_signal();
  for (const auto& leg : in.legs()) {
    auto decoded = decode_leg(leg);
    if (!decoded) return decoded.error();
    out.legs.push_back(std::move(*decoded));
  }
  out.last_stream = in.last_stream();
  auto addresses = decode(in.endpoints(), Instant{});
  if (!addresses) return bad(addresses.error().detail);
  out.endpoints = std::move(addresses->streams);
  if (auto ok = check(out); !ok) return ok.error();
  return out;
}

}  // namespace rtpool::control
