// A view of one RTCP datagram: compound (RFC 3550, 6.1), reduced-size (RFC 5506) or SRTCP (RFC
// 3711, 3.4). Holds no copy: it never outlives the datagram.
//
// SRTCP leaves only the first eight bytes in clear, and nothing in them says that it is SRTCP. So
// the first header must always add up; when the packets after it do not, the datagram passes as
// protected if what follows the first packet has room for an SRTCP trailer (index and
// authentication tag), and only the first header is to be trusted. What is neither is malformed. A
// relay in the middle can't know better without the keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "relay/base/bytes.h"

namespace rtpool::media {

// SRTCP index (4 bytes) and the default 80-bit tag; AES-GCM (RFC 7714) needs more.
inline constexpr std::size_t kSrtcpTrailerBytes = 14;

// One packet of a compound.
struct RtcpPacket {
  std::uint8_t type = 0;   // 200 SR, 201 RR, 202 SDES, 203 BYE, 204 APP, 205/206 feedback, 207 XR
  std::uint8_t count = 0;  // report or source count, or feedback message type
  Bytes body;              // after the four-byte header, padding included
};

class RtcpView {
 public:
  // nullopt when malformed: shorter than eight bytes, version, a length that runs over, a report
  // count that the length has no room for, padding elsewhere than in the last packet.
  static std::optional<RtcpView> parse(Bytes datagram);

  [[nodiscard]] std::uint8_t first_type() const { return load_u8(bytes_, 1); }
  // Of the packet's sender (RFC 3550, 6.4; RFC 4585, 6.1; clear also in SRTCP).
  [[nodiscard]] std::uint32_t sender_ssrc() const { return load_u32(bytes_, 4); }
  // False: only first_type() and sender_ssrc() mean anything. True does not prove the absence of
  // SRTCP.
  [[nodiscard]] bool clear() const { return clear_; }
  // The packet at `offset`, which it moves to the next one; start with 0. nullopt at the end, and
  // when not clear().
  [[nodiscard]] std::optional<RtcpPacket> next(std::size_t& offset) const;

 private:
  RtcpView(Bytes bytes, bool clear) : bytes_(bytes), clear_(clear) {}

  Bytes bytes_;
  bool clear_;
};

}  // namespace rtpool::media
