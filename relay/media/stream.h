// One MediaStream of a Call as the shard keeps it: its two components with latch, ICE agent and
// counters, and its SSRC table. Private to relay/media (call.cc); a value in the call's table, used
// by the shard's thread. configure() may allocate (ICE credentials), nothing else does.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "relay/base/endpoint.h"
#include "relay/base/time.h"
#include "relay/media/call.h"
#include "relay/media/ice_lite.h"
#include "relay/media/latch.h"
#include "relay/media/ssrc.h"

namespace rtpool::media {

inline constexpr std::uint16_t kNoStream = 0xffff;

// An agent, or none; apart from the component because few have one. A copy has an agent of its own.
class IceAgent {
 public:
  IceAgent() = default;
  IceAgent(const IceAgent& other)
      : agent_(other.agent_ ? std::make_unique<IceLite>(*other.agent_) : nullptr) {}
  IceAgent(IceAgent&&) = default;
  IceAgent& operator=(const IceAgent&) = delete;
  IceAgent& operator=(IceAgent&&) = default;
  ~IceAgent() = default;

  explicit operator bool() const { return agent_ != nullptr; }
  IceLite* operator->() { return agent_.get(); }
  const IceLite* operator->() const { return agent_.get(); }
  void start(const IceSpec& spec) { agent_ = std::make_unique<IceLite>(spec); }
  void reset() { agent_.reset(); }

 private:
  std::unique_ptr<IceLite> agent_;
};

struct Component {
  Latch latch;
  IceAgent ice;
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

// RFC 3605: without an RTCP attribute it is the port above RTP's.
std::optional<RemoteEndpoint> signalled_rtcp(const StreamSpec& spec);

}  // namespace rtpool::media
