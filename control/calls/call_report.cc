#include "control/calls/call_report.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

namespace rtpool::control {
namespace {

std::string_view family_of(const Endpoint& endpoint) {
  return endpoint.address.is_v4() ? "IPv4" : "IPv6";
}

ng::Value endpoint_value(const Endpoint& endpoint) {
  return ng::Value::dictionary({{"family", family_of(endpoint)},
                                {"address", endpoint.address.to_string()},
                                {"port", endpoint.port}});
}

ng::Value stats_value(const media::PacketCounts& received, std::uint64_t errors) {
  return ng::Value::dictionary(
      {{"packets", received.packets}, {"bytes", received.bytes}, {"errors", errors}});
}

// Unix seconds of an instant, from how long ago it was when the state was taken.
std::int64_t unix_seconds(Instant instant, const CallRecord& record,
                          const media::CallState& state) {
  if (instant == Instant{}) return 0;
  const auto since_start = instant - state.created;
  return (record.created_us +
          std::chrono::duration_cast<std::chrono::microseconds>(since_start).count()) /
         1'000'000;
}

struct Side {
  const media::StreamSpec* spec = nullptr;
  const media::StreamState* state = nullptr;
};

ng::Value component_value(const Side& side, bool rtcp, const CallRecord& record,
                          const media::CallState* call) {
  const auto& component = rtcp ? side.state->rtcp : side.state->rtp;
  const auto& signalled = rtcp ? side.spec->remote_rtcp : side.spec->remote_rtp;
  auto value = ng::Value::dictionary({{"local port", component.local.port},
                                      {"local address", component.local.address.to_string()},
                                      {"family", family_of(component.local)}});
  if (component.remote) value.set("endpoint", endpoint_value(*component.remote));
  if (signalled) value.set("advertised endpoint", endpoint_value(*signalled));
  value.set("last packet",
            call == nullptr ? 0 : unix_seconds(component.last_packet, record, *call));
  auto flags = ng::Value::list({rtcp ? "RTCP" : "RTP"});
  if (component.remote) flags.add("filled");
  if (component.latched) flags.add("confirmed");
  if (side.spec->rtcp_mux) flags.add("rtcp mux");
  value.set("flags", flags);
  if (!rtcp && !side.state->ssrcs.empty()) value.set("SSRC", side.state->ssrcs.back().ssrc);
  value.set("stats", stats_value(component.received, component.dropped));
  value.set("stats_out", stats_value(component.sent, 0));
  return value;
}

std::string_view direction_of(const CallRecord& record, const media::StreamSpec& spec) {
  const auto other = std::find_if(record.spec.streams.begin(), record.spec.streams.end(),
                                  [&](const auto& stream) { return stream.id == spec.forward_to; });
  const bool may_talk = other != record.spec.streams.end() && other->send;
  if (spec.send) return may_talk ? "sendrecv" : "recvonly";
  return may_talk ? "sendonly" : "inactive";
}

ng::Value media_value(const MediaLine& line, std::size_t index, const Side& side,
                      const CallRecord& record, const media::CallState* call) {
  auto value = ng::Value::dictionary(
      {{"index", index + 1}, {"type", line.type}, {"protocol", line.protocol}});
  auto streams = ng::Value::list();
  auto flags = ng::Value::list({"initialized", direction_of(record, *side.spec)});
  if (side.spec->rtcp_mux) flags.add("rtcp-mux");
  if (side.spec->ice) flags.add("ICE");
  streams.add(component_value(side, false, record, call));
  if (side.state->rtcp.local.port != 0) streams.add(component_value(side, true, record, call));
  value.set("streams", streams);
  value.set("flags", flags);
  return value;
}

void add_ssrcs(ng::Value& ssrcs, const media::StreamState& stream) {
  for (const auto& ssrc : stream.ssrcs) {
    ssrcs.append(std::to_string(ssrc.ssrc),
                 ng::Value::dictionary({{"bytes", ssrc.received.bytes},
                                        {"packets", ssrc.received.packets},
                                        {"lost", std::max<std::int64_t>(ssrc.lost, 0)},
                                        {"jitter", ssrc.jitter},
                                        {"payload type", ssrc.payload_type},
                                        {"last RTP timestamp", ssrc.last_timestamp},
                                        {"last RTP seq", ssrc.last_sequence}}));
  }
}

struct Totals {
  media::PacketCounts rtp, rtcp;
  std::uint64_t rtp_errors = 0, rtcp_errors = 0;

  void add(const media::StreamState& stream) {
    rtp.packets += stream.rtp.received.packets;
    rtp.bytes += stream.rtp.received.bytes;
    rtp_errors += stream.rtp.dropped;
    rtcp.packets += stream.rtcp.received.packets;
    rtcp.bytes += stream.rtcp.received.bytes;
    rtcp_errors += stream.rtcp.dropped;
  }
};

}  // namespace

ng::Value call_report(const CallRecord& record, const media::CallState* state) {
  const auto& streams = state != nullptr ? state->streams : record.endpoints;
  auto ssrcs = ng::Value::dictionary();
  Totals totals;
  for (const auto& stream : streams) {
    totals.add(stream);
    add_ssrcs(ssrcs, stream);
  }
  auto tags = ng::Value::dictionary();
  for (const auto& leg : record.legs) {
    auto value = ng::Value::dictionary({{"tag", leg.tag}});
    if (!leg.via_branch.empty()) value.set("via-branch", leg.via_branch);
    if (!leg.label.empty()) value.set("label", leg.label);
    value.set("created", leg.created);
    if (leg.peer < record.legs.size()) value.set("in dialogue with", record.legs[leg.peer].tag);
    auto medias = ng::Value::list();
    for (std::size_t i = 0; i < leg.media.size(); ++i) {
      Side side;
      for (const auto& spec : record.spec.streams)
        side.spec = spec.id == leg.media[i].stream ? &spec : side.spec;
      for (const auto& one : streams)
        side.state = one.id == leg.media[i].stream ? &one : side.state;
      if (side.spec != nullptr && side.state != nullptr)
        medias.add(media_value(leg.media[i], i, side, record, state));
    }
    value.set("medias", medias);
    tags.append(leg.tag, std::move(value));
  }
  auto report = ng::Value::dictionary({{"result", "ok"},
                                       {"created", record.created_us / 1'000'000},
                                       {"created_us", record.created_us},
                                       {"last signal", record.last_signal},
                                       {"relay", record.relay.id}});
  report.set("SSRC", std::move(ssrcs)).set("tags", std::move(tags));
  report.set("totals",
             ng::Value::dictionary({{"RTP", stats_value(totals.rtp, totals.rtp_errors)},
                                    {"RTCP", stats_value(totals.rtcp, totals.rtcp_errors)}}));
  return report;
}

}  // namespace rtpool::control
