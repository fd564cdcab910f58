// 100,000 mutations of real requests against a real server: each that has a cookie is answered
// once, each that has none is met with silence, memory stays flat, and a proxy goes on being
// served.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "control/ng/reply.h"
#include "control/ng/server.h"
#include "relay/base/random.h"
#include "tests/control/ng/transcripts.h"
#include "tests/control/ng/udp_peer.h"

namespace rtpool::ng {
namespace {

// A sanitizer keeps freed memory for a while; without one there is no such excuse.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kAllowedGrowthKib = 512 * 1024;
#else
constexpr std::size_t kAllowedGrowthKib = 8 * 1024;
#endif

std::uint64_t seed() {
  const char* given = std::getenv("RTPOOL_SEED");
  return given == nullptr ? 20240607 : std::strtoull(given, nullptr, 10);
}

std::size_t resident_kib() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * 4;
}

// One to six edits of the kinds that break length prefixes, brackets, quotes and nesting.
// Nine of ten get a cookie of their own afterwards; the others bring a broken one, or one that came
// before.
std::string mutated(Random& random, std::size_t number) {
  static constexpr std::string_view kPieces[] = {"d",
                                                 "l",
                                                 "e",
                                                 "i-1e",
                                                 "i99999999999999999999e",
                                                 "0:",
                                                 "99999999:",
                                                 "[",
                                                 "]",
                                                 "{",
                                                 "}",
                                                 "\"",
                                                 "\\u",
                                                 ",",
                                                 ":",
                                                 " ",
                                                 "7:command",
                                                 "5:offer",
                                                 "10:rtpp-flags",
                                                 "\xff",
                                                 "lllllllllllllllllllll",
                                                 "[[[[[[[[[[[[[[[[[[[[["};
  const auto below = [&](std::size_t bound) {
    return static_cast<std::size_t>(random.below(static_cast<std::uint32_t>(bound)));
  };
  std::string text(transcripts::kAll[below(transcripts::kAll.size())]);
  for (std::size_t edits = 1 + below(6); edits > 0 && !text.empty(); --edits) {
    const std::size_t at = below(text.size());
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(random() & 0xff);
        break;
      case 1:
        text.erase(at, 1 + below(20));
        break;
      case 2:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 3:
        text.resize(at);
        break;
      case 4:
        text.insert(at, text.substr(below(text.size()), below(300)));
        break;
      default:
        text[at] = static_cast<char>('0' + below(10));
        break;
    }
  }
  const std::size_t space = text.find(' ');
  if (below(10) > 0 && space != std::string::npos)
    text.replace(0, space, "m" + std::to_string(number));
  return text;
}

TEST(Hostile, MutatedRequestsAreAnsweredOnceAndCostNoMemory) {
  const std::uint64_t used = seed();
  SCOPED_TRACE("RTPOOL_SEED=" + std::to_string(used));
  Random random(used);
  boost::asio::io_context context;
  ServerOptions options;
  options.cache.max_entries = 1000;
  std::size_t handled = 0;
  auto server = Server::start(
      context, Endpoint{IpAddress::v4(127, 0, 0, 1), 0},
      [&](Request request, Responder responder) {
        ++handled;
        if (request.command == Command::delete_call) return;  // gives its duty up
        responder.answer(request.command == Command::ping ? pong()
                                                          : ok().set("call-id", request.call_id));
      },
      options);
  ASSERT_TRUE(server);
  UdpPeer peer;
  const auto answers = [&] {
    std::size_t count = 0;
    while (peer.receive(0)) ++count;
    return count;
  };

  std::size_t before = 0;
  std::size_t answered = 0;
  constexpr std::size_t kMutations = 100'000;
  for (std::size_t sent = 0; sent < kMutations; ++sent) {
    if (sent == kMutations / 5) before = resident_kib();
    peer.send((*server)->local(), mutated(random, sent));
    context.restart();
    while ((*server)->counts().datagrams <= sent) context.run_one();
    context.poll();
    answered += answers();
  }

  const ServerCounts counts = (*server)->counts();
  EXPECT_EQ(counts.datagrams, kMutations);
  EXPECT_EQ(answered, kMutations - counts.without_cookie);
  EXPECT_GT(handled, kMutations / 50) << "some must stay valid";
  EXPECT_GT(counts.malformed, kMutations / 10);
  EXPECT_GT(counts.without_cookie, kMutations / 100);
  EXPECT_EQ(counts.in_work, 0U);
  EXPECT_LE(counts.cache_entries, 1000U);
  EXPECT_LT(resident_kib(), before + kAllowedGrowthKib);
  peer.send((*server)->local(), "after_all d7:command4:pinge");
  context.restart();
  while ((*server)->counts().datagrams <= kMutations) context.run_one();
  context.poll();
  const auto reply = peer.receive(1000);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->first, "after_all d6:result4:ponge");
}

}  // namespace
}  // namespace rtpool::ng
