// HTTP over mutual TLS, with a client that shows whatever certificate it is told to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <optional>

#include "control/app/config.h"
#include "control/app/http_get.h"
#include "control/app/http_server.h"
#include "pool/tls_context.h"
#include "tests/support/certificates.h"

namespace rtpool::control {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using test::Authority;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kPatience = milliseconds(2'000);

std::shared_ptr<pool::TlsContext> open(const pool::TlsFiles& files) {
  auto context = pool::TlsContext::open({.files = files, .poll = milliseconds(20)});
  EXPECT_TRUE(context) << context.error().message();
  return context ? *context : nullptr;
}

struct Server {
  explicit Server(std::shared_ptr<const pool::TlsContext> tls) : http(std::move(tls)) {
    http.get(
        "/healthz", [] { return HttpReply{.body = "alive"}; }, HttpAccess::anyone);
    http.get(
        "/metrics", [] { return HttpReply{.body = "counts"}; }, HttpAccess::any_certificate);
    http.get("/api/calls", [] { return HttpReply{.body = "calls"}; });
    auto at = http.start(loopback(0));
    EXPECT_TRUE(at) << at.error().message();
    where = at->to_string();
  }
  HttpServer http;
  std::string where;
};

// The whole reply to a GET; empty where the connection failed.
std::string get(const std::string& where, const std::string& path, const pool::TlsFiles& trusted,
                const std::optional<pool::TlsFiles>& own, int newest = 0) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_load_verify_locations(context.get(), trusted.authority.c_str(), nullptr);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_security_level(context.get(), 0);  // so that old versions can be tried
  SSL_CTX_set_max_proto_version(context.get(), newest);
  if (own) {
    SSL_CTX_use_certificate_chain_file(context.get(), own->certificate.c_str());
    SSL_CTX_use_PrivateKey_file(context.get(), own->key.c_str(), SSL_FILETYPE_PEM);
  }
  const std::shared_ptr<BIO> bio(BIO_new_ssl_connect(context.get()), BIO_free_all);
  BIO_set_conn_hostname(bio.get(), where.c_str());
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n";
  BIO_write(bio.get(), request.data(), static_cast<int>(request.size()));
  std::string reply;
  char buffer[4096];
  for (int n = 0; (n = BIO_read(bio.get(), buffer, sizeof buffer)) > 0;)
    reply.append(buffer, static_cast<std::size_t>(n));
  ERR_clear_error();
  return reply;
}

TEST(HttpTls, EachRouteTakesItsCertificate) {
  Authority authority;
  const auto files = authority.issue("controller");
  Server server(open(files));
  const auto ask = [&](const std::string& path, const std::optional<pool::TlsFiles>& own) {
    return get(server.where, path, files, own);
  };
  EXPECT_THAT(ask("/healthz", std::nullopt), HasSubstr("alive"));
  EXPECT_THAT(ask("/metrics", std::nullopt), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(ask("/metrics", std::nullopt), HasSubstr("takes a certificate; 127.0.0.1 has none"));
  EXPECT_THAT(ask("/api/calls", std::nullopt), HasSubstr("role operator; 127.0.0.1 has none"));
  EXPECT_THAT(ask("/nothing", std::nullopt), StartsWith("HTTP/1.1 404"));

  const auto relay = authority.issue("relay:relay-7");
  EXPECT_THAT(ask("/healthz", relay), HasSubstr("alive"));
  EXPECT_THAT(ask("/metrics", relay), HasSubstr("counts"));
  EXPECT_THAT(ask("/api/calls", relay), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(ask("/api/calls", relay), HasSubstr("(relay:relay-7)"));
  EXPECT_THAT(ask("/api/calls", authority.issue("operator")), HasSubstr("calls"));
  EXPECT_EQ(server.http.refused_peers(), 5U);
}

TEST(HttpTls, ABadCertificateIsWorseThanNone) {
  Authority authority, stranger("stranger");
  const auto files = authority.issue("controller");
  Server server(open(files));
  const std::string role = "URI:urn:rtpool:operator";
  const auto expired = authority.issue(
      "expired", {.name = "expired", .names = role, .begins = -hours(48), .ends = -hours(1)});
  for (const auto& bad : {expired, stranger.issue("operator")}) {
    for (const std::string path : {"/healthz", "/metrics", "/api/calls"})
      EXPECT_EQ(get(server.where, path, files, bad), "") << path;
  }
}

TEST(HttpTls, OldVersionsAreRefused) {
  Authority authority;
  const auto files = authority.issue("controller");
  Server server(open(files));
  EXPECT_EQ(get(server.where, "/healthz", files, std::nullopt, TLS1_1_VERSION), "");
  EXPECT_THAT(get(server.where, "/healthz", files, std::nullopt, TLS1_2_VERSION),
              HasSubstr("alive"));
}

TEST(HttpTls, TheOperatorsClientSaysWhatIsWrong) {
  Authority authority, stranger("stranger");
  Server server(open(authority.issue("controller")));
  Server plain(nullptr);
  const auto alice = open(authority.issue("operator"));
  const auto complaint = [](const std::string& where,
                            const std::shared_ptr<const pool::TlsContext>& tls) {
    const auto body = http_get(where, "/api/calls", kPatience, tls);
    return body ? *body : body.error().detail;
  };
  EXPECT_EQ(complaint(server.where, alice), "calls");
  EXPECT_EQ(complaint("localhost" + server.where.substr(server.where.find(':')), alice), "calls");
  EXPECT_EQ(complaint(plain.where, nullptr), "calls");
  EXPECT_THAT(complaint(server.where, nullptr), HasSubstr("it may want TLS"));
  EXPECT_THAT(complaint(plain.where, alice), HasSubstr("it speaks no TLS"));
  EXPECT_THAT(complaint(server.where, open(authority.issue("relay"))),
              HasSubstr("status 403: forbidden: /api/calls takes a certificate with the role "
                        "operator; 127.0.0.1 has certificate 'CN=relay' (relay)"));
  EXPECT_THAT(complaint(server.where, open(stranger.issue("operator"))),
              HasSubstr("is of another authority or for another host"));
  Server elsewhere(
      open(authority.issue("elsewhere", {.name = "127.0.0.1", .names = "DNS:elsewhere"})));
  EXPECT_THAT(complaint(elsewhere.where, alice),
              HasSubstr("is of another authority or for another host"));
}

TEST(HttpTls, ANewCertificateIsShownAtOnce) {
  Authority authority, successor("successor");
  const auto files = authority.issue("controller");
  const auto context = open(files);
  Server server(context);
  EXPECT_THAT(get(server.where, "/healthz", files, std::nullopt), HasSubstr("alive"));
  // The fleet moves to another authority.
  const auto fresh = successor.issue("controller");
  for (const auto& [from, to] : {std::pair{&fresh.authority, &files.authority},
                                 {&fresh.key, &files.key},
                                 {&fresh.certificate, &files.certificate}})
    Authority::write(*to, Authority::read(*from));
  ASSERT_TRUE(context->reload());
  EXPECT_THAT(get(server.where, "/metrics", fresh, successor.issue("operator")),
              HasSubstr("counts"));
  EXPECT_EQ(get(server.where, "/metrics", fresh, authority.issue("operator")), "");
}

}  // namespace
}  // namespace rtpool::control
