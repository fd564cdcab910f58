// What all who ask relays share: the channel to one, and what its refusals mean. Internal to the
// clients.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "control/proto/relay.grpc.pb.h"
#include "pool/client.h"
#include "relay/base/result.h"

namespace rtpool::control {

// Each relay has a connection of its own, which is tried again quickly. Without `tls` in plaintext.
std::unique_ptr<relay::v1::Relay::Stub> connect_relay(
    const std::string& address, const std::shared_ptr<const pool::TlsContext>& tls);

// The engine's own code where the relay said one, a RelayErrc otherwise.
Error relay_error(const grpc::Status& status);

}  // namespace rtpool::control
