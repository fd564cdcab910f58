#include "pool/link_client.h"

#include <algorithm>
#include <random>
#include <set>

#include "pool/client.h"
#include "pool/errc.h"
#include "pool/tls.h"
#include "pool/wire_codec.h"

namespace rtpool::pool {
namespace {

constexpr std::size_t kMaxRegistrars = 5;
constexpr int kMaxSnapshot = 16 * 1024 * 1024;  // 10,000 elements with long names are below 8 MiB

void set_deadline(grpc::ClientContext& context, std::chrono::milliseconds timeout) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

}  // namespace

grpc::ChannelArguments quick_to_return() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // the limit of one attempt, in fact
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1'000);
  return arguments;
}

std::unique_ptr<v1::Registrar::Stub> connect_registrar(
    const std::string& registrar, const std::shared_ptr<const TlsContext>& tls) {
  grpc::ChannelArguments arguments = quick_to_return();
  arguments.SetMaxReceiveMessageSize(kMaxSnapshot);
  return v1::Registrar::NewStub(grpc::CreateCustomChannel(
      registrar, channel_credentials(tls, PeerRole::registrar), arguments));
}

Result<void> check_registrars(const std::vector<std::string>& registrars) {
  if (registrars.empty()) return Error(Errc::bad_argument, "no registrar is named");
  if (registrars.size() > kMaxRegistrars) {
    return Error(Errc::bad_argument, "more than 5 registrars are named");
  }
  std::set<std::string> seen;
  for (const std::string& registrar : registrars) {
    if (auto ok = check_endpoint(registrar); !ok) return ok;
    if (!seen.insert(registrar).second) {
      return Error(Errc::bad_argument, "registrar " + registrar + " is named twice");
    }
  }
  return {};
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

Result<std::vector<ListedPool>> list_pools(const std::string& registrar, const std::string& pool,
                                           std::chrono::milliseconds timeout,
                                           const std::shared_ptr<const TlsContext>& tls) {
  if (auto ok = check_endpoint(registrar); !ok) return ok.error();
  grpc::ClientContext context;
  set_deadline(context, timeout);
  v1::ListRequest request;
  request.set_pool(pool);
  v1::ListReply reply;
  const auto status = connect_registrar(registrar, tls)->List(&context, request, &reply);
  if (!status.ok()) return from_status(status);
  std::vector<ListedPool> pools;
  for (const auto& listing : reply.pools()) pools.push_back(decode(listing));
  return pools;
}

Result<void> set_drained(const std::string& registrar, const std::string& pool,
                         const std::string& name, bool drained, std::chrono::milliseconds timeout,
                         const std::shared_ptr<const TlsContext>& tls) {
  if (auto ok = check_endpoint(registrar); !ok) return ok;
  grpc::ClientContext context;
  set_deadline(context, timeout);
  v1::DrainRequest request;
  request.set_pool(pool);
  request.set_name(name);
  v1::Done reply;
  const auto stub = connect_registrar(registrar, tls);
  const auto status =
      drained ? stub->Drain(&context, request, &reply) : stub->Undrain(&context, request, &reply);
  if (!status.ok()) return from_status(status);
  return {};
}

}  // namespace rtpool::pool
