// The etcd store against etcd that asks for a user, a certificate, or both.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "pool/etcd_store.h"
#include "tests/pool/store_calls.h"
#include "tests/support/certificates.h"
#include "tests/support/etcd_cluster.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::EtcdCluster;

bool eventually(milliseconds timeout, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

std::unique_ptr<EtcdStore> open_store(const std::string& url) {
  auto parsed = parse_etcd_url(url);
  EXPECT_TRUE(parsed) << parsed.error().message();
  auto store = EtcdStore::open({.url = *parsed});
  EXPECT_TRUE(store) << store.error().message();
  return std::move(*store);
}

bool becomes_good(const EtcdStore& store) {
  return eventually(seconds(20), [&] { return store.trouble().empty(); });
}

bool tells(const EtcdStore& store, const std::string& what) {
  const bool told =
      eventually(seconds(10), [&] { return store.trouble().find(what) != std::string::npos; });
  EXPECT_TRUE(told) << store.trouble();
  return told;
}

// A user `pool` who may read and write what begins with /rtpool/.
void ask_for_users(const EtcdCluster& etcd) {
  const auto post = [&](const std::string& path, const std::string& body) {
    const std::string answer = test::http_exchange(etcd.port(0), "POST /v3/auth/" + path, body);
    EXPECT_EQ(answer.find("error"), std::string::npos) << path << ": " << answer;
  };
  post("user/add", R"({"name":"root","password":"r"})");
  post("role/add", R"({"name":"root"})");
  post("user/grant", R"({"user":"root","role":"root"})");
  post("user/add", R"({"name":"pool","password":"open sesame"})");
  post("role/add", R"({"name":"pool"})");
  // "/rtpool/" to "/rtpool0"
  post("role/grant", R"({"name":"pool","perm":{"permType":"READWRITE","key":"L3J0cG9vbC8=",)"
                     R"("range_end":"L3J0cG9vbDA="}})");
  post("user/grant", R"({"user":"pool","role":"pool"})");
  post("enable", "{}");
}

TEST(EtcdAccess, AUserIsAuthenticatedAndAgainWhenItsTokenIsForgotten) {
  EtcdCluster etcd(1);
  ASSERT_TRUE(etcd.wait_leader());
  ask_for_users(etcd);
  const test::Authority folder;
  const std::string password = folder.folder() / "password";
  test::Authority::write(password, "open sesame\n");
  const auto store = open_store(etcd.url("?user=pool&password-file=" + password));
  ASSERT_TRUE(becomes_good(*store)) << store->trouble();
  const auto put = swap(*store, {.key = "pool/media", .expected = 0, .value = "x"});
  ASSERT_TRUE(put && put->swapped);
  ASSERT_TRUE(
      swap(*store,
           {.key = "record/media/a", .expected = 0, .value = "call", .lifetime = seconds(60)})
          ->swapped)
      << "a lease, too";

  // Its tokens die with the process.
  etcd.kill(0);
  etcd.start(0);
  ASSERT_TRUE(etcd.wait_leader());
  ASSERT_TRUE(eventually(seconds(10), [&] {
    const auto entry = get(*store, "pool/media");
    return entry && entry->value == "x";
  })) << store->trouble();
  EXPECT_TRUE(becomes_good(*store));
}

TEST(EtcdAccess, WhoIsNotLetInIsToldWhyAndLetInOnceThePasswordIsRight) {
  const EtcdCluster etcd(1);
  ASSERT_TRUE(etcd.wait_leader());
  ask_for_users(etcd);
  const test::Authority folder;
  const std::string password = folder.folder() / "password";
  test::Authority::write(password, "wrong");
  const auto nobody = open_store(etcd.url());
  const auto wrong = open_store(etcd.url("?user=pool&password-file=" + password));
  EXPECT_TRUE(tells(*nobody, "it asks for a user; add ?user=NAME&password-file=PATH"));
  EXPECT_TRUE(tells(*wrong, "user 'pool': "));
  EXPECT_EQ(wrong->trouble().find("wrong"), std::string::npos) << "no password is shown";
  const auto refused = get(*wrong, "pool/media");
  ASSERT_FALSE(refused);
  EXPECT_EQ(name_of(refused.error()), "store_failed");

  test::Authority::write(password, "open sesame");
  EXPECT_TRUE(becomes_good(*wrong)) << wrong->trouble();
  EXPECT_TRUE(get(*wrong, "pool/media"));

  const auto elsewhere =
      open_store(etcd.url("?prefix=/other/&user=pool&password-file=" + password));
  EXPECT_TRUE(tells(*elsewhere, "permission denied"));
}

TEST(EtcdAccess, TlsTakesTheRightAuthorityAndTheCertificateThatEtcdAsksFor) {
  test::Authority authority;
  const auto server = authority.issue("etcd", {.name = "etcd"});
  const auto client = authority.issue("client", {.name = "client"});
  test::Authority stranger("stranger");
  const EtcdCluster etcd(
      {.members = 1,
       .more = {"--cert-file=" + server.certificate, "--key-file=" + server.key,
                "--trusted-ca-file=" + authority.folder().string() + "/authority.pem",
                "--client-cert-auth"},
       .tls = true});
  ASSERT_TRUE(etcd.wait_leader());
  const std::string certificate = "&cert=" + client.certificate + "&key=" + client.key;
  const auto store = open_store(etcd.url("?ca=" + client.authority + certificate));
  ASSERT_TRUE(becomes_good(*store)) << store->trouble();
  EXPECT_TRUE(swap(*store, {.key = "pool/media", .expected = 0, .value = "x"})->swapped);

  const auto wrong =
      open_store(etcd.url("?ca=" + (stranger.folder() / "authority.pem").string() + certificate));
  EXPECT_TRUE(tells(*wrong, "another authority"));
  const auto anonymous = open_store(etcd.url("?ca=" + client.authority));
  EXPECT_TRUE(tells(*anonymous, etcd.endpoint(0) + ": "));
  EXPECT_FALSE(get(*anonymous, "pool/media"));
  const auto plain = open_store(etcd.url());
  EXPECT_TRUE(tells(*plain, etcd.endpoint(0) + ": "));
  EXPECT_FALSE(get(*plain, "pool/media"));
}

TEST(EtcdAccess, FilesThatCantBeReadAreNamed) {
  const auto why = [](const std::string& settings) {
    auto store = EtcdStore::open({.url = *parse_etcd_url("etcd://127.0.0.1:1" + settings)});
    return store ? "" : store.error().detail;
  };
  EXPECT_EQ(why("?ca=/nonexistent/ca"), "ca=/nonexistent/ca can't be read, is no file or is empty");
  EXPECT_NE(why("?user=a&password-file=/nonexistent/p").find("password-file=/nonexistent/p can't"),
            std::string::npos);
}

}  // namespace
}  // namespace rtpool::pool
