// STUN messages (RFC 8489) as far as a lite ICE agent needs them (RFC 8445, 7.3): parsing with
// bounds, checking MESSAGE-INTEGRITY (HMAC-SHA1, short-term credentials) and FINGERPRINT, and
// writing Binding responses. Nothing here allocates or remembers; views never outlive the datagram.
//
// MESSAGE-INTEGRITY-SHA256 and the old message form without magic cookie (RFC 3489) are not
// supported.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "relay/base/bytes.h"
#include "relay/base/endpoint.h"
#include "relay/media/hmac_sha1.h"

namespace rtpool::media {

inline constexpr std::size_t kStunHeaderBytes = 20;
inline constexpr std::uint32_t kStunMagicCookie = 0x2112a442;

enum class StunClass : std::uint8_t { request = 0, indication = 1, success = 2, error = 3 };
inline constexpr std::uint16_t kStunBinding = 0x001;

enum class StunAttribute : std::uint16_t {
  username = 0x0006,
  message_integrity = 0x0008,
  error_code = 0x0009,
  unknown_attributes = 0x000a,
  xor_mapped_address = 0x0020,
  priority = 0x0024,
  use_candidate = 0x0025,
  fingerprint = 0x8028,
  ice_controlled = 0x8029,
  ice_controlling = 0x802a,
};

using StunTransactionId = std::array<std::byte, 12>;

class StunView {
 public:
  // nullopt when malformed: header, cookie, length against the datagram's, an attribute that does
  // not fit, a FINGERPRINT that is wrong or not last. Attributes after MESSAGE-INTEGRITY other than
  // FINGERPRINT are ignored.
  static std::optional<StunView> parse(Bytes datagram);

  [[nodiscard]] StunClass message_class() const { return class_; }
  [[nodiscard]] std::uint16_t method() const { return method_; }
  [[nodiscard]] StunTransactionId transaction_id() const;
  // Empty when absent.
  [[nodiscard]] std::string_view username() const { return username_; }
  [[nodiscard]] bool has_integrity() const { return integrity_at_ != 0; }
  // False also when there is no MESSAGE-INTEGRITY.
  [[nodiscard]] bool authentic(const HmacSha1& key) const;
  [[nodiscard]] bool use_candidate() const { return use_candidate_; }
  [[nodiscard]] bool controlled() const { return controlled_; }
  [[nodiscard]] bool controlling() const { return controlling_; }
  [[nodiscard]] std::optional<std::uint32_t> priority() const { return priority_; }
  [[nodiscard]] bool has_fingerprint() const { return has_fingerprint_; }
  // First attribute below 0x8000 that is not known here (RFC 8489, 6.3.1: answered with error 420);
  // 0: none.
  [[nodiscard]] std::uint16_t unknown_required() const { return unknown_required_; }

  // In a response: where the server saw the request come from. nullopt when absent or malformed.
  [[nodiscard]] std::optional<Endpoint> xor_mapped_address() const;
  // In an error response; 0 when absent.
  [[nodiscard]] std::uint16_t error_code() const;

 private:
  explicit StunView(Bytes bytes) : bytes_(bytes) {}
  bool read_attribute(std::uint16_t type, std::size_t at, Bytes value);
  bool read_known(StunAttribute type, std::size_t at, Bytes value);

  Bytes bytes_;
  StunClass class_ = StunClass::request;
  std::uint16_t method_ = 0;
  std::string_view username_;
  std::size_t integrity_at_ = 0;
  std::optional<std::uint32_t> priority_;
  std::uint16_t unknown_required_ = 0;
  bool use_candidate_ = false, controlled_ = false, controlling_ = false, has_fingerprint_ = false;
  Bytes mapped_, error_;
};

// Writes one message front to back into a buffer of at least kStunMaxReply bytes; sizes are known
// and small.
inline constexpr std::size_t kStunMaxReply = 128;

class StunWriter {
 public:
  StunWriter(std::span<std::byte> out, StunClass message_class, std::uint16_t method,
             const StunTransactionId& id);

  void add(StunAttribute type, Bytes value);
  void add_flag(StunAttribute type) { add(type, {}); }
  void add_u32(StunAttribute type, std::uint32_t value);
  void add_xor_mapped_address(const Endpoint& endpoint);
  void add_error(std::uint16_t code, std::string_view reason);
  void add_integrity(const HmacSha1& key);
  void add_fingerprint();  // last
  // What was written so far.
  [[nodiscard]] Bytes bytes() const { return out_.first(size_); }

 private:
  void set_length(std::size_t bytes_after_header);

  std::span<std::byte> out_;
  std::size_t size_ = kStunHeaderBytes;
};

// A Binding success response with XOR-MAPPED-ADDRESS, integrity and fingerprint.
Bytes write_binding_success(std::span<std::byte> out, const StunTransactionId& id,
                            const Endpoint& mapped, const HmacSha1& key);

// A Binding error response: 400 bad request, 401 unauthenticated, 420 unknown attribute (named by
// `unknown`), 487 role conflict. `key` null: without integrity, as 400 and 401 to an
// unauthenticated request are.
Bytes write_binding_error(std::span<std::byte> out, const StunTransactionId& id, std::uint16_t code,
                          std::string_view reason, const HmacSha1* key, std::uint16_t unknown = 0);

}  // namespace rtpool::media
