#include "control/calls/relay_link_client.h"

#include <charconv>

#include "control/calls/relay_gateway.h"
#include "pool/tls.h"

namespace rtpool::control {
namespace {

class RelayCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "relay"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<RelayErrc>(value)) {
      case RelayErrc::unreachable:
        return "relay unreachable";
      case RelayErrc::deadline:
        return "relay did not answer in time";
      case RelayErrc::stale_epoch:
        return "relay has registered anew";
      case RelayErrc::protocol:
        return "relay's answer makes no sense";
      case RelayErrc::none_left:
        return "no live relay";
      case RelayErrc::all_full:
        return "all relays are full";
    }
    return "unknown error";
  }
};

}  // namespace

ErrorCode make_error_code(RelayErrc errc) {
  static const RelayCategory category;
  return {static_cast<int>(errc), category};
}

std::unique_ptr<relay::v1::Relay::Stub> connect_relay(
    const std::string& address, const std::shared_ptr<const pool::TlsContext>& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // The limit of one attempt, in fact; a TLS handshake takes two round trips more.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, tls ? 300 : 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return relay::v1::Relay::NewStub(grpc::CreateCustomChannel(
      address, pool::channel_credentials(tls, pool::PeerRole::relay), arguments));
}

Error relay_error(const grpc::Status& status) {
  int engine_code = 0;
  const std::string& details = status.error_details();
  const auto [end, error] =
      std::from_chars(details.data(), details.data() + details.size(), engine_code);
  if (error == std::errc{} && end == details.data() + details.size() &&
      engine_code >= static_cast<int>(EngineErrc::unknown_call) &&
      engine_code <= static_cast<int>(EngineErrc::too_busy)) {
    return {static_cast<EngineErrc>(engine_code), status.error_message()};
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return {RelayErrc::deadline};
  if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
    return {RelayErrc::stale_epoch, status.error_message()};
  }
  return {RelayErrc::unreachable, status.error_message()};
}

}  // namespace rtpool::control
