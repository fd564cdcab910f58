// What --store may say of an etcd cluster, and how a mistake in it is answered.
#include "pool/etcd_url.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace rtpool::pool {
namespace {

TEST(EtcdUrl, OneEndpointIsEnough) {
  const auto url = parse_etcd_url("etcd://10.0.0.1:2379");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->endpoints, std::vector<std::string>{"10.0.0.1:2379"});
  EXPECT_EQ(url->prefix, "/rtpool/");
  EXPECT_TRUE(url->user.empty() && url->authority.empty());
}

TEST(EtcdUrl, SaysEverythingThatACallerMayNeed) {
  const auto url = parse_etcd_url(
      "etcd://e1:2379,[::1]:2379,e3:2379?prefix=/voice&user=pool&password-file=/etc/p&ca=/etc/ca"
      "&cert=/etc/c&key=/etc/k");
  ASSERT_TRUE(url) << url.error().message();
  EXPECT_EQ(url->endpoints, (std::vector<std::string>{"e1:2379", "[::1]:2379", "e3:2379"}));
  EXPECT_EQ(url->prefix, "/voice/") << "keys of different prefixes never run into each other";
  EXPECT_EQ(url->user, "pool");
  EXPECT_EQ(url->password_file, "/etc/p");
  EXPECT_EQ(url->authority, "/etc/ca");
  EXPECT_EQ(url->certificate, "/etc/c");
  EXPECT_EQ(url->key, "/etc/k");
}

TEST(EtcdUrl, MistakesAreNamedWithWhatWouldBeRight) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"redis://h:1", "does not begin with etcd://"},
      {"etcd://", "an endpoint is missing"},
      {"etcd://h:2379,", "an endpoint is missing"},
      {"etcd://h", "'h' is not HOST:PORT"},
      {"etcd://h:2379,h:0", "'h:0' is not HOST:PORT"},
      {"etcd://h:2379,h:2379", "named twice"},
      {"etcd://a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:10", "more than 9"},
      {"etcd://u:secret@h:2379", "password-file"},
      {"etcd://h:2379/rtpool", "?prefix="},
      {"etcd://h:2379?pfx=/x", "'pfx' is unknown; there are prefix, user"},
      {"etcd://h:2379?prefix=", "'prefix' has no value"},
      {"etcd://h:2379?prefix=/a b", "printable"},
      {"etcd://h:2379?prefix=/" + std::string(200, 'x'), "1 to 128"},
      {"etcd://h:2379?user=pool", "go together"},
      {"etcd://h:2379?password-file=/p", "go together"},
      {"etcd://h:2379?user=a&password=secret", "write password-file=PATH"},
      {"etcd://h:2379?ca=/ca&cert=/c", "cert and key go together"},
      {"etcd://h:2379?cert=/c&key=/k", "need ca"},
  };
  for (const auto& [text, wanted] : cases) {
    const auto url = parse_etcd_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_NE(url.error().detail.find(wanted), std::string::npos)
        << text << ": " << url.error().detail;
    EXPECT_EQ(url.error().detail.find("secret"), std::string::npos) << "no password is repeated";
  }
}

}  // namespace
}  // namespace rtpool::pool
