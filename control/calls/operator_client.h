// What an operator's command line asks a relay directly (control/proto/relay.proto), one question
// at a time. Each blocks for at most `timeout`. Errors: RelayErrc where the relay can't be asked,
// the relay's own EngineErrc where it refuses: unknown_call above all.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pool/client.h"
#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/media/call_spec.h"
#include "relay/media/explain.h"

namespace rtpool::control {

// How to reach one relay.
struct RelayPlace {
  std::string address;  // HOST:PORT of its gRPC service
  std::chrono::milliseconds timeout{300};
  std::shared_ptr<const pool::TlsContext> tls;  // none: plaintext
};

Result<media::CallState> query_call(const RelayPlace& relay, const std::string& key);

// Where a packet from `source` would go; `port`: of the relay's, 0 for all (media/explain.h).
Result<std::vector<media::Explanation>> explain_call(const RelayPlace& relay,
                                                     const std::string& key,
                                                     const RemoteEndpoint& source,
                                                     std::uint16_t port);

}  // namespace rtpool::control
