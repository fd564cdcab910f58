// Who may do what at a registrar by its certificate, over real gRPC on loopback, and certificates
// that are replaced while it runs.
#include "pool/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
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

bool eventually(milliseconds timeout, const std::function<bool()>& condition) {
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
  if (rpc == "GetRecord") {
    v1::GetRecordRequest request;
    request.set_pool("media");
    request.set_key("call");
    v1::Record record;
    return stub->GetRecord(&context, request, &record);
  }
  if (rpc == "SwapRecord") {
    v1::SwapRecordRequest request;
    request.set_pool("media");
    request.set_key("call");
    v1::SwapRecordReply reply;
    return stub->SwapRecord(&context, request, &reply);
  }
  v1::ListRequest request;
  v1::ListReply reply;
  return stub->List(&context, request, &reply);
}

TEST(Tls, EachRoleMayDoWhatItIsForAndNothingElse) {
  Authority authority;
  const auto server = start_registrar(open(authority.issue("registrar")));
  const std::map<std::string, std::vector<std::string>> allowed{
      {"relay", {"Serve", "Deregister", "List", "GetRecord"}},
      {"controller", {"Watch", "Resolve", "ReportUnreachable", "List", "GetRecord", "SwapRecord"}},
      {"operator", {"Watch", "Drain", "Undrain", "List"}},
      {"registrar", {"List"}},
      {"intercept", {}}};
  std::uint64_t refusals = 0;
  for (const auto& [role, may] : allowed) {
    const auto tls = open(authority.issue(role));
    for (const std::string rpc : {"Serve", "Deregister", "Watch", "Resolve", "ReportUnreachable",
                                  "Drain", "Undrain", "List", "GetRecord", "SwapRecord"}) {
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

TEST(Tls, ARelayRegistersOnlyUnderANameItsCertificateAllows) {
  Authority authority;
  Lines lines;
  const auto server = start_registrar(open(authority.issue("registrar")), lines.log());
  const auto named = open(authority.issue("relay:relay-7,relay:relay-8"));
  for (const std::string name : {"relay-7", "relay-8"})
    EXPECT_TRUE(call(server->endpoint(), named, "Serve", name).ok());
  for (const std::string rpc : {"Serve", "Deregister"}) {
    const auto status = call(server->endpoint(), named, rpc, "relay-9");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_THAT(status.error_message(),
                HasSubstr(rpc + " as 'relay-9' takes the role relay:relay-9 or relay; "));
    EXPECT_THAT(status.error_message(), HasSubstr("(relay:relay-7, relay:relay-8)"));
  }
  EXPECT_TRUE(call(server->endpoint(), open(authority.issue("relay")), "Serve", "relay-9").ok());
  EXPECT_THAT(lines.text(), HasSubstr("forbidden: Serve as 'relay-9'"));
}

TEST(Tls, RefusalsAreCountedAndLoggedAtMostOnceASecond) {
  Authority authority;
  Lines lines;
  const auto server = start_registrar(open(authority.issue("registrar")), lines.log());
  const auto intercept = open(authority.issue("intercept"));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) static_cast<void>(call(server->endpoint(), intercept, "List"));
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start)
          .count();
  EXPECT_EQ(server->refused_peers(), 50U);
  std::int64_t logged = 0;
  const std::string text = lines.text();
  for (auto at = text.find("forbidden"); at != std::string::npos;
       at = text.find("forbidden", at + 1))
    ++logged;
  EXPECT_GE(logged, 1);
  EXPECT_LE(logged, seconds + 2);
}

// A client that shows whatever it is told to; ours would not start with such files.
grpc::Status list_with(const std::string& endpoint, const std::string& authority_pem,
                       const std::optional<TlsFiles>& own) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = authority_pem;
  if (own) {
    options.pem_cert_chain = Authority::read(own->certificate);
    options.pem_private_key = Authority::read(own->key);
  }
  const auto stub =
      v1::Registrar::NewStub(grpc::CreateChannel(endpoint, grpc::SslCredentials(options)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  v1::ListReply reply;
  return stub->List(&context, {}, &reply);
}

TEST(Tls, AListenerTakesOnlyGoodCertificates) {
  Authority authority, stranger("stranger");
  const auto server = start_registrar(open(authority.issue("registrar")));
  const std::string ours = Authority::read(authority.folder() / "authority.pem");
  const std::string role = "URI:urn:rtpool:operator";
  using std::chrono::hours;
  EXPECT_TRUE(list_with(server->endpoint(), ours, authority.issue("operator")).ok());
  const auto refused = [&](const std::optional<TlsFiles>& own) {
    return list_with(server->endpoint(), ours, own).error_code();
  };
  EXPECT_EQ(refused(std::nullopt), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refused(stranger.issue("operator")), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(
      refused(authority.issue(
          "expired", {.name = "old", .names = role, .begins = -hours(48), .ends = -hours(1)})),
      grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refused(authority.issue(
                "early", {.name = "early", .names = role, .begins = hours(1), .ends = hours(2)})),
            grpc::StatusCode::UNAVAILABLE);
  // No role, or one that only looks like ours.
  for (const std::string names :
       {"", "URI:urn:rtpool:Operator", "URI:urn:rtpool:operator2", "DNS:urn.rtpool.operator",
        "URI:urn:rtpool:", "URI:urn:rtpool:relay:", "email:urn@rtpool.operator"}) {
    EXPECT_EQ(refused(authority.issue("odd", {.name = "operator", .names = names})),
              grpc::StatusCode::PERMISSION_DENIED)
        << names;
  }
}

TEST(Tls, FilesThatAreNotGoodAreNamed) {
  Authority authority, stranger("stranger");
  using std::chrono::hours;
  const TlsFiles good = authority.issue("relay");
  const auto complaint = [](const TlsFiles& files) {
    const auto checked = check_tls_files(files);
    return checked ? std::string("good") : checked.error().detail;
  };
  EXPECT_EQ(complaint(good), "good");

  TlsFiles bad = good;
  bad.key = "/nonexistent/key";
  EXPECT_EQ(complaint(bad), "/nonexistent/key: can't be read: No such file or directory");
  bad.key = authority.folder();
  EXPECT_THAT(complaint(bad), HasSubstr("can't be read"));
  bad.key = good.certificate;
  EXPECT_THAT(complaint(bad), HasSubstr("relay.pem: holds no whole private key"));
  bad.key = authority.issue("controller").key;
  EXPECT_THAT(complaint(bad), HasSubstr("controller.key: is not the key of the certificate in"));

  bad = good;
  bad.certificate = good.key;
  EXPECT_THAT(complaint(bad), HasSubstr("relay.key: holds no certificate"));
  const std::string whole = Authority::read(good.certificate);
  bad.certificate = authority.folder() / "half.pem";
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{10}, whole.size() / 2, whole.size() - 30}) {
    Authority::write(bad.certificate, whole.substr(0, size));
    EXPECT_THAT(complaint(bad), HasSubstr("half.pem: ")) << size;
  }
  Authority::write(bad.certificate, std::string(2 << 20, 'x'));
  EXPECT_THAT(complaint(bad), HasSubstr("is larger than 1 MiB"));

  bad = good;
  bad.authority = stranger.issue("relay").authority;
  EXPECT_THAT(complaint(bad), HasSubstr("'CN=authority', which signed the certificate, is not in " +
                                        bad.authority));
  EXPECT_THAT(
      complaint(authority.issue("old", {.name = "old", .begins = -hours(48), .ends = -hours(1)})),
      HasSubstr("old.pem: the certificate expired on 20"));
  EXPECT_THAT(complaint(authority.issue("early", {.name = "early", .begins = hours(1)})),
              HasSubstr("early.pem: the certificate is not valid before 20"));
}

TEST(Tls, ACertificateThatExpiresSoonIsWarnedOf) {
  Authority authority;
  Lines late, early;
  using std::chrono::hours;
  open(authority.issue("soon", {.name = "soon", .ends = hours(13 * 24)}), late.log());
  EXPECT_THAT(late.text(), HasSubstr("soon.pem expires on 20"));
  open(authority.issue("later", {.name = "later", .ends = hours(15 * 24)}), early.log());
  EXPECT_THAT(early.text(), Not(HasSubstr("later.pem expires")));
}

TEST(Tls, AKeyThatEverybodyCanReadIsWarnedOf) {
  Authority authority;
  const TlsFiles files = authority.issue("relay");
  for (const auto& [mode, warned] : {std::pair{0600, false}, {0640, false}, {0644, true}}) {
    std::filesystem::permissions(files.key, std::filesystem::perms(mode));
    Lines lines;
    open(files, lines.log());
    EXPECT_EQ(lines.text().find("is open to every account") != std::string::npos, warned) << mode;
  }
}

TEST(Tls, ACertificateForOneEndOnlyIsKnown) {
  Authority authority;
  const auto fits = [&authority](const std::string& usage) {
    const auto loaded = load_tls_files(authority.issue("one", {.name = "one", .usage = usage}));
    return loaded && fits_both_ends((*loaded)->certificate.get());
  };
  EXPECT_TRUE(fits("serverAuth,clientAuth"));
  EXPECT_FALSE(fits("serverAuth"));
  EXPECT_FALSE(fits("clientAuth"));
}

TEST(Tls, NewFilesAreTakenUpWhileStreamsGoOn) {
  // Given a relay's and a controller's streams,
  Authority authority;
  Lines lines;
  const TlsFiles files = authority.issue("registrar");
  const auto context = open(files, lines.log());
  const auto server = start_registrar(context);
  std::atomic<int> losses{0};
  PoolElementClient::Options element;
  element.registrars = {server->endpoint()};
  element.registration = {.pool = "media", .name = "relay-7", .endpoint = "127.0.0.1:7410"};
  element.tls = open(authority.issue("relay"));
  element.on_state = [&losses](const auto& state) { losses += state.registered == 0 ? 1 : 0; };
  const auto relay = PoolElementClient::start(std::move(element));
  ASSERT_TRUE(relay) << relay.error().message();
  PoolUserClient::Options user;
  user.registrars = {server->endpoint()};
  user.pool = "media";
  user.tls = open(authority.issue("controller"));
  const auto controller = PoolUserClient::start(std::move(user));
  ASSERT_TRUE((*controller)->wait_ready(milliseconds(5'000)));
  losses = 0;

  // when the registrar's files are broken one by one, nothing changes, for new connections either;
  const auto operator_tls = open(authority.issue("operator"));
  Authority::write(files.key, "-----BEGIN PRIVATE KEY-----\nMIGH");
  Authority::write(files.certificate, "");
  ASSERT_TRUE(eventually(milliseconds(5'000), [&] { return context->state().failures > 0; }));
  EXPECT_THAT(lines.text(), HasSubstr("the certificate in force stays"));
  EXPECT_THAT(context->state().last_failure, HasSubstr("registrar."));
  std::this_thread::sleep_for(milliseconds(1'500));  // gRPC looks once a second
  EXPECT_EQ(failure(server->endpoint(), operator_tls), "");

  // and when they are replaced by a certificate without the role, new connections see that one,
  authority.issue("registrar", {.name = "renewed", .names = "IP:127.0.0.1"});
  ASSERT_TRUE(eventually(milliseconds(5'000), [&] { return context->state().reloads == 1; }));
  EXPECT_EQ(context->state().last_failure, "");
  EXPECT_TRUE(eventually(milliseconds(5'000), [&] {
    return failure(server->endpoint(), operator_tls).find("'CN=renewed' (no role)") !=
           std::string::npos;
  })) << failure(server->endpoint(), operator_tls);

  // while the streams have never ended.
  EXPECT_EQ(losses, 0);
  EXPECT_EQ((*relay)->state().registered, 1U);
  EXPECT_TRUE((*controller)->in_contact());
}

TEST(Tls, AnAuthorityThatIsNoLongerTrustedOpensNothing) {
  Authority authority, successor("successor");
  const TlsFiles files = authority.issue("registrar");
  const auto context = open(files);
  const auto server = start_registrar(context);
  const auto before = open(authority.issue("operator")), after = open(successor.issue("operator"));
  EXPECT_EQ(failure(server->endpoint(), before), "");
  EXPECT_NE(failure(server->endpoint(), after), "");

  const TlsFiles fresh = successor.issue("registrar");
  for (const auto& [from, to] : {std::pair{&fresh.authority, &files.authority},
                                 {&fresh.key, &files.key},
                                 {&fresh.certificate, &files.certificate}})
    Authority::write(*to, Authority::read(*from));
  ASSERT_TRUE(
      eventually(milliseconds(10'000), [&] { return failure(server->endpoint(), after).empty(); }));
  EXPECT_THAT(failure(server->endpoint(), before), HasSubstr("of another authority"));
  // A client that does not mind who the server is does not get in either.
  const auto old_operator = authority.issue("operator");
  EXPECT_EQ(
      list_with(server->endpoint(), Authority::read(fresh.authority), old_operator).error_code(),
      grpc::StatusCode::UNAVAILABLE);
}

TEST(Tls, AClientShowsItsNewCertificateOnItsNextConnection) {
  Authority authority;
  const auto tls = open(authority.issue("registrar"));
  auto server = start_registrar(tls);
  const std::string endpoint = server->endpoint();
  const TlsFiles files = authority.issue("relay");
  const auto context = open(files);
  PoolElementClient::Options element;
  element.registrars = {endpoint};
  element.registration = {.pool = "media", .name = "relay-7", .endpoint = "127.0.0.1:7410"};
  element.tls = context;
  const auto relay = PoolElementClient::start(std::move(element));
  ASSERT_TRUE(eventually(milliseconds(5'000), [&] { return (*relay)->state().registered == 1; }));

  // When it loses its role and the registrar starts anew,
  authority.issue("relay", {.name = "former", .names = "IP:127.0.0.1"});
  ASSERT_TRUE(context->reload());
  ASSERT_TRUE(eventually(milliseconds(5'000), [&] {
    return call(endpoint, context, "List").error_code() == grpc::StatusCode::PERMISSION_DENIED;
  }));
  EXPECT_EQ((*relay)->state().registered, 1U) << "a standing stream stays";
  server->stop();
  RegistrarServer::Options options;
  options.listen = endpoint;
  options.tls = tls;
  auto again = RegistrarServer::start(std::move(options));
  ASSERT_TRUE(again) << again.error().message();

  // then it is refused.
  EXPECT_TRUE(eventually(milliseconds(5'000), [&] {
    const auto state = (*relay)->state();
    return state.refused && state.refused->code == make_error_code(Errc::forbidden);
  }));
  EXPECT_EQ((*relay)->state().registered, 0U);
}

}  // namespace
}  // namespace rtpool::pool
