#include "control/sdp/rewrite.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/control/sdp/support.h"

namespace rtpool::sdp {
namespace {

// Every description of the oracle's corpus, with CRLF.
std::vector<std::string> corpus() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(RTPOOL_ORACLE_CASES)) {
    std::ifstream file(entry.path());
    std::string line, text;
    while (std::getline(file, line)) {
      if (line.rfind("==", 0) == 0) {
        if (!text.empty()) found.push_back(text);
        text.clear();
      } else if (line.rfind('#', 0) != 0) {
        text += line + "\r\n";
      }
    }
    if (!text.empty()) found.push_back(text);
  }
  return found;
}

TEST(Rewrite, WritesTheWholeDescriptionAsTheFieldExpectsIt) {
  Dialogue dialogue;
  Options options;
  options.replace_origin = true;
  const auto offer = dialogue.offer(
      lines({"v=0", "o=alice 7 3 IN IP4 192.0.2.1", "s=call", "c=IN IP4 192.0.2.1", "b=AS:64",
             "t=0 0", "a=sendrecv", "a=x-kept:yes", "m=audio 5000 RTP/AVP 8 101",
             "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:20", "a=maxptime:60",
             "m=video 0 RTP/AVP 34", "a=rtpmap:34 H263/90000"}),
      options);
  ASSERT_TRUE(offer.has_value());
  EXPECT_EQ(*offer,
            lines({"v=0", "o=alice 7 3 IN IP4 198.51.100.1", "s=call", "c=IN IP4 198.51.100.1",
                   "b=AS:64", "t=0 0", "a=x-kept:yes", "m=audio 30000 RTP/AVP 8 101",
                   "a=maxptime:60", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000",
                   "a=fmtp:101 0-15", "a=sendrecv", "a=rtcp:30001", "a=ptime:20",
                   "m=video 0 RTP/AVP 34", "a=rtpmap:34 H263/90000"}));
}

TEST(Rewrite, IsItsOwnFixedPoint) {
  // Given any description of the corpus, once rewritten; when it is rewritten again for the same
  // endpoints, then nothing changes any more: whatever is not ours stays byte for byte.
  std::size_t count = 0;
  for (const std::string& text : corpus()) {
    Dialogue first, second;
    Options options;
    options.ice = IceMode::remove;
    const auto once = first.offer(text, options);
    if (!once) continue;  // those that are to be refused
    const auto twice = second.offer(*once, options);
    ASSERT_TRUE(twice.has_value()) << text << twice.error().message();
    EXPECT_EQ(*twice, *once);
    ++count;
  }
  EXPECT_GE(count, 150u);
}

TEST(Rewrite, EveryLineNotNamedInItsContractStays) {
  for (const std::string& text : corpus()) {
    Dialogue dialogue;
    const auto offer = dialogue.offer(text);
    if (!offer) continue;
    const Session session = parsed(text);
    for (const Line& line : session.lines()) {
      if (std::string_view("bvtrzkeupi").find(line.type) == std::string_view::npos &&
          line.text.substr(0, 4) != "a=x-" && line.text.substr(0, 6) != "a=ssrc") {
        continue;
      }
      EXPECT_TRUE(has_line(*offer, line.text)) << line.text << " is missing from\n" << *offer;
    }
  }
}

TEST(Rewrite, NoAddressOfTheSenderGoesOn) {
  // Given a party behind ICE with many addresses
  Dialogue dialogue;
  Options options;
  options.replace_origin = options.replace_session_connection = true;
  const auto offer =
      dialogue.offer(lines({"v=0", "o=- 1 1 IN IP4 10.9.9.1", "s=-", "c=IN IP4 10.9.9.2", "t=0 0",
                            "m=audio 5000 RTP/AVP 8", "c=IN IP4 10.9.9.3",
                            "a=rtcp:5001 IN IP4 10.9.9.4", "a=ice-ufrag:u", "a=ice-pwd:p",
                            "a=candidate:1 1 UDP 1 10.9.9.5 5000 typ srflx raddr 10.9.9.6 rport 1",
                            "a=remote-candidates:1 10.9.9.7 5", "m=video 0 RTP/AVP 34",
                            "c=IN IP4 10.9.9.8", "a=candidate:1 1 UDP 1 10.9.9.9 5000 typ host"}),
                     options);
  ASSERT_TRUE(offer.has_value());
  EXPECT_EQ(offer->find("10.9.9."), std::string::npos) << *offer;
  EXPECT_TRUE(has_line(*offer, "a=ice-lite"));
}

