// Where a process has its certificate, its key and those of the authority that it trusts, and what
// these files hold (PEM, RFC 7468) once they are found good together.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pool/peer_identity.h"
#include "relay/base/result.h"

namespace rtpool::pool {

struct TlsFiles {
  std::string certificate;  // with the intermediate ones after it
  std::string key;          // without a pass phrase
  std::string authority;    // certificates, of which one must have signed the peer's

  bool operator==(const TlsFiles&) const = default;
};

// Immutable, so that threads may share it.
struct TlsMaterial {
  std::string certificate_pem;
  std::string key_pem;
  std::string authority_pem;

  std::shared_ptr<X509> certificate;
  std::vector<std::shared_ptr<X509>> chain;  // the intermediate ones
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509_STORE> authorities;

  PeerIdentity identity;
  std::int64_t certificate_expiry = 0;  // Unix time, s
  std::int64_t authority_expiry = 0;    // of the certificate that is the first to expire
};

// That all three can be read, the key belongs to the certificate, the authority signed it and it is
// valid now. Errors: bad_argument, with the file's name and what is wrong with it.
Result<std::shared_ptr<const TlsMaterial>> load_tls_files(const TlsFiles& files);
Result<void> check_tls_files(const TlsFiles& files);

// Who a certificate says its holder is. `certificate` may be null: nobody.
PeerIdentity identity_of(X509* certificate);

// Whether it may be used on both ends of a connection (RFC 5280, 4.2.1.12): serverAuth and
// clientAuth, or no extended key usage at all.
bool fits_both_ends(X509* certificate);

// Whether a certificate's subject alternative names hold the host of HOST:PORT, as a DNS name or an
// address (RFC 6125, 6.4; a wildcard stands for one whole label).
bool names_target(X509* certificate, const std::string& target);
std::string host_of(const std::string& target);

// "2027-01-31 12:00 UTC"
std::string format_utc(std::int64_t unix_seconds);

}  // namespace rtpool::pool
