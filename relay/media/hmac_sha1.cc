#include "relay/media/hmac_sha1.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace rtpool::media {
namespace {

constexpr std::size_t kBlockBytes = 64;

SHA_CTX load_state(const std::array<std::byte, 96>& state) {
  static_assert(sizeof(SHA_CTX) == 96);
  SHA_CTX context;
  std::memcpy(&context, state.data(), sizeof context);
  return context;
}

void save_padded_key(std::array<std::byte, 96>& state,
                     const std::array<std::byte, kBlockBytes>& key, std::byte pad) {
  std::array<std::byte, kBlockBytes> block{};
  std::transform(key.begin(), key.end(), block.begin(), [pad](std::byte b) { return b ^ pad; });
  SHA_CTX context;
  SHA1_Init(&context);
  SHA1_Update(&context, block.data(), block.size());
  std::memcpy(state.data(), &context, sizeof context);
  OPENSSL_cleanse(&context, sizeof context);
  OPENSSL_cleanse(block.data(), block.size());
}

}  // namespace

HmacSha1::HmacSha1(Bytes key) {
  std::array<std::byte, kBlockBytes> padded{};
  if (key.size() > kBlockBytes) {
    SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(),
         reinterpret_cast<unsigned char*>(padded.data()));
  } else {
    std::copy(key.begin(), key.end(), padded.begin());
  }
  save_padded_key(inner_, padded, std::byte{0x36});
  save_padded_key(outer_, padded, std::byte{0x5c});
  OPENSSL_cleanse(padded.data(), padded.size());
}

HmacSha1::~HmacSha1() {
  OPENSSL_cleanse(inner_.data(), inner_.size());
  OPENSSL_cleanse(outer_.data(), outer_.size());
}

HmacSha1::Digest HmacSha1::sign(std::initializer_list<Bytes> parts) const {
  Digest digest;
  auto* out = reinterpret_cast<unsigned char*>(digest.data());
  SHA_CTX context = load_state(inner_);
  for (const Bytes part : parts) SHA1_Update(&context, part.data(), part.size());
  SHA1_Final(out, &context);
  context = load_state(outer_);
  SHA1_Update(&context, digest.data(), digest.size());
  SHA1_Final(out, &context);
  return digest;
}

bool HmacSha1::verify(std::initializer_list<Bytes> parts, Bytes tag) const {
  const Digest expected = sign(parts);
  return tag.size() == expected.size() &&
         CRYPTO_memcmp(expected.data(), tag.data(), expected.size()) == 0;
}

}  // namespace rtpool::media