TEST(Rewrite, HoldByAddressStaysHold) {
  const std::string hold = lines({"v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 0.0.0.0",
                                  "t=0 0", "m=audio 5000 RTP/AVP 8"});
  Dialogue kept, replaced;
  const auto offer = kept.offer(hold);
  EXPECT_TRUE(has_line(*offer, "c=IN IP4 0.0.0.0"));
  EXPECT_TRUE(has_line(*offer, "a=sendonly"));
  EXPECT_TRUE(kept.caller.media[0].zero_address);
  Options options;
  options.replace_zero_address = true;
  EXPECT_TRUE(has_line(*replaced.offer(hold, options), "c=IN IP4 198.51.100.1"));
}

TEST(Rewrite, CountsItsOwnVersions) {
  Dialogue dialogue;
  Options options;
  options.replace_version = options.replace_username = options.replace_session_name = true;
  const auto offer = [&](std::string_view origin, std::string_view name,
                         std::string_view direction) {
    return *dialogue.offer(lines({"v=0", origin, name, "c=IN IP4 192.0.2.1", "t=0 0",
                                  "m=audio 5000 RTP/AVP 8", direction}),
                           options);
  };
  EXPECT_TRUE(has_line(offer("o=one 5 41 IN IP4 192.0.2.1", "s=first", "a=sendrecv"),
                       "o=one 5 41 IN IP4 192.0.2.1"));
  // The same again under other names and numbers: nothing new for the recipient
  const auto second = offer("o=two 5 90 IN IP4 192.0.2.1", "s=second", "a=sendrecv");
  EXPECT_TRUE(has_line(second, "o=one 5 41 IN IP4 192.0.2.1"));
  EXPECT_TRUE(has_line(second, "s=first"));
  // A change counts one up, whatever the sender counts
  EXPECT_TRUE(has_line(offer("o=two 5 99 IN IP4 192.0.2.1", "s=second", "a=sendonly"),
                       "o=one 5 42 IN IP4 192.0.2.1"));
}

TEST(Rewrite, LeavesTcpAloneButGivesItItsAddress) {
  Dialogue dialogue;
  const auto offer =
      dialogue.offer(description({"m=audio 5000 RTP/AVP 8", "m=message 7394 TCP/MSRP *", "i=chat",
                                  "a=path:msrp://192.0.2.1:7394/x;tcp"}));
  ASSERT_TRUE(offer.has_value());
  EXPECT_NE(offer->find(lines({"m=message 7394 TCP/MSRP *", "i=chat", "c=IN IP4 192.0.2.1",
                               "a=path:msrp://192.0.2.1:7394/x;tcp"})),
            std::string::npos)
      << *offer;
  EXPECT_FALSE(dialogue.plan.media[1].recipient.open);
}

TEST(Rewrite, WantsOneEntryForEachSection) {
  const Session session = parsed(description({"m=audio 5000 RTP/AVP 8"}));
  Party recipient;
  EXPECT_EQ(rewrite(session, {}, {}, recipient).error().code,
            make_error_code(Errc::media_mismatch));
}

TEST(Rewrite, StandsMutilatedDescriptions) {
  // Property: whatever is done to a real description, it is refused or rewritten into one that
  // parses.
  const std::vector<std::string> texts = corpus();
  const std::uint64_t seed = 20260101;
  std::mt19937_64 random(seed);
  std::size_t rewritten = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = texts[random() % texts.size()];
    for (std::uint64_t n = random() % 4 + 1; n > 0; --n) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 20 + 1);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
        default:
          text.insert(at, "\r\n");
      }
      if (text.empty()) text = "v";
    }
    Dialogue dialogue;
    Options options;
    options.ice = static_cast<IceMode>(random() % 5);
    options.replace_origin = random() % 2 == 0;
    options.replace_session_connection = random() % 2 == 0;
    const auto offer = dialogue.offer(text, options);
    if (!offer) continue;
    ++rewritten;
    const auto again = parse(*offer);
    ASSERT_TRUE(again.has_value()) << "seed " << seed << ", case " << i << "\n"
                                   << again.error().message() << "\n"
                                   << text << "\nbecame\n"
                                   << *offer;
    ASSERT_EQ(again->media().size(), dialogue.plan.media.size());
  }
  EXPECT_GT(rewritten, 2000u);
}

}  // namespace
}  // namespace rtpool::sdp
