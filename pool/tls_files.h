// Where a process has its certificate, its key and those of the authority that it trusts (PEM).
#pragma once

#include <string>

#include "relay/base/result.h"

namespace rtpool::pool {

struct TlsFiles {
  std::string certificate;  // with the intermediate ones after it
  std::string key;
  std::string authority;  // certificates, of which one must have signed the peer's

  bool operator==(const TlsFiles&) const = default;
};

// That all three can be read, the key belongs to the certificate, the authority signed it and it is
// valid now. Errors: bad_argument, with the file's name and what is wrong with it.
Result<void> check_tls_files(const TlsFiles& files);

}  // namespace rtpool::pool
