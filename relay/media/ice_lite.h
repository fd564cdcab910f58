// The lite ICE agent of one component (RFC 8445, 2.5): it answers authenticated Binding requests on
// the socket they came to and reports what they mean for the latch. It never sends a check of its
// own, and is always the controlled agent: two lite agents (RFC 8445, 6.1.1) are not served.
//
// Requests with wrong or missing credentials get no answer, where RFC 8489, 9.1.3 asks for error
// 400 or 401: their source may be forged, nobody has vouched for it, and a relay must not be made
// to send to a third party. Costs are bounded in this order: the user name is compared first, then
// at most kMaxChecksPerSecond HMACs are computed.
//
// Sources with an authenticated check are heard (at most kMaxCheckedSources, the least recently
// checked goes first); the one of the last USE-CANDIDATE is where we send. A new local or remote
// credential is an ICE restart: the selected pair goes on until another is nominated, other checked
// sources are forgotten.
//
// A source that was checked before the answer (no remote user fragment known yet) is only believed
// as far as its own user fragment turns out to be the answer's: forked callees all know our
// password.
//
// Used by the shard's thread; answer() and heard() allocate nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "relay/base/bytes.h"
#include "relay/base/endpoint.h"
#include "relay/base/time.h"
#include "relay/media/call_spec.h"
#include "relay/media/hmac_sha1.h"
#include "relay/media/stun.h"

namespace rtpool::media {

inline constexpr std::size_t kMaxCheckedSources = 8;
inline constexpr std::uint32_t kMaxChecksPerSecond = 200;
inline constexpr std::size_t kMaxUfragBytes = 256;  // RFC 8839, 5.4

class IceLite {
 public:
  enum class Outcome : std::uint8_t {
    answered,    // send `reply` back
    nominated,   // the same, and the source is now the selected one
    unexpected,  // not a Binding request: we sent nothing that could be answered
    unauthenticated,
    too_often,
  };
  struct Answer {
    Outcome outcome;
    Bytes reply;  // valid until the next answer()
  };

  explicit IceLite(const IceSpec& spec);

  // New credentials. Returns the source that a check nominated before the remote user fragment was
  // known and that has turned out to be the party's.
  std::optional<RemoteEndpoint> configure(const IceSpec& spec);

  Answer answer(const StunView& request, const RemoteEndpoint& source, Instant now);

  // Whether a check from there was authenticated.
  [[nodiscard]] bool heard(const RemoteEndpoint& source) const;
  // The party has shown or told its credentials: media may pass.
  [[nodiscard]] bool peer_known() const { return !spec_.remote_ufrag.empty(); }

 private:
  struct Checked {
    RemoteEndpoint source;
    Instant last_check{};
    bool nominated = false;
    std::uint16_t ufrag_size = 0;
    std::array<char, kMaxUfragBytes> ufrag{};
  };
  [[nodiscard]] bool names_us(std::string_view username) const;
  bool within_budget(Instant now);
  void remember(const RemoteEndpoint& source, std::string_view ufrag, bool nominated, Instant now);

  IceSpec spec_;
  HmacSha1 key_;
  Instant budget_second_{};
  std::uint32_t checks_ = 0;
  std::size_t checked_count_ = 0;
  std::array<Checked, kMaxCheckedSources> checked_;
  std::array<std::byte, kStunMaxReply> reply_;
};

}  // namespace rtpool::media
