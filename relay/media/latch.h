// Latch: which source one component (RTP or RTCP) of a stream hears, and where it sends (RFC 7362).
// Owned by its Call, used by the shard's thread; allocates nothing, reads no clock.
// Unauthenticated: it decides by addresses, and by SSRC continuity where an address comes with a
// new port. With ICE it learns by nominate() only.
//
// Accepted addresses are the signalled IP and the SIP source, any port. Until a peer is known (none
// of the two given) nothing is accepted, which closes the window between offer and answer.
//
//   not latched   the first valid packet of an accepted address latches, whenever it comes: an
//   accepted address may
//                 be silent while it rings. RTP latches firmly; RTCP on a shared port, DTLS and
//                 STUN that pass through latch provisionally: a recvonly or DTLS-SRTP party behind
//                 a NAT has nothing else to show, and its later RTP takes over within the window.
//   latched       for the learning window from then on the exact signalled endpoint takes over from
//   another port of
//                 an accepted address. Otherwise strictly the learned source is heard.
//   rebinding     a known SSRC from another port of an accepted IP, with a sequence number that
//   carries on, moves the
//                 latch (a NAT lost its mapping); at most kMaxRebindings in a window. A foreign
//                 SSRC is refused.
//   new epoch     (re-INVITE with a changed address) the old source stays heard for one learning
//   window, or until a
//                 packet of a newly accepted source. At its end the old source is kept if it is
//                 still accepted and was heard in the second half of the window; otherwise the
//                 latch is as new.
//   signalled     policy: only the signalled endpoint is heard; nothing is learned.
//   any           policy: as `learn`, but the first valid packet latches from any address, before
//   the first latch
//                 and once more in each window that a new epoch opens.
//
// Where we send before there is a latch: the signalled endpoint. But where that is a private
// address, the SIP source a public one, and we are on the public side ourselves, nothing can be
// reached at the signalled address (worse: the operator's own network may have somebody there, put
// by whoever wrote the SDP): then it is the SIP source with the signalled port, which a static or
// port-preserving NAT makes right. That adds no new address: the SIP source is accepted anyway. In
// a new epoch we send at once to the new signalled endpoint (RFC 3264, 8.3.1) if no NAT is to be
// suspected (no SIP source, or the same IP as signalled); otherwise to the old source until the new
// one is heard.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/base/endpoint.h"
#include "relay/base/time.h"
#include "relay/media/call_spec.h"

namespace rtpool::media {

// Changes of the latched port that continuity of an SSRC may cause within one learning window.
inline constexpr std::uint8_t kMaxRebindings = 8;

// RFC 1918, RFC 6598 (carrier NAT), RFC 4193.
bool is_private(const IpAddress& address);

struct LatchConfig {
  LatchPolicy policy = LatchPolicy::learn;
  bool ice = false;  // only nominate() latches
  std::optional<RemoteEndpoint> signalled;
  std::optional<IpAddress> sip_source;
  IpAddress local;       // of our socket
  IpAddress advertised;  // which side of a NAT we are on
  std::uint32_t epoch = 0;
  Duration learning_window{};
};

class Latch {
 public:
  enum class Gate : std::uint8_t {
    refused,    // neither signalled, nor latched, nor learnable
    heard,      // the source that counts
    candidate,  // acceptable if admit() agrees
  };
  // What a valid packet of a candidate says for it.
  struct Evidence {
    bool media = false;      // RTP, or a datagram of an opaque stream: latches firmly
    bool continues = false;  // known SSRC, credible sequence number
  };
  enum class Admission : std::uint8_t { admitted, foreign, too_often };

  // First configuration, and every later one. A change of `epoch`, of `policy` or of `ice` opens
  // learning anew.
  void configure(const LatchConfig& config, Instant now);

  // `companion`: the IP that the stream's other component is latched to; accepted as well.
  [[nodiscard]] Gate check(const RemoteEndpoint& source, Instant now,
                           const IpAddress* companion = nullptr);
  // For a candidate whose packet was found valid; when admitted, it is latched.
  Admission admit(const RemoteEndpoint& source, Instant now, Evidence evidence);
  // An ICE check with USE-CANDIDATE was authenticated (RFC 8445, 7.3.1.5).
  void nominate(const RemoteEndpoint& source, Instant now);
  // A packet of the latched source was accepted; media makes a provisional latch firm.
  void touch(Instant now, bool media) {
    last_heard_ = now;
    firm_ = firm_ || media;
  }

  // Where to send; nullptr: not known yet.
  [[nodiscard]] const RemoteEndpoint* target(Instant now) {
    if (stale_ && now >= window_end_) [[unlikely]]
      settle();
    return has_target_ ? &target_ : nullptr;
  }
  void prefetch() const {
    __builtin_prefetch(&source_, 1);
    __builtin_prefetch(&last_heard_, 1);
  }
  [[nodiscard]] bool latched() const { return latched_; }
  // The learned source; meaningful when latched().
  [[nodiscard]] const RemoteEndpoint& source() const { return source_; }

 private:
  [[nodiscard]] bool accepted(const IpAddress& address, const IpAddress* companion) const;
  [[nodiscard]] bool exact(const RemoteEndpoint& source) const;
  [[nodiscard]] bool learns_from_any(Instant now) const;
  [[nodiscard]] bool nat_suspected() const;
  [[nodiscard]] std::optional<RemoteEndpoint> unlearned_target() const;
  void latch(const RemoteEndpoint& source, Instant now, bool firm);
  void unlatch();
  void settle();

  RemoteEndpoint source_;  // compared with every packet: first
  bool latched_ = false;
  bool stale_ = false;  // learned in an earlier epoch, the window for the new one is open
  bool firm_ = false;
  bool has_target_ = false;
  bool configured_ = false;
  std::uint8_t rebindings_ = 0;
  RemoteEndpoint target_;
  Instant window_end_{};  // of learning; counts while latched
  Instant last_heard_{};
  LatchConfig config_;
};

}  // namespace rtpool::media
