#include "pool/etcd_client.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <fstream>
#include <string_view>
#include <utility>

#include "pool/errc.h"
#include "pool/link_client.h"
#include "pool/proto/etcd.grpc.pb.h"
#include "pool/tls.h"

namespace rtpool::pool {
namespace {

namespace wire = ::etcdserverpb;

constexpr unsigned kCertificateRefreshS = 10;
constexpr int kMaxMessage = 2 * 1024 * 1024;  // etcd's own limit of a request is 1.5 MiB

Result<void> check_readable(const char* setting, const std::string& path) {
  if (path.empty()) return {};
  std::ifstream file(path);
  if (file && file.peek() != std::ifstream::traits_type::eof()) return {};
  return Error(Errc::bad_argument,
               std::string(setting) + "=" + path + " can't be read, is no file or is empty");
}

// etcd tells some faults by words alone (its rpctypes), some of them with varying codes.
EtcdFault fault_of(const grpc::Status& status) {
  const auto says = [text = status.error_message()](std::string_view part) {
    return text.find(part) != std::string::npos;
  };
  if (says("authentication failed")) return EtcdFault::denied;
  if (says("auth store is old") || says("user name is empty") || says("invalid auth token")) {
    return EtcdFault::bad_token;
  }
  if (says("lease not found")) return EtcdFault::lease_gone;
  if (says("space exceeded")) return EtcdFault::full;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAUTHENTICATED:
      return EtcdFault::bad_token;
    case grpc::StatusCode::PERMISSION_DENIED:
      return EtcdFault::denied;
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::OUT_OF_RANGE:
      return EtcdFault::refused;
    default:
      return EtcdFault::no_answer;
  }
}

std::string why(const grpc::Status& status, EtcdClient::Timeout timeout) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return "no answer within " + std::to_string(timeout.count()) + " ms";
  }
  const std::string text = status.error_message().substr(0, 300);
  const std::string reason = explain_failure(text);
  return reason.empty() ? text : reason + " (" + text + ")";
}

StoreEntry entry_of(const wire::RangeResponse& response) {
  if (response.kvs_size() == 0) return {};
  return {.value = response.kvs(0).value(),
          .revision = static_cast<std::uint64_t>(response.kvs(0).mod_revision())};
}

// A question on its way; gRPC's callback keeps it.
template <class Request, class Response>
struct Call {
  std::optional<grpc::ClientContext> context{std::in_place};  // as OneShot's
  Request request;
  Response response;
};

template <class Request, class Response>
std::shared_ptr<Call<Request, Response>> new_call(const std::string& token,
                                                  EtcdClient::Timeout timeout) {
  auto call = std::make_shared<Call<Request, Response>>();
  call->context->set_deadline(std::chrono::system_clock::now() + timeout);
  if (!token.empty()) call->context->AddMetadata("token", token);
  return call;
}

// Turns the end of a call into an answer, which `fill` completes where it went well.
template <class Shared, class Fill>
auto finish(Shared call, EtcdClient::Timeout timeout, EtcdClient::Done done, Fill fill) {
  return
      [call = std::move(call), timeout, done = std::move(done), fill](const grpc::Status& status) {
        EtcdAnswer answer;
        if (!status.ok()) {
          answer.fault = fault_of(status);
          answer.why = why(status, timeout);
        } else {
          fill(call->response, answer);
        }
        call->context.reset();
        done(std::move(answer));
      };
}

wire::TxnRequest transaction(const Swap& swap, std::int64_t lease) {
  wire::TxnRequest request;
  wire::Compare& compare = *request.add_compare();
  compare.set_target(wire::Compare::MOD);  // of a key that does not exist: 0
  compare.set_key(swap.key);
  compare.set_mod_revision(static_cast<std::int64_t>(swap.expected));
  if (swap.value) {
    wire::PutRequest& put = *request.add_success()->mutable_request_put();
    put.set_key(swap.key);
    put.set_value(*swap.value);
    put.set_lease(lease);
  } else {
    request.add_success()->mutable_request_delete_range()->set_key(swap.key);
  }
  request.add_failure()->mutable_request_range()->set_key(swap.key);
  return request;
}

}  // namespace

class EtcdClient::Credentials {
 public:
  std::shared_ptr<grpc::ChannelCredentials> channel;
};

struct EtcdClient::Stubs {
  std::unique_ptr<wire::KV::Stub> kv;
  std::unique_ptr<wire::Lease::Stub> lease;
  std::unique_ptr<wire::Maintenance::Stub> maintenance;
  std::unique_ptr<wire::Auth::Stub> auth;
};

