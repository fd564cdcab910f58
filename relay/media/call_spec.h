// What a relay is told of a call (CallSpec) and what it tells back (CallState). The specification
// is whole and declarative: applying it twice changes nothing, so that a request repeated after a
// lost reply is harmless.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/ids.h"
#include "relay/base/time.h"
#include "relay/media/verdict.h"

namespace rtpool::media {

// Names one MediaStream of a call. Chosen by the controller, counts from 1, never reused within the
// call.
using StreamId = StrongId<struct StreamIdTag>;

// Whose packets a stream accepts, and whether it learns where to send (RFC 7362; docs of the latch:
// latch.h).
enum class LatchPolicy : std::uint8_t {
  // Default: from the signalled address or the SIP source, any port; then strictly the learned one.
  learn,
  // Never learn: only the signalled endpoint is heard and sent to (NG flag `asymmetric`).
  signalled,
  // Learn from any address once per learning window (NG flag `media-handover`): closed networks.
  any,
};

// ICE credentials of one stream; we are a lite agent (RFC 8445, 2.5). All four are ASCII, remote
// ones may be empty until the answer.
struct IceSpec {
  std::string local_ufrag, local_pwd;
  std::string remote_ufrag, remote_pwd;
  bool operator==(const IceSpec&) const = default;
};

// One m= line of one party. Packets received from this party leave through the stream `forward_to`.
struct StreamSpec {
  StreamId id;
  std::string interface;  // name of the media address to use; empty: the first of the family
  IpFamily family = IpFamily::v4;
  bool rtcp_mux = false;  // RTP and RTCP share the RTP port (RFC 5761) towards this party
  std::optional<RemoteEndpoint> remote_rtp;   // as signalled; absent: not known yet, or port 0
  std::optional<RemoteEndpoint> remote_rtcp;  // absent: none signalled
  std::optional<IpAddress> sip_source;  // also accepted as a source of media (NG `received-from`)
  StreamId forward_to;                  // invalid: nobody, packets are counted and dropped
  bool send = true;  // false: this party is on hold and must not be sent media (RTCP goes on)
  LatchPolicy latch = LatchPolicy::learn;
  // A change opens a new learning window: the party's address changed.
  std::uint32_t learn_epoch = 0;
  bool pass_dtls = false;  // DTLS records pass between the parties (DTLS-SRTP end to end)
  bool opaque = false;     // not RTP (T.38 UDPTL and the like): any datagram passes, unparsed
  std::uint8_t tos = 0;    // IPv4 TOS / IPv6 traffic class of what we send
  std::optional<IceSpec> ice;

  bool operator==(const StreamSpec&) const = default;
};

struct CallSpec {
  std::string key;                  // SIP Call-ID: opaque, unique on the relay
  std::uint64_t revision = 0;       // grows with every change; an older one is refused
  bool answered = false;            // an answer was seen: the set-up time-out no longer applies
  Duration setup_timeout{};         // offer never answered; 0: none
  Duration media_timeout{};         // no accepted packet on any stream since the answer; 0: none
  Duration max_duration{};          // since creation; 0: none
  std::vector<StreamSpec> streams;  // removed streams lose their ports

  bool operator==(const CallSpec&) const = default;
};

inline constexpr std::size_t kMaxStreamsPerCall = 64;
inline constexpr std::size_t kMaxSsrcsPerStream = 8;
inline constexpr std::size_t kMaxCallKeyBytes = 1024;
inline constexpr std::size_t kMaxIceCredentialBytes = 256;  // RFC 8839, 5.4

struct PacketCounts {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // UDP payload
};

// One synchronisation source as received (RFC 3550, 6.4.1 and A.3, A.8).
struct SsrcState {
  std::uint32_t ssrc = 0;
  PacketCounts received;
  std::uint16_t last_sequence = 0;
  std::uint32_t last_timestamp = 0;
  std::uint8_t payload_type = 0;
  std::int64_t lost = 0;     // expected minus received; negative with duplicates
  std::uint32_t jitter = 0;  // interarrival jitter in RTP timestamp units
  Instant first_packet{}, last_packet{};
};

struct ComponentState {
  LocalEndpoint local;  // port 0: this component has no socket (rtcp-mux)
  AdvertisedEndpoint advertised;
  std::optional<RemoteEndpoint> remote;  // where we send now
  bool latched = false;                  // `remote` was learned from packets
  // Received counts what source and shape let in, also when there was nowhere to send it.
  PacketCounts received, sent;
  std::uint64_t dropped = 0;  // received here and dropped, any reason
  Instant last_packet{};      // of an accepted one; zero: none
};

struct StreamState {
  StreamId id;
  ComponentState rtp, rtcp;
  std::vector<SsrcState> ssrcs;  // at most kMaxSsrcsPerStream, in order of appearance
};

struct CallState {
  std::string key;
  std::uint64_t revision = 0;
  Instant created{};
  Instant observed{};                // when this state was taken
  std::vector<StreamState> streams;  // in the order of the specification
  DropCounts drops{};
};

enum class EndReason : std::uint8_t {
  deleted,
  setup_timeout,
  media_timeout,
  max_duration,
  shutdown
};
std::string_view to_string(EndReason reason);

}  // namespace rtpool::media
