// Views of bytes in network order. A view never outlives the buffer it was made over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace rtpool {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Big-endian loads and stores; the caller has checked the size.
inline std::uint8_t load_u8(Bytes b, std::size_t at) {
  return std::to_integer<std::uint8_t>(b[at]);
}
inline std::uint16_t load_u16(Bytes b, std::size_t at) {
  return static_cast<std::uint16_t>((load_u8(b, at) << 8) | load_u8(b, at + 1));
}
inline std::uint32_t load_u32(Bytes b, std::size_t at) {
  return (static_cast<std::uint32_t>(load_u16(b, at)) << 16) | load_u16(b, at + 2);
}
inline void store_u16(std::span<std::byte> b, std::size_t at, std::uint16_t v) {
  b[at] = static_cast<std::byte>(v >> 8);
  b[at + 1] = static_cast<std::byte>(v & 0xff);
}
inline void store_u32(std::span<std::byte> b, std::size_t at, std::uint32_t v) {
  store_u16(b, at, static_cast<std::uint16_t>(v >> 16));
  store_u16(b, at + 2, static_cast<std::uint16_t>(v & 0xffff));
}

// Reads forward over untrusted bytes; every read says whether there was enough left.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t remaining() const { return bytes_.size() - at_; }
  [[nodiscard]] std::size_t position() const { return at_; }

  std::optional<std::uint8_t> u8() {
    return remaining() < 1 ? std::nullopt : std::optional(load_u8(bytes_, at_++));
  }
  std::optional<std::uint16_t> u16() {
    if (remaining() < 2) return std::nullopt;
    at_ += 2;
    return load_u16(bytes_, at_ - 2);
  }
  std::optional<std::uint32_t> u32() {
    if (remaining() < 4) return std::nullopt;
    at_ += 4;
    return load_u32(bytes_, at_ - 4);
  }
  std::optional<Bytes> take(std::size_t n) {
    if (remaining() < n) return std::nullopt;
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

}  // namespace rtpool
