// Who may do what at a registrar by its certificate, over real gRPC on loopback, and certificates
// that are replaced while it runs.
#include "pool/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include "pool/client.h"
#include "pool/errc.h"
#include "pool/proto/registrar.grpc.pb.h"
#include "pool/registrar_service.h"
#include "pool/tls_context.h"
#include "tests/support/certificates.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;
using test::Authority;
using testing::HasSubstr;
using testing::Not;

[[maybe_unused]] bool eventually(milliseconds timeout, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

// The lines that a Log was given.
class Lines {
 public:
  Log log() {
    return [this](LogLevel, std::string_view text) {
      const std::scoped_lock lock(mutex_);
      text_ += std::string(text) + "\n";
    };
  }
  std::string text() const {
    const std::scoped_lock lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

std::shared_ptr<TlsContext> open(const TlsFiles& files, Log log = {}) {
  auto context =
      TlsContext::open({.files = files, .poll = milliseconds(20), .log = std::move(log)});
  EXPECT_TRUE(context) << context.error().message();
  return context ? *context : nullptr;
}

std::unique_ptr<RegistrarServer> start_registrar(std::shared_ptr<const TlsContext> tls,
                                                 Log log = {}) {
  RegistrarServer::Options options;
  options.listen = "127.0.0.1:0";
  options.tls = std::move(tls);
  options.log = std::move(log);
  auto server = RegistrarServer::start(std::move(options));
  EXPECT_TRUE(server) << server.error().message();
  return server ? std::move(*server) : nullptr;
}

// Every RPC of the registrar, by its name; the streams' status is the one that they end with.
grpc::Status call(const std::string& endpoint, const std::shared_ptr<const TlsContext>& tls,
                  const std::string& rpc, const std::string& name = "relay-7") {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = v1::Registrar::NewStub(grpc::CreateCustomChannel(
      endpoint, channel_credentials(tls, PeerRole::registrar), arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  v1::Done done;
  if (rpc == "Serve") {
    const auto stream = stub->Serve(&context);
    v1::ServeRequest request;
    auto& registration = *request.mutable_registration();
    registration.set_pool("media");
    registration.set_name(name);
    registration.set_endpoint("127.0.0.1:7410");
    registration.set_policy(static_cast<std::uint32_t>(Policy::round_robin));
    registration.set_incarnation(1);
    v1::ServeReply reply;
    stream->Write(request);
    if (stream->Read(&reply)) return grpc::Status::OK;
    return stream->Finish();
  }
  if (rpc == "Watch") {
    v1::WatchRequest request;
    request.set_pool("media");
    const auto stream = stub->Watch(&context, request);
    v1::PoolUpdate update;
    if (stream->Read(&update)) return grpc::Status::OK;
    return stream->Finish();
  }
  if (rpc == "Deregister") {
    v1::DeregisterRequest request;
    request.set_pool("media");
    request.set_name(name);
    return stub->Deregister(&context, request, &done);
  }
  if (rpc == "Resolve") {
    v1::ResolveRequest request;
    request.set_pool("media");
    v1::ResolveReply reply;
    return stub->Resolve(&context, request, &reply);
  }
  if (rpc == "ReportUnreachable") {
    v1::ReportRequest request;
    request.set_pool("media");
    return stub->ReportUnreachable(&context, request, &done);
  }
  if (rpc == "Drain" || rpc == "Undrain") {
    v1::DrainRequest request;
    request.set_pool("media");
    request.set_name(name);
    return rpc == "Drain" ? stub->Drain(&context, request, &done)
                          : stub->Undrain(&context, request, &done);
  }
  v1::ListRequest request;
  v1::ListReply reply;
  return stub->List(&context, request, &reply);
}

TEST(Tls, EachRoleMayDoWhatItIsForAndNothingElse) {
  Authority authority;
  const auto server = start_registrar(open(authority.issue("registrar")));
  const std::map<std::string, std::vector<std::string>> allowed{
      {"relay", {"Serve", "Deregister", "List"}},
      {"controller", {"Watch", "Resolve", "ReportUnreachable", "List"}},
      {"operator", {"Drain", "Undrain", "List"}},
      {"registrar", {"List"}},
      {"intercept", {}}};
  std::uint64_t refusals = 0;
  for (const auto& [role, may] : allowed) {
    const auto tls = open(authority.issue(role));
    for (const std::string rpc : {"Serve", "Deregister", "Watch", "Resolve", "ReportUnreachable",
                                  "Drain", "Undrain", "List"}) {
      const auto status = call(server->endpoint(), tls, rpc);
      const bool in = std::find(may.begin(), may.end(), rpc) != may.end();
      EXPECT_EQ(status.error_code() != grpc::StatusCode::PERMISSION_DENIED, in)
          << role << " " << rpc << ": " << status.error_message();
      EXPECT_NE(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
      EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << rpc;
      if (in) continue;
      ++refusals;
      EXPECT_THAT(status.error_message(), HasSubstr("forbidden: " + rpc));
      EXPECT_THAT(status.error_message(), HasSubstr("takes the role"));
      EXPECT_THAT(status.error_message(),
                  HasSubstr("certificate 'CN=" + role + "' (" + role + ")"));
    }
  }
  EXPECT_EQ(server->refused_peers(), refusals);
}

// What an operator reads when two sides do not fit together.
std::string failure(const std::string& endpoint, const std::shared_ptr<const TlsContext>& tls) {
  const auto listed = list_pools(endpoint, "", milliseconds(2'000), tls);
  return listed ? "" : listed.error().message();
}

TEST(Tls, AConnectionThatFailsSaysWhy) {
  Authority authority, stranger("stranger");
  const auto server = start_registrar(open(authority.issue("registrar")));
  const auto plain = start_registrar(nullptr);
  const auto good = open(authority.issue("operator"));
  EXPECT_EQ(failure(server->endpoint(), good), "");
  EXPECT_EQ(failure(plain->endpoint(), nullptr), "");

  EXPECT_THAT(failure(server->endpoint(), nullptr), HasSubstr("wants TLS"));
  EXPECT_THAT(failure(plain->endpoint(), good), HasSubstr("the peer speaks no TLS"));
  EXPECT_THAT(failure(server->endpoint(), open(stranger.issue("operator"))),
              HasSubstr("has expired or is of another authority"));

  const auto elsewhere = start_registrar(open(authority.issue(
      "elsewhere", {.name = "elsewhere", .names = "DNS:elsewhere,URI:urn:rtpool:registrar"})));
  EXPECT_THAT(failure(elsewhere->endpoint(), good),
              HasSubstr("the server's certificate is for elsewhere, not for 127.0.0.1"));
  const auto relay = start_registrar(open(authority.issue("relay")));
  EXPECT_THAT(failure(relay->endpoint(), good),
              HasSubstr("127.0.0.1 is no registrar by its certificate 'CN=relay' (relay)"));
}

}  // namespace
}  // namespace rtpool::pool
