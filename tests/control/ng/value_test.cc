#include "control/ng/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtpool::ng {
namespace {

TEST(Value, FindsAKeyHoweverThePeerSpellsIt) {
  const Value message =
      Value::dictionary({{"call-id", "a"}, {"delete delay", 5}, {"rtcp_mux", "demux"}});

  EXPECT_EQ(message.find_text("call id"), "a");
  EXPECT_EQ(message.find_text("Call-ID"), "a");
  EXPECT_EQ(message.find_integer("delete-delay"), 5);
  EXPECT_EQ(message.find_text("RTCP-mux"), "demux");
  EXPECT_EQ(message.find("callid"), nullptr);
}

TEST(Value, TheLastOfRepeatedKeysCountsAndAllAreKept) {
  Value message;
  message.append("received-from", "198.51.100.7");
  message.append("received from", "127.0.0.1");

  EXPECT_EQ(message.find_text("received-from"), "127.0.0.1");
  EXPECT_EQ(message.members().size(), 2U);
}

TEST(Value, NumbersAndTheirTextAreInterchangeable) {
  EXPECT_EQ(Value("184").integer(), 184);
  EXPECT_EQ(Value("-1").integer(), -1);
  EXPECT_EQ(Value(184).text(), "184");
  for (const char* not_a_number : {"", "12x", " 12", "0x10", "99999999999999999999", "1.5"}) {
    EXPECT_EQ(Value(not_a_number).integer(), std::nullopt) << not_a_number;
  }
  EXPECT_EQ(Value::list().integer(), std::nullopt);
  EXPECT_EQ(Value::list().text(), std::nullopt);
}

TEST(Value, BuildsNestedReplies) {
  Value reply = Value::dictionary({{"result", "ok"}});
  reply["totals"]["RTP"].set("packets", std::uint64_t{12}).set("bytes", 2064);
  reply["tags"]["Tag"]["medias"]
      .add(Value::dictionary({{"index", 1}}))
      .add(Value::dictionary({{"index", 2}}));
  reply["tags"]["tag"].set("label", "other");  // tags differ by case: builders compare exactly

  EXPECT_EQ(reply.find("totals")->find("RTP")->find_integer("bytes"), 2064);
  EXPECT_EQ(reply.find("tags")->members().size(), 2U);
  EXPECT_EQ(reply.find("tags")->members()[0].value.find("medias")->items().size(), 2U);
}

TEST(Value, ACounterBeyondTheSignedRangeBecomesTheLargestNumber) {
  EXPECT_EQ(Value(std::uint64_t{0xffffffffffffffff}).integer(),
            std::numeric_limits<std::int64_t>::max());
}

TEST(Value, ErasesEverySpellingOfAKey) {
  Value message = Value::dictionary({{"SDP", "v=0"}, {"command", "offer"}, {"sdp", "v=0"}});

  EXPECT_TRUE(message.erase("sdp"));
  EXPECT_FALSE(message.erase("sdp"));
  EXPECT_EQ(message, Value::dictionary({{"command", "offer"}}));
}

}  // namespace
}  // namespace rtpool::ng
