// HMAC-SHA1 (RFC 2104) with a prepared key, as STUN's MESSAGE-INTEGRITY needs it (RFC 8489, 14.5).
// Computing one allocates nothing: the states after the inner and the outer pad are kept and
// copied. (EVP_MAC and HMAC() of OpenSSL 3 allocate for every message, which a stranger's packets
// must not make us do.)
//
// A value; const members may be used by several threads. The key is cleansed from memory with it.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>

#include "relay/base/bytes.h"

namespace rtpool::media {

class HmacSha1 {
 public:
  using Digest = std::array<std::byte, 20>;

  explicit HmacSha1(Bytes key);
  HmacSha1(const HmacSha1&) = default;
  HmacSha1& operator=(const HmacSha1&) = default;
  ~HmacSha1();

  // Over the parts, one after another.
  [[nodiscard]] Digest sign(std::initializer_list<Bytes> parts) const;
  // In constant time. `tag` of another length than 20 is wrong.
  [[nodiscard]] bool verify(std::initializer_list<Bytes> parts, Bytes tag) const;

 private:
  static constexpr std::size_t kStateBytes =
      96;  // of OpenSSL's SHA_CTX, which stays out of headers
  alignas(8) std::array<std::byte, kStateBytes> inner_;
  alignas(8) std::array<std::byte, kStateBytes> outer_;
};

}  // namespace rtpool::media
