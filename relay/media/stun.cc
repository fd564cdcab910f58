#include "relay/media/stun.h"

#include <algorithm>

#include "relay/base/assert.h"

namespace rtpool::media {
namespace {

constexpr std::size_t kAttributeHeader = 4;
constexpr std::size_t kIntegrityBytes = 20;
constexpr std::uint32_t kFingerprintMask = 0x5354554e;  // "STUN", RFC 8489, 14.7

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}

std::uint32_t fingerprint_of(Bytes bytes) {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t crc = 0xffffffffu;
  for (const std::byte b : bytes) {
    crc = kTable[(crc ^ std::to_integer<std::uint32_t>(b)) & 0xff] ^ (crc >> 8);
  }
  return (crc ^ 0xffffffffu) ^ kFingerprintMask;
}

constexpr std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

}  // namespace

std::optional<StunView> StunView::parse(Bytes datagram) {
  if (datagram.size() < kStunHeaderBytes) return std::nullopt;
  const std::uint16_t type = load_u16(datagram, 0);
  const std::size_t length = load_u16(datagram, 2);
  if ((type & 0xc000) != 0 || length % 4 != 0 || kStunHeaderBytes + length != datagram.size() ||
      load_u32(datagram, 4) != kStunMagicCookie) {
    return std::nullopt;
  }
  StunView view(datagram);
  view.class_ = static_cast<StunClass>(((type >> 4) & 1) | ((type >> 7) & 2));
  view.method_ =
      static_cast<std::uint16_t>((type & 0x000f) | ((type >> 1) & 0x0070) | ((type >> 2) & 0x0f80));
  std::size_t at = kStunHeaderBytes;
  while (at < datagram.size()) {
    if (datagram.size() - at < kAttributeHeader || view.has_fingerprint_) return std::nullopt;
    const std::size_t size = load_u16(datagram, at + 2);
    if (padded(size) > datagram.size() - at - kAttributeHeader) return std::nullopt;
    const Bytes value = datagram.subspan(at + kAttributeHeader, size);
    if (!view.read_attribute(load_u16(datagram, at), at, value)) return std::nullopt;
    at += kAttributeHeader + padded(size);
  }
  return view;
}

bool StunView::read_attribute(std::uint16_t type, std::size_t at, Bytes value) {
  const auto known = static_cast<StunAttribute>(type);
  if (known == StunAttribute::fingerprint) {
    has_fingerprint_ = true;
    return value.size() == 4 && load_u32(value, 0) == fingerprint_of(bytes_.first(at));
  }
  // What follows the integrity is not covered by it and so must not be believed (RFC 8489, 14.5).
  if (has_integrity()) return true;
  return read_known(known, at, value);
}

bool StunView::read_known(StunAttribute type, std::size_t at, Bytes value) {
  switch (type) {
    case StunAttribute::username:
      if (username_.empty()) username_ = as_text(value);
      return value.size() <= 513;
    case StunAttribute::message_integrity:
      integrity_at_ = at;
      return value.size() == kIntegrityBytes;
    case StunAttribute::priority:
      if (value.size() != 4) return false;
      priority_ = load_u32(value, 0);
      return true;
    case StunAttribute::use_candidate:
      use_candidate_ = true;
      return value.empty();
    case StunAttribute::ice_controlled:
      controlled_ = true;
      return value.size() == 8;
    case StunAttribute::ice_controlling:
      controlling_ = true;
      return value.size() == 8;
    case StunAttribute::xor_mapped_address:
      mapped_ = value;
      return true;
    case StunAttribute::error_code:
      error_ = value;
      return true;
    case StunAttribute::unknown_attributes:
      return true;
    case StunAttribute::fingerprint:
      return true;
  }
  const auto number = static_cast<std::uint16_t>(type);
  if (number < 0x8000 && unknown_required_ == 0) unknown_required_ = number;
  return true;
}

StunTransactionId StunView::transaction_id() const {
  StunTransactionId id;
  std::copy_n(bytes_.begin() + 8, id.size(), id.begin());
  return id;
}

bool StunView::authentic(const HmacSha1& key) const {
  if (!has_integrity()) return false;
  // The length in the signed header ends with the integrity attribute, whatever follows it (RFC
  // 8489, 14.5).
  std::array<std::byte, 4> head{bytes_[0], bytes_[1]};
  store_u16(head, 2,
            static_cast<std::uint16_t>(integrity_at_ + kAttributeHeader + kIntegrityBytes -
                                       kStunHeaderBytes));
  return key.verify({head, bytes_.subspan(4, integrity_at_ - 4)},
                    bytes_.subspan(integrity_at_ + kAttributeHeader, kIntegrityBytes));
}

