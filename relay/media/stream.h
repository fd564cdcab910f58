// One MediaStream of a Call as the shard keeps it: its two components with latch, ICE agent and
// counters, and its SSRC table. Private to relay/media (call.cc); a value in the call's table, used
// by the shard's thread. configure() may allocate (ICE credentials), nothing else does.
#pragma once

#include <cstdint>
#include <memory>

#include "relay/base/endpoint.h"
#include "relay/base/time.h"
#include "relay/media/call.h"
#include "relay/media/ice_lite.h"
#include "relay/media/latch.h"
#include "relay/media/ssrc.h"

namespace rtpool::media {

inline constexpr std::uint16_t kNoStream = 0xffff;

struct Component {
  Latch latch;
  std::unique_ptr<IceLite> ice;  // null: no ICE of ours
  PacketCounts received, sent;
  std::uint64_t dropped = 0;
  Instant last_packet{};
  LocalEndpoint local;
  AdvertisedEndpoint advertised;

  [[nodiscard]] bool has_socket() const { return local.port != 0; }
  void count_received(std::size_t bytes, Instant now) {
    ++received.packets;
    received.bytes += bytes;
    last_packet = now;
  }
  void count_sent(std::size_t bytes) {
    ++sent.packets;
    sent.bytes += bytes;
  }
  [[nodiscard]] ComponentState state(Instant now) const;
};

struct Stream {
  StreamId id;                     // invalid: a hole in the table
  std::uint16_t peer = kNoStream;  // index of the stream that `forward_to` names
  bool send = true;
  bool rtcp_mux = false;
  bool pass_dtls = false;
  bool opaque = false;
  bool has_rtcp_ssrc = false;
  std::uint32_t rtcp_ssrc = 0;  // of the last RTCP sender accepted on the RTCP socket
  Component rtp, rtcp;
  SsrcTable ssrcs;

  [[nodiscard]] bool live() const { return id.valid(); }
  Component& component(ComponentKind kind) { return kind == ComponentKind::rtp ? rtp : rtcp; }
  // Everything but `peer`, which needs the other streams.
  void configure(const StreamSpec& spec, const StreamSockets& sockets, Duration learning_window,
                 Instant now);
};

}  // namespace rtpool::media
