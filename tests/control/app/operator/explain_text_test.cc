// Why a packet is dropped, and what would make it pass, in words.
#include "control/app/operator/explain_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtpool::control {
namespace {

using media::Drop;
using media::Explanation;
using media::Learned;
using ::testing::AllOf;
using ::testing::HasSubstr;

const RemoteEndpoint kAlice{*Endpoint::parse("203.0.113.10:4000")};
const RemoteEndpoint kOther{*Endpoint::parse("203.0.113.10:61777")};

Explanation at_alices_port() {
  return {.stream = media::StreamId{1},
          .local = {*Endpoint::parse("10.0.0.1:30000")},
          .advertised = {*Endpoint::parse("198.51.100.1:30000")},
          .latched = false,
          .remote = kAlice,
          .signalled = kAlice,
          .sip_source = {},
          .outcome = {},
          .continued_ssrc = {},
          .continued = {}};
}

media::Outcome forwarded(Learned learned) {
  return {.forwarded = true,
          .learned = learned,
          .out_stream = media::StreamId{2},
          .from = {*Endpoint::parse("10.0.0.1:30002")},
          .to = {*Endpoint::parse("192.0.2.20:5000")}};
}

Explanation dropped(Drop reason) {
  Explanation told = at_alices_port();
  told.outcome.reason = reason;
  return told;
}

TEST(ExplainText, SaysWhereItLeavesAndWhatIsLearned) {
  Explanation told = at_alices_port();
  told.outcome = forwarded(Learned::latched);
  EXPECT_EQ(explain_in_words(told, kAlice),
            "is accepted and latched; leaves from 10.0.0.1:30002 to 192.0.2.20:5000");
  told.latched = true;
  told.outcome = forwarded(Learned::nothing);
  EXPECT_THAT(explain_in_words(told, kAlice), HasSubstr("being the latched source"));
  told.outcome = forwarded(Learned::moved);
  EXPECT_THAT(explain_in_words(told, kOther), HasSubstr("relatched, from 203.0.113.10:4000"));
}

TEST(ExplainText, SaysWhoWouldBeHeard) {
  Explanation told = dropped(Drop::source_refused);
  EXPECT_THAT(explain_in_words(told, kOther),
              AllOf(HasSubstr("(source_refused)"), HasSubstr("from any port of 203.0.113.10")));
  told.sip_source = *IpAddress::parse("192.0.2.1");
  EXPECT_THAT(explain_in_words(told, kOther), HasSubstr("203.0.113.10 or 192.0.2.1"));
  told.latched = true;
  EXPECT_THAT(explain_in_words(told, kOther), HasSubstr("203.0.113.10:4000, which is latched"));
  told.policy = media::LatchPolicy::signalled;
  EXPECT_THAT(explain_in_words(told, kOther), HasSubstr("only the signalled endpoint"));
  told.ice = true;
  EXPECT_THAT(explain_in_words(told, kOther), HasSubstr("connectivity check"));
  told = dropped(Drop::source_refused);
  told.signalled.reset();
  EXPECT_THAT(explain_in_words(told, kOther), HasSubstr("has not said yet where it is"));
}

TEST(ExplainText, TellsOfAPacketThatCarriesOn) {
  Explanation told = dropped(Drop::ssrc_refused);
  told.latched = true;
  EXPECT_THAT(explain_in_words(told, kOther), HasSubstr("203.0.113.10:4000 is latched"));
  told.continued = forwarded(Learned::moved);
  told.continued_ssrc = 0xa11ce;
  EXPECT_THAT(explain_in_words(told, kOther),
              AllOf(HasSubstr("carried on SSRC 0x000a11ce"), HasSubstr("to 192.0.2.20:5000")));
  const auto json = explanation_json(told, kOther);
  EXPECT_EQ(json["continued"]["learned"], "moved");
  EXPECT_EQ(json["continued"]["ssrc"], 0xa11ceU);
  EXPECT_EQ(json["reason"], "ssrc_refused");
}

TEST(ExplainText, HasWordsForWhatTheImaginedPacketCanMeet) {
  for (const auto& [reason, words] : {std::pair{Drop::no_peer, "the other side has answered"},
                                      {Drop::peer_unknown, "address is not known yet"},
                                      {Drop::on_hold, "hold"},
                                      {Drop::rate_limited, "learning window is over"}}) {
    EXPECT_THAT(explain_in_words(dropped(reason), kOther), HasSubstr(words));
  }
  Explanation early = dropped(Drop::no_peer);
  early.outcome.learned = Learned::latched;
  EXPECT_THAT(explain_in_words(early, kAlice), HasSubstr("is latched, but dropped (no_peer)"));
}

TEST(ExplainText, ShowsAnAdvertisedAddressWhereItIsAnother) {
  const Explanation told = at_alices_port();
  EXPECT_EQ(place_of(told.local, told.advertised), "10.0.0.1:30000 (198.51.100.1:30000)");
  EXPECT_EQ(place_of(told.local, told.local), "10.0.0.1:30000");
}

}  // namespace
}  // namespace rtpool::control
