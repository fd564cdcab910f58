// Mutual TLS for gRPC listeners and channels over a TlsContext, and which RPC a peer may call. With
// no TlsContext everything is plaintext and every peer may do everything; that is for loopback, or
// for a network where every host is trusted. Internal to those who open channels and listeners.
//
// Both sides must have a certificate that the authority signed (TLS 1.2 or 1.3). A client also
// checks that the server's certificate names the HOST that it connects to as a DNS name or an
// address (RFC 6125, 6.4), and that the server holds the role it is asked in.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pool/client.h"
#include "pool/peer_identity.h"
#include "pool/refusals.h"
#include "pool/tls_context.h"

namespace rtpool::pool {

std::shared_ptr<grpc::ServerCredentials> server_credentials(
    const std::shared_ptr<const TlsContext>& tls);
// `server`: the role that the server must hold; none for servers that are not ours.
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(
    const std::shared_ptr<const TlsContext>& tls, std::optional<PeerRole> server);

// What gRPC's words for a failed connection mean where TLS is the reason; empty where it is not, or
// where they say it by themselves.
std::string explain_failure(std::string_view text);

// A server's doorkeeper: says what a peer may do, and counts and logs what it refuses. Thread-safe.
class PeerGate {
 public:
  PeerGate(bool tls, Log log) : tls_(tls), refusals_(std::move(log)) {}

  // OK if the peer's certificate holds one of `allowed`, or without TLS; PERMISSION_DENIED
  // otherwise, with "forbidden: " and what the certificate holds and what it takes.
  grpc::Status authorise(const grpc::ServerContextBase& context, std::string_view operation,
                         std::initializer_list<PeerRole> allowed);
  // The same for acting as the relay of this name.
  grpc::Status authorise_relay(const grpc::ServerContextBase& context, std::string_view operation,
                               std::string_view name);
  [[nodiscard]] std::uint64_t refused() const { return refusals_.count(); }

 private:
  grpc::Status refuse(const std::string& why);

  bool tls_;
  Refusals refusals_;
};

}  // namespace rtpool::pool
