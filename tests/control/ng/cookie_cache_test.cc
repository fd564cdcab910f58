#include "control/ng/cookie_cache.h"

#include <gtest/gtest.h>

namespace rtpool::ng {
namespace {

using std::chrono::seconds;
using Outcome = CookieCache::Outcome;

const Endpoint kProxy{IpAddress::v4(127, 0, 0, 1), 40001};
const Endpoint kOtherProxy{IpAddress::v4(127, 0, 0, 1), 40002};

std::shared_ptr<const std::string> text(std::string_view reply) {
  return std::make_shared<std::string>(reply);
}
Instant at(int second) {
  return Instant(seconds(1000 + second));
}

TEST(CookieCache, ARepeatedRequestGetsTheIdenticalReplyForThirtySeconds) {
  CookieCache cache;
  ASSERT_EQ(cache.lookup(at(0), "1_1", kProxy).outcome, Outcome::fresh);
  ASSERT_TRUE(cache.begin(at(0), "1_1", kProxy));
  const auto reply = text("1_1 d6:result2:oke");
  EXPECT_EQ(cache.complete(at(2), "1_1", kProxy, reply), 1U);

  for (const int second : {2, 5, 20, 31}) {
    const auto repeated = cache.lookup(at(second), "1_1", kProxy);
    EXPECT_EQ(repeated.outcome, Outcome::reply);
    EXPECT_EQ(repeated.reply, reply);
  }
  EXPECT_EQ(cache.lookup(at(32), "1_1", kProxy).outcome, Outcome::fresh);
  EXPECT_EQ(cache.entries(), 0U);
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(CookieCache, CopiesOfOneInWorkAreAnsweredWithIt) {
  CookieCache cache({.max_waiting = 2});
  ASSERT_TRUE(cache.begin(at(0), "1_1", kProxy));

  for (int copy = 0; copy < 5; ++copy) {
    EXPECT_EQ(cache.lookup(at(copy), "1_1", kProxy).outcome, Outcome::in_work);
  }

  EXPECT_EQ(cache.complete(at(5), "1_1", kProxy, text("r")),
            3U);  // the first, and no more copies than two
}

TEST(CookieCache, TwoProxiesMayPickTheSameCookie) {
  CookieCache cache;
  ASSERT_TRUE(cache.begin(at(0), "1_1", kProxy));
  cache.complete(at(0), "1_1", kProxy, text("sdp of the first"));

  EXPECT_EQ(cache.lookup(at(0), "1_1", kOtherProxy).outcome, Outcome::fresh);
}

TEST(CookieCache, OverItsEntriesTheOldestFinishedGoFirst) {
  CookieCache cache({.max_entries = 3});
  for (const char* cookie : {"a", "b", "c"}) ASSERT_TRUE(cache.begin(at(0), cookie, kProxy));
  cache.complete(at(1), "b", kProxy, text("b"));
  cache.complete(at(2), "a", kProxy, text("a"));

  ASSERT_TRUE(cache.begin(at(3), "d", kProxy));

  EXPECT_EQ(cache.lookup(at(3), "b", kProxy).outcome, Outcome::fresh);
  EXPECT_EQ(cache.lookup(at(3), "a", kProxy).outcome, Outcome::reply);
  EXPECT_EQ(cache.lookup(at(3), "c", kProxy).outcome, Outcome::in_work);
}

TEST(CookieCache, OneInWorkIsNeverDroppedAndTheNewcomerIsRefused) {
  CookieCache cache({.max_entries = 2});
  ASSERT_TRUE(cache.begin(at(0), "a", kProxy));
  ASSERT_TRUE(cache.begin(at(0), "b", kProxy));

  EXPECT_FALSE(cache.begin(at(100), "c", kProxy));

  EXPECT_EQ(cache.lookup(at(100), "a", kProxy).outcome, Outcome::in_work);
  EXPECT_EQ(cache.in_work(), 2U);
  cache.complete(at(100), "a", kProxy, text("a"));
  EXPECT_TRUE(cache.begin(at(100), "c", kProxy));
}

TEST(CookieCache, ItsBytesAreBounded) {
  CookieCache cache({.max_bytes = 100'000});
  for (int i = 0; i < 1000; ++i) {
    const std::string cookie = std::to_string(i);
    ASSERT_TRUE(cache.begin(at(0), cookie, kProxy));
    cache.complete(at(0), cookie, kProxy, text(std::string(2000, 'x')));
    EXPECT_LE(cache.bytes(), 100'000U);
  }
  EXPECT_GT(cache.entries(), 30U);
  EXPECT_EQ(cache.lookup(at(0), "999", kProxy).outcome, Outcome::reply);
  EXPECT_EQ(cache.lookup(at(0), "0", kProxy).outcome, Outcome::fresh);

  cache.expire(at(30));
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(CookieCache, LookingUpGarbageKeepsNothing) {
  CookieCache cache;
  for (int i = 0; i < 1000; ++i) cache.lookup(at(0), std::to_string(i), kProxy);
  EXPECT_EQ(cache.entries(), 0U);
}

}  // namespace
}  // namespace rtpool::ng
