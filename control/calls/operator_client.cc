#include "control/calls/operator_client.h"

#include <grpcpp/grpcpp.h>

#include "control/calls/relay_codec.h"
#include "control/calls/relay_gateway.h"
#include "control/calls/relay_link_client.h"

namespace rtpool::control {
namespace {

void set_deadline(grpc::ClientContext& context, std::chrono::milliseconds timeout) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

}  // namespace

Result<media::CallState> query_call(const RelayPlace& relay, const std::string& key) {
  grpc::ClientContext context;
  set_deadline(context, relay.timeout);
  relay::v1::CallKey request;
  request.set_key(key);
  relay::v1::CallState reply;
  const auto status = connect_relay(relay.address, relay.tls)->Query(&context, request, &reply);
  if (!status.ok()) return relay_error(status);
  return decode(reply, Instant(std::chrono::steady_clock::now().time_since_epoch()));
}

Result<std::vector<media::Explanation>> explain_call(const RelayPlace& relay,
                                                     const std::string& key,
                                                     const RemoteEndpoint& source,
                                                     std::uint16_t port) {
  grpc::ClientContext context;
  set_deadline(context, relay.timeout);
  relay::v1::ExplainRequest request;
  encode({.key = key, .source = source, .port = port}, request);
  relay::v1::ExplainReply reply;
  const auto status = connect_relay(relay.address, relay.tls)->Explain(&context, request, &reply);
  if (!status.ok()) return relay_error(status);
  std::vector<media::Explanation> told;
  for (const auto& one : reply.explanations()) {
    auto decoded = decode(one);
    if (!decoded) return Error(RelayErrc::protocol, decoded.error().detail);
    told.push_back(std::move(*decoded));
  }
  return told;
}

}  // namespace rtpool::control
