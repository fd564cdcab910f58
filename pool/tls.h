// Mutual TLS for the pool's and the relays' gRPC: credentials that are read again when their files
// change, and who the other side is by its certificate. With no TlsFiles everything is plaintext
// and every peer may do everything; that is for loopback, or a network where every host is trusted.
//
// A certificate names its holder's roles as URIs in its subject alternative name (RFC 5280,
// 4.2.1.6): `urn:rtpool:relay`, `urn:rtpool:controller`, `urn:rtpool:registrar`,
// `urn:rtpool:operator`, `urn:rtpool:intercept`. Internal to those who open channels and listeners.
#pragma once

#include <grpcpp/grpcpp.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "pool/tls_files.h"
#include "relay/base/result.h"

namespace rtpool::pool {

enum class PeerRole { relay, controller, registrar, operator_, intercept };

// Both keep watching the files for as long as they are used.
std::shared_ptr<grpc::ServerCredentials> server_credentials(const std::optional<TlsFiles>& tls);
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const std::optional<TlsFiles>& tls);

// OK if the peer's certificate holds one of `allowed`, or if the connection has no TLS;
// PERMISSION_DENIED otherwise, with a message that names what the certificate holds and what it
// would need.
grpc::Status authorise(const grpc::ServerContextBase& context,
                       std::initializer_list<PeerRole> allowed);

}  // namespace rtpool::pool