std::optional<Endpoint> StunView::xor_mapped_address() const {
  if (mapped_.size() < 8) return std::nullopt;
  const std::uint8_t family = load_u8(mapped_, 1);
  const std::size_t octets = family == 1 ? 4 : 16;
  if ((family != 1 && family != 2) || mapped_.size() != 4 + octets) return std::nullopt;
  Endpoint endpoint;
  endpoint.address.family = family == 1 ? IpFamily::v4 : IpFamily::v6;
  endpoint.port = static_cast<std::uint16_t>(load_u16(mapped_, 2) ^ (kStunMagicCookie >> 16));
  for (std::size_t i = 0; i < octets; ++i) {
    endpoint.address.octets[i] =
        static_cast<std::uint8_t>(load_u8(mapped_, 4 + i) ^ load_u8(bytes_, 4 + i));
  }
  return endpoint;
}

std::uint16_t StunView::error_code() const {
  if (error_.size() < 4) return 0;
  return static_cast<std::uint16_t>((load_u8(error_, 2) & 7) * 100 + load_u8(error_, 3));
}

StunWriter::StunWriter(std::span<std::byte> out, StunClass message_class, std::uint16_t method,
                       const StunTransactionId& id)
    : out_(out) {
  RTPOOL_ASSERT(out.size() >= kStunMaxReply);
  const unsigned c = static_cast<unsigned>(message_class);
  const unsigned m = method;
  const unsigned type =
      (m & 0x000f) | ((m & 0x0070) << 1) | ((m & 0x0f80) << 2) | ((c & 1) << 4) | ((c & 2) << 7);
  store_u16(out_, 0, static_cast<std::uint16_t>(type));
  store_u32(out_, 4, kStunMagicCookie);
  std::copy(id.begin(), id.end(), out_.begin() + 8);
  set_length(0);
}

void StunWriter::set_length(std::size_t bytes_after_header) {
  store_u16(out_, 2, static_cast<std::uint16_t>(bytes_after_header));
}

void StunWriter::add(StunAttribute type, Bytes value) {
  const std::size_t end = size_ + kAttributeHeader + padded(value.size());
  RTPOOL_ASSERT(end <= out_.size());
  store_u16(out_, size_, static_cast<std::uint16_t>(type));
  store_u16(out_, size_ + 2, static_cast<std::uint16_t>(value.size()));
  const auto padding =
      std::copy(value.begin(), value.end(), out_.begin() + size_ + kAttributeHeader);
  std::fill(padding, out_.begin() + end, std::byte{0});
  size_ = end;
  set_length(size_ - kStunHeaderBytes);
}

void StunWriter::add_u32(StunAttribute type, std::uint32_t value) {
  std::array<std::byte, 4> bytes;
  store_u32(bytes, 0, value);
  add(type, bytes);
}

void StunWriter::add_xor_mapped_address(const Endpoint& endpoint) {
  std::array<std::byte, 20> value{};
  const std::size_t octets = endpoint.address.is_v4() ? 4 : 16;
  value[1] = std::byte{endpoint.address.is_v4() ? std::uint8_t{1} : std::uint8_t{2}};
  store_u16(value, 2, static_cast<std::uint16_t>(endpoint.port ^ (kStunMagicCookie >> 16)));
  for (std::size_t i = 0; i < octets; ++i) {
    value[4 + i] = std::byte{endpoint.address.octets[i]} ^ out_[4 + i];
  }
  add(StunAttribute::xor_mapped_address, Bytes(value).first(4 + octets));
}

void StunWriter::add_error(std::uint16_t code, std::string_view reason) {
  std::array<std::byte, 4 + 32> value{};
  value[2] = static_cast<std::byte>(code / 100);
  value[3] = static_cast<std::byte>(code % 100);
  const Bytes text = as_bytes(reason.substr(0, 32));
  std::copy(text.begin(), text.end(), value.begin() + 4);
  add(StunAttribute::error_code, Bytes(value).first(4 + text.size()));
}

void StunWriter::add_integrity(const HmacSha1& key) {
  // The length that is signed already counts this attribute.
  set_length(size_ - kStunHeaderBytes + kAttributeHeader + kIntegrityBytes);
  const HmacSha1::Digest digest = key.sign({bytes()});
  add(StunAttribute::message_integrity, digest);
}

void StunWriter::add_fingerprint() {
  set_length(size_ - kStunHeaderBytes + kAttributeHeader + 4);
  add_u32(StunAttribute::fingerprint, fingerprint_of(bytes()));
}

Bytes write_binding_success(std::span<std::byte> out, const StunTransactionId& id,
                            const Endpoint& mapped, const HmacSha1& key) {
  StunWriter writer(out, StunClass::success, kStunBinding, id);
  writer.add_xor_mapped_address(mapped);
  writer.add_integrity(key);
  writer.add_fingerprint();
  return writer.bytes();
}

Bytes write_binding_error(std::span<std::byte> out, const StunTransactionId& id, std::uint16_t code,
                          std::string_view reason, const HmacSha1* key, std::uint16_t unknown) {
  StunWriter writer(out, StunClass::error, kStunBinding, id);
  writer.add_error(code, reason);
  if (unknown != 0) {
    std::array<std::byte, 2> type;
    store_u16(type, 0, unknown);
    writer.add(StunAttribute::unknown_attributes, type);
  }
  if (key != nullptr) writer.add_integrity(*key);
  writer.add_fingerprint();
  return writer.bytes();
}

}  // namespace rtpool::media
