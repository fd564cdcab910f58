// A Call as one shard sees it: sans-IO. Datagrams and time go in, verdicts come out.
//
// Owned by one shard and used by its thread alone. receive() neither allocates, locks, throws, logs
// nor reads a clock; update() and the constructor may allocate. A stream's index is its place in
// the call's table, fixed while the stream lives; a removed stream leaves a hole that a later one
// may take.
//
// Order of checks per datagram: classify by first byte (RFC 7983, 9443) -> source gate -> latch
// (RFC 7362) -> count -> forward. RTCP on a multiplexed port (RFC 5761) goes out on the other
// side's RTCP socket where that side does not multiplex, and the other way round.
//
// Without ICE of ours, STUN from an accepted source passes to the other side like media (the
// parties may do ICE end to end, or keep a pinhole open), and DTLS where both streams say so; never
// to a side whose ICE is ours. What is from nobody's address is source_refused whatever its shape.
// Sockets for IPv6 are expected to be IPv6-only: an IPv4-mapped source matches no signalled
// address.
//
// The media time-out runs from the answer, the latest specification or the last accepted packet,
// whichever came last; an empty keepalive of the latched source counts for it though it is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/bytes.h"
#include "relay/base/endpoint.h"
#include "relay/base/time.h"
#include "relay/media/call_spec.h"
#include "relay/media/verdict.h"

namespace rtpool::media {

// Local sockets of a stream; the port of `rtcp` is 0 where RTCP shares the RTP socket.
struct StreamSockets {
  LocalEndpoint rtp, rtcp;
  AdvertisedEndpoint advertised_rtp, advertised_rtcp;
};

// How long learning lasts once it is open, and how long the setup time-outs are, are options of the
// engine.
struct CallOptions {
  Duration learning_window = std::chrono::seconds(10);
};

class Call {
 public:
  // `sockets[i]` belongs to `spec.streams[i]`. The specification has been validated (validate()).
  Call(const CallSpec& spec, const std::vector<StreamSockets>& sockets, const CallOptions& options,
       Instant now);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // With everything learned and counted: for trying out what would become of a packet
  // (explain.h). Any thread may own the copy.
  [[nodiscard]] std::unique_ptr<Call> copy() const;

  // Applies a newer specification; `sockets[i]` belongs to `spec.streams[i]` (unchanged for streams
  // that stay). Learned endpoints, counters and SSRC state of streams that stay are kept.
  void update(const CallSpec& spec, const std::vector<StreamSockets>& sockets, Instant now);

  // The index of a stream, for receive(); nullopt when there is none of that id.
  [[nodiscard]] std::optional<std::uint16_t> index_of(StreamId id) const;

  // One datagram that came to the socket `component` of the stream at `stream`. `truncated`: it was
  // longer than the buffer. A packet is counted as sent when its verdict says forward or reply;
  // send_failed() takes that back.
  Verdict receive(std::uint16_t stream, ComponentKind component, Instant now,
                  const RemoteEndpoint& source, Bytes datagram, bool truncated);

  // Hints before receive(): what it will touch is fetched while other packets are worked on. Called
  // in this order, each for the whole batch, for each needs what the one before has fetched.
  void prefetch() const;
  void prefetch_streams() const;
  void prefetch_stream(std::uint16_t stream) const;
  void prefetch_peer(std::uint16_t stream) const;

  // The kernel refused a datagram of `bytes` that receive() had said to send from here (forward or
  // reply).
  void send_failed(std::uint16_t stream, ComponentKind component, std::size_t bytes);

  // Whether the call's time is up. Cheap; called about once a second per call.
  [[nodiscard]] std::optional<EndReason> expired(Instant now) const;

  [[nodiscard]] CallState state(Instant now) const;
  [[nodiscard]] const CallSpec& spec() const;
  [[nodiscard]] const DropCounts& drops() const;

 private:
  struct Impl;
  explicit Call(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Whether the streams fit together: ids unique and valid, at most kMaxStreamsPerCall, forward_to
// names another stream of the call, remote addresses of the stream's family with a port and such as
// media may be sent to anywhere (media_address_allowed() in target.h; loopback is the engine's to
// refuse by media_target_allowed(), which knows the local address), ICE credentials within bounds.
// Returns what is wrong, in a sentence; empty when nothing is.
std::string validate(const CallSpec& spec);

}  // namespace rtpool::media