Result<std::shared_ptr<const EtcdClient::Credentials>> EtcdClient::load(const EtcdUrl& url) {
  if (auto ok = check_readable("ca", url.authority); !ok) return ok.error();
  if (auto ok = check_readable("cert", url.certificate); !ok) return ok.error();
  if (auto ok = check_readable("key", url.key); !ok) return ok.error();
  auto credentials = std::make_shared<Credentials>();
  if (url.authority.empty()) {
    credentials->channel = grpc::InsecureChannelCredentials();
    return std::shared_ptr<const Credentials>(std::move(credentials));
  }
  // Reads the files again by itself, as certificates are renewed.
  namespace tls = grpc::experimental;
  tls::TlsChannelCredentialsOptions options;
  options.watch_root_certs();
  if (url.certificate.empty()) {
    options.set_certificate_provider(
        std::make_shared<tls::FileWatcherCertificateProvider>(url.authority, kCertificateRefreshS));
  } else {
    options.set_certificate_provider(std::make_shared<tls::FileWatcherCertificateProvider>(
        url.key, url.certificate, url.authority, kCertificateRefreshS));
    options.watch_identity_key_cert_pairs();
  }
  credentials->channel = tls::TlsCredentials(options);
  return std::shared_ptr<const Credentials>(std::move(credentials));
}

EtcdClient::EtcdClient(const std::string& endpoint, const Credentials& credentials)
    : stubs_(std::make_unique<Stubs>()) {
  grpc::ChannelArguments arguments = quick_to_return();
  // A host that vanished leaves a connection that looks good. etcd allows a ping every 5 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2'000);
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  const auto channel = grpc::CreateCustomChannel(endpoint, credentials.channel, arguments);
  stubs_->kv = wire::KV::NewStub(channel);
  stubs_->lease = wire::Lease::NewStub(channel);
  stubs_->maintenance = wire::Maintenance::NewStub(channel);
  stubs_->auth = wire::Auth::NewStub(channel);
}

EtcdClient::~EtcdClient() = default;

void EtcdClient::range(const std::string& key, const std::string& token, Timeout timeout,
                       Done done) {
  const auto call = new_call<wire::RangeRequest, wire::RangeResponse>(token, timeout);
  call->request.set_key(key);
  const auto fill = [](const wire::RangeResponse& response, EtcdAnswer& answer) {
    answer.cluster_id = response.header().cluster_id();
    answer.entry = entry_of(response);
  };
  stubs_->kv->async()->Range(&*call->context, &call->request, &call->response,
                             finish(call, timeout, std::move(done), fill));
}

void EtcdClient::swap(const Swap& swap, std::int64_t lease, const std::string& token,
                      Timeout timeout, Done done) {
  const auto call = new_call<wire::TxnRequest, wire::TxnResponse>(token, timeout);
  call->request = transaction(swap, lease);
  const auto fill = [call](const wire::TxnResponse& response, EtcdAnswer& answer) {
    answer.cluster_id = response.header().cluster_id();
    answer.swapped = response.succeeded();
    const wire::RequestOp& change = call->request.success(0);
    if (!answer.swapped) {
      if (response.responses_size() > 0) {
        answer.entry = entry_of(response.responses(0).response_range());
      }
    } else if (change.has_request_put()) {
      answer.entry = {.value = change.request_put().value(),
                      .revision = static_cast<std::uint64_t>(response.header().revision())};
    }
  };
  stubs_->kv->async()->Txn(&*call->context, &call->request, &call->response,
                           finish(call, timeout, std::move(done), fill));
}

void EtcdClient::grant(std::chrono::seconds lifetime, const std::string& token, Timeout timeout,
                       Done done) {
  const auto call = new_call<wire::LeaseGrantRequest, wire::LeaseGrantResponse>(token, timeout);
  call->request.set_ttl(lifetime.count());
  const auto fill = [](const wire::LeaseGrantResponse& response, EtcdAnswer& answer) {
    answer.cluster_id = response.header().cluster_id();
    answer.lease = response.id();
    if (answer.lease == 0) {
      answer.fault = EtcdFault::refused;
      answer.why = "no lease was granted: " + response.error();
    }
  };
  stubs_->lease->async()->LeaseGrant(&*call->context, &call->request, &call->response,
                                     finish(call, timeout, std::move(done), fill));
}

void EtcdClient::authenticate(const std::string& user, const std::string& password, Timeout timeout,
                              Done done) {
  const auto call = new_call<wire::AuthenticateRequest, wire::AuthenticateResponse>({}, timeout);
  call->request.set_name(user);
  call->request.set_password(password);
  Done no_need = [done = std::move(done)](EtcdAnswer answer) {
    if (answer.fault && answer.why.find("authentication is not enabled") != std::string::npos) {
      answer = {};
    }
    done(std::move(answer));
  };
  const auto fill = [](const wire::AuthenticateResponse& response, EtcdAnswer& answer) {
    answer.cluster_id = response.header().cluster_id();
    answer.token = response.token();
  };
  stubs_->auth->async()->Authenticate(&*call->context, &call->request, &call->response,
                                      finish(call, timeout, std::move(no_need), fill));
}

void EtcdClient::status(Timeout timeout, Done done) {
  const auto call = new_call<wire::StatusRequest, wire::StatusResponse>({}, timeout);
  const auto fill = [](const wire::StatusResponse& response, EtcdAnswer& answer) {
    answer.has_leader = response.leader() != 0;
  };
  stubs_->maintenance->async()->Status(&*call->context, &call->request, &call->response,
                                       finish(call, timeout, std::move(done), fill));
}

}  // namespace rtpool::pool
