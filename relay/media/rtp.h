// A view of one RTP packet (RFC 3550, 5.1). Holds no copy: it never outlives the datagram.
//
// parse() checks what stays in clear under SRTP (RFC 3711): version, CSRC list and extension fit.
// The padding count is the last byte of the payload, which SRTP encrypts and follows by a tag, so a
// packet is never refused for it: padding() says whether it is plausible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "relay/base/bytes.h"

namespace rtpool::media {

inline constexpr std::size_t kRtpHeaderBytes = 12;

class RtpView {
 public:
  // nullopt when the fixed header, the CSRC list or the header extension does not fit, or when the
  // padding bit is set and there is nothing that could be padding.
  static std::optional<RtpView> parse(Bytes datagram);

  [[nodiscard]] bool marker() const { return (load_u8(bytes_, 1) & 0x80) != 0; }
  [[nodiscard]] std::uint8_t payload_type() const {
    return static_cast<std::uint8_t>(load_u8(bytes_, 1) & 0x7f);
  }
  [[nodiscard]] std::uint16_t sequence() const { return load_u16(bytes_, 2); }
  [[nodiscard]] std::uint32_t timestamp() const { return load_u32(bytes_, 4); }
  [[nodiscard]] std::uint32_t ssrc() const { return load_u32(bytes_, 8); }
  [[nodiscard]] std::size_t csrc_count() const { return load_u8(bytes_, 0) & 0x0f; }
  // `index` is below csrc_count().
  [[nodiscard]] std::uint32_t csrc(std::size_t index) const {
    return load_u32(bytes_, kRtpHeaderBytes + 4 * index);
  }
  // "Defined by profile" of the header extension; nullopt without one.
  [[nodiscard]] std::optional<std::uint16_t> extension_profile() const;
  // The extension's data after its four-byte header; empty without one.
  [[nodiscard]] Bytes extension() const;
  // All after header, CSRC list and extension, padding included.
  [[nodiscard]] Bytes payload() const { return bytes_.subspan(header_bytes_); }
  // Bytes of padding by the last octet: 0 without the padding bit, nullopt when the count can't be
  // (or is encrypted).
  [[nodiscard]] std::optional<std::uint8_t> padding() const;

 private:
  RtpView(Bytes bytes, std::size_t header_bytes) : bytes_(bytes), header_bytes_(header_bytes) {}
  [[nodiscard]] bool has_extension() const { return (load_u8(bytes_, 0) & 0x10) != 0; }

  Bytes bytes_;
  std::size_t header_bytes_;
};

}  // namespace rtpool::media
