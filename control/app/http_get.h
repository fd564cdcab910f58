// One HTTP GET, for the operator's commands; with a TlsContext over TLS, with its certificate, and
// the server's must name the host that is asked. Blocks for at most `patience` to connect and again
// to read.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "pool/client.h"
#include "relay/base/result.h"

namespace rtpool::control {

// The body of a 200 reply. `where` is HOST:PORT. Errors: AppErrc::unreachable, with a sentence.
Result<std::string> http_get(const std::string& where, const std::string& path,
                             std::chrono::milliseconds patience,
                             const std::shared_ptr<const pool::TlsContext>& tls = {});

}  // namespace rtpool::control
