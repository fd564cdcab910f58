// A call as its relay has it, with the names that the controller knows.
#include "control/app/operator/call_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

media::CallState a_call() {
  media::CallState state;
  state.key = "c1\x1b[31m";
  state.revision = 4;
  state.created = Instant{100s};
  state.observed = Instant{135s};
  media::StreamState stream;
  stream.id = media::StreamId{1};
  stream.rtp.local = {*Endpoint::parse("10.0.0.1:30000")};
  stream.rtp.remote = {{*Endpoint::parse("203.0.113.10:4000")}};
  stream.rtp.latched = true;
  stream.rtp.received = {.packets = 500, .bytes = 86'000};
  stream.rtp.last_packet = Instant{134s};
  stream.rtcp.local = {*Endpoint::parse("10.0.0.1:30001")};
  stream.ssrcs.push_back({.ssrc = 0xa11ce, .received = {.packets = 500}, .lost = 3, .jitter = 12});
  state.streams.push_back(stream);
  state.drops[static_cast<std::size_t>(media::Drop::source_refused)] = 9;
  return state;
}

KnownCall names() {
  return {.known = true, .error = {}, .parties = {{"10.0.0.1:30000", {"f1", "caller", "audio"}}}};
}

TEST(CallTable, ShowsBothPortsCountersAndDropsByReason) {
  const std::string text = call_state_text(a_call(), names(), "one (10.0.0.1:7410)", false);
  EXPECT_THAT(text, HasSubstr("Call c1?[31m on relay one (10.0.0.1:7410), for 35 s\n"));
  EXPECT_THAT(text, HasSubstr("caller  audio  RTP   203.0.113.10:4000  yes"));
  EXPECT_THAT(text, HasSubstr("caller  audio  RTCP  -                  no"));
  EXPECT_THAT(text, HasSubstr("1 s ago"));
  EXPECT_THAT(text, HasSubstr("Dropped: 9 source_refused\n"));
}

TEST(CallTable, DoesWithoutNames) {
  const std::string text = call_state_text(a_call(), {}, "one", false);
  EXPECT_THAT(text, HasSubstr("     1  -      -      RTP"));
}

TEST(CallTable, JsonHasEveryReasonAndSource) {
  const auto json = call_state_json(a_call(), names());
  EXPECT_EQ(json["drops"]["source_refused"], 9);
  EXPECT_EQ(json["drops"]["on_hold"], 0);
  EXPECT_EQ(json["streams"][0]["tag"], "f1");
  EXPECT_EQ(json["streams"][0]["rtp"]["last_packet_ms"], 1000);
  EXPECT_TRUE(json["streams"][0]["rtcp"]["last_packet_ms"].is_null());
  EXPECT_EQ(json["streams"][0]["ssrcs"][0]["lost"], 3);
  EXPECT_EQ(json["age_seconds"], 35);
}

TEST(CallTable, AListSaysHowMuchItLeavesOut) {
  nlohmann::json all = {{"total", 3}, {"calls", nlohmann::json::array()}};
  all["calls"].push_back(
      {{"call_id", "c1"},
       {"relay", "one"},
       {"age_seconds", 5},
       {"legs",
        {{{"tag", "f1"},
          {"medias", {{{"type", "audio"}, {"received", {{"packets", 7}}}, {"lost", 1}}}}}}}});
  EXPECT_THAT(call_list_text(all, "", false), HasSubstr("(1 of 3 calls)"));
  EXPECT_THAT(call_list_text(all, "one", false), HasSubstr("(1 of 3 calls: those on one)"));
  EXPECT_THAT(call_list_text(all, "", false), HasSubstr("c1    one    5 s  f1     audio"));
  all["total"] = 1;
  EXPECT_THAT(call_list_text(all, "", false), Not(HasSubstr(" of ")));
  // What is no call is passed over, not believed.
  all["calls"].push_back({{"legs", "text"}});
  all["calls"].push_back({{"legs", {5, {{"medias", {1, 2}}}}}});
  EXPECT_THAT(call_list_text(all, "", false), HasSubstr("(3 of 1 calls)"));
}

TEST(PercentEncoding, LeavesNothingThatAUrlUnderstands) {
  EXPECT_EQ(percent_encoded("a-b.c_d~9"), "a-b.c_d~9");
  EXPECT_EQ(percent_encoded("x@h&id=2#\xff /%"), "x%40h%26id%3D2%23%FF%20%2F%25");
}

}  // namespace
}  // namespace rtpool::control
