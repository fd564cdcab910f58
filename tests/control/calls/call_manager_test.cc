// The call manager's story, told with relays that live in memory.
#include "control/calls/call_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/fake_relays.h"

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;
using rtpool::testing::FakeRelays;
using ::testing::HasSubstr;
using ::testing::Not;

std::string sdp(const std::string& address, int port, const std::string& extra = "") {
  return "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address +
         "\r\nt=0 0\r\nm=audio " + std::to_string(port) + " RTP/AVP 8 0\r\n" + extra;
}

class CallManagerTest : public ::testing::Test {
 protected:
  ng::Request request(ng::Command command, const std::string& from, const std::string& to,
                      const std::string& description = "") {
    ng::Request made;
    made.command = command;
    made.call_id = "call-1";
    made.from_tag = from;
    made.to_tag = to;
    made.sdp = description;
    return made;
  }

  ng::Value handle(const ng::Request& made) {
    std::optional<ng::Value> answer;
    manager.handle(made, now, WallTime{1'700'000'000'000'000'000},
                   [&](ng::Value value) { answer = std::move(value); });
    return answer ? *answer : ng::Value("nothing yet");
  }

  ng::Value offer(const std::string& to = "") {
    return handle(request(ng::Command::offer, "alice", to, sdp("203.0.113.1", 4000)));
  }
  ng::Value answer(const std::string& to = "bob") {
    return handle(request(ng::Command::answer, "alice", to, sdp("203.0.113.2", 5000)));
  }
  static std::string result(const ng::Value& reply) {
    return reply.find_text("result").value_or("");
  }
  static std::string text(const ng::Value& reply) { return reply.find_text("sdp").value_or(""); }

  Instant now{1h};
  FakeRelays relays{3};
  std::vector<std::string> complaints;
  CallManager manager{
      {.secret_bytes =
           [](std::span<std::byte> bytes) { std::fill(bytes.begin(), bytes.end(), std::byte{7}); },
       .log =
           [this](LogLevel level, std::string_view, std::string_view line) {
             if (level >= LogLevel::warn) complaints.emplace_back(line);
           }},
      relays,
      relays};
};

TEST_F(CallManagerTest, an_offer_and_its_answer_put_the_relay_between_both_parties) {
  const auto offered = offer();
  ASSERT_EQ(result(offered), "ok");
  EXPECT_THAT(text(offered), HasSubstr("c=IN IP4 198.51.100.1"));
  EXPECT_THAT(text(offered), Not(HasSubstr("203.0.113.1 ")));
  const auto answered = answer();
  ASSERT_EQ(result(answered), "ok");
  EXPECT_THAT(text(answered), HasSubstr("c=IN IP4 198.51.100.1"));

  const auto& spec = relays.relays.at("r1").calls.at("call-1");
  ASSERT_EQ(spec.streams.size(), 2U);
  EXPECT_TRUE(spec.answered);
  EXPECT_EQ(spec.streams[0].remote_rtp->to_string(), "203.0.113.1:4000");
  EXPECT_EQ(spec.streams[1].remote_rtp->to_string(), "203.0.113.2:5000");
  EXPECT_EQ(spec.streams[0].forward_to, spec.streams[1].id);
  EXPECT_EQ(spec.streams[1].forward_to, spec.streams[0].id);
}

TEST_F(CallManagerTest, an_offer_goes_on_to_the_next_relay_when_one_is_dead_silent_or_full) {
  relays.relays.at("r1").mood = FakeRelays::Mood::unreachable;
  relays.relays.at("r2").mood = FakeRelays::Mood::silent;
  EXPECT_EQ(result(offer()), "ok");
  EXPECT_TRUE(relays.relays.at("r3").calls.contains("call-1"));
  EXPECT_THAT(relays.reported, ::testing::ElementsAre("r1", "r2"));
  EXPECT_EQ(manager.counts().relay_failovers, 1U);
}

TEST_F(CallManagerTest,
       an_offer_is_refused_so_that_the_proxy_tries_its_next_node_when_the_pool_is_full_or_empty) {
  for (auto& [id, relay] : relays.relays) relay.mood = FakeRelays::Mood::out_of_ports;
  const auto full = offer();
  EXPECT_EQ(result(full), "error");
  EXPECT_EQ(full.find_text("error-reason"), "Ran out of ports");
  auto supported = request(ng::Command::offer, "alice", "", sdp("203.0.113.1", 4000));
  supported.supports = {"load limit"};
  EXPECT_EQ(result(handle(supported)), "load limit");

  // The text says which limit; a proxy that does not know `load limit` gets one that it goes on at.
  using Mood = FakeRelays::Mood;
  const std::pair<Mood, const char*> limits[]{
      {Mood::full, "Parallel session limit reached"},
      {Mood::too_many_packets, "Load limit exceeded"},
      {Mood::too_much_bandwidth, "Bandwidth limit exceeded"},
      {Mood::too_busy, "CPU usage limit exceeded"}};
  for (const auto& [mood, limit] : limits) {
    for (auto& [id, relay] : relays.relays) relay.mood = mood;
    const auto limited = handle(supported);
    EXPECT_EQ(result(limited), "load limit");
    EXPECT_EQ(limited.find_text("message"), limit);
    EXPECT_EQ(offer().find_text("error-reason"), "Parallel session limit reached");
  }

  relays.relays.clear();
  relays.pool_full = true;  // as its reports say
  EXPECT_EQ(result(handle(supported)), "load limit");
  relays.pool_full = false;
  const auto empty = handle(supported);
  EXPECT_EQ(empty.find_text("error-reason"), "Parallel session limit reached")
      << "no live relay is not a full pool";
  EXPECT_EQ(manager.counts().calls, 0U);
}

TEST_F(CallManagerTest, a_flood_of_refused_offers_is_no_flood_of_lines) {
  for (auto& [id, relay] : relays.relays) relay.mood = FakeRelays::Mood::too_busy;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(result(offer()), "error");
  EXPECT_EQ(complaints.size(), 1U);
  now += 1s;
  offer();
  ASSERT_EQ(complaints.size(), 2U);
  EXPECT_THAT(complaints[1], HasSubstr("999 more since the last such line"));
  EXPECT_EQ(manager.counts().refused_full, 1001U);
}

TEST_F(CallManagerTest, a_bad_description_changes_nothing) {
  auto bad = request(ng::Command::offer, "alice", "", "v=0\r\nnonsense");
  EXPECT_EQ(handle(bad).find_text("error-reason"), "Failed to parse SDP");
  EXPECT_EQ(manager.counts().calls, 0U);
  ASSERT_EQ(result(offer()), "ok");
  const auto before = relays.relays.at("r1").calls.at("call-1");
  EXPECT_EQ(result(handle(bad)), "error");
  EXPECT_EQ(relays.relays.at("r1").calls.at("call-1"), before);
}

TEST_F(CallManagerTest, delete_ends_the_call_with_statistics_and_a_second_one_is_warned) {
  offer();
  answer();
  relays.relays.at("r1").states.at("call-1").streams[0].rtp.received = {50, 8600};
  const auto ended = handle(request(ng::Command::delete_call, "alice", "bob"));
  EXPECT_EQ(result(ended), "ok");
  EXPECT_EQ(ended.find("totals")->find("RTP")->find_integer("packets"), 50);
  EXPECT_TRUE(relays.relays.at("r1").calls.empty());
  EXPECT_EQ(manager.counts().calls, 0U);
  const auto again = handle(request(ng::Command::delete_call, "alice", "bob"));
  EXPECT_EQ(result(again), "ok");
  EXPECT_EQ(again.find_text("warning"), "Call-ID not found or tags didn't match");
  auto fatal = request(ng::Command::delete_call, "alice", "bob");
  fatal.flags = {"fatal"};
  EXPECT_EQ(result(handle(fatal)), "error");
}

TEST_F(CallManagerTest, delete_is_answered_also_when_the_relay_is_dead) {
  offer();
  relays.relays.at("r1").mood = FakeRelays::Mood::unreachable;
  EXPECT_EQ(result(handle(request(ng::Command::delete_call, "alice", ""))), "ok");
  EXPECT_EQ(manager.counts().calls, 0U);
}

TEST_F(CallManagerTest, delete_with_a_strangers_tag_changes_nothing) {
  offer();
  EXPECT_TRUE(handle(request(ng::Command::delete_call, "mallory", "")).find("warning") != nullptr);
  EXPECT_TRUE(relays.relays.at("r1").calls.contains("call-1"));
}

TEST_F(CallManagerTest, a_delayed_delete_happens_when_its_time_has_come) {
  offer();
  auto later = request(ng::Command::delete_call, "alice", "");
  later.delete_delay_s = 5;
  EXPECT_EQ(result(handle(later)), "ok");
  manager.tick(now + 4s);
  EXPECT_TRUE(relays.relays.at("r1").calls.contains("call-1"));
  manager.tick(now + 6s);
  EXPECT_FALSE(relays.relays.at("r1").calls.contains("call-1"));
  EXPECT_EQ(manager.counts().calls, 0U);
}

TEST_F(CallManagerTest, query_reports_both_parties_and_an_unknown_call_is_an_error) {
  offer();
  answer();
  const auto report = handle(request(ng::Command::query, "", ""));
  EXPECT_EQ(result(report), "ok");
  const auto* alice = report.find("tags")->find("alice");
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->find_text("in dialogue with"), "bob");
  const auto& stream = alice->find("medias")->items()[0].find("streams")->items()[0];
  EXPECT_EQ(stream.find_text("family"), "IPv4");
  EXPECT_EQ(stream.find_integer("local port"), 30000);
  auto other = request(ng::Command::query, "", "");
  other.call_id = "call-2";
  EXPECT_EQ(handle(other).find_text("error-reason"), "Unknown call-id");
}

TEST_F(CallManagerTest, requests_of_one_call_wait_for_each_other) {
  relays.hold_answers = true;
  std::vector<std::string> order;
  manager.handle(request(ng::Command::offer, "alice", "", sdp("203.0.113.1", 4000)), now,
                 WallTime{}, [&](const ng::Value&) { order.emplace_back("offer"); });
  manager.handle(request(ng::Command::delete_call, "alice", ""), now, WallTime{},
                 [&](const ng::Value& value) { order.push_back("delete " + result(value)); });
  EXPECT_TRUE(order.empty());
  relays.release();
  EXPECT_THAT(order, ::testing::ElementsAre("offer", "delete ok"));
  EXPECT_EQ(manager.counts().calls, 0U);
}

TEST_F(CallManagerTest, a_re_invite_finds_the_call_on_a_live_relay_when_its_own_has_died) {
  offer();
  answer();
  relays.relays.erase("r1");
  EXPECT_EQ(result(offer("bob")), "ok");
  const auto& moved = relays.relays.at("r2").calls.at("call-1");
  EXPECT_EQ(moved.streams[1].remote_rtp->to_string(), "203.0.113.2:5000")
      << "what is known of the other side is kept";
  EXPECT_EQ(manager.counts().moved, 1U);
}

TEST_F(CallManagerTest,
       a_call_that_its_relay_ended_is_forgotten_and_one_of_another_controller_ignored) {
  offer();
  media::CallState state;
  state.key = "call-of-somebody-else";
  manager.on_relay_ended(relays.relays.at("r1").ref, {media::EndReason::media_timeout, state});
  EXPECT_EQ(manager.counts().calls, 1U);
  state.key = "call-1";
  state.revision = 1;
  manager.on_relay_ended(relays.relays.at("r1").ref, {media::EndReason::media_timeout, state});
  EXPECT_EQ(manager.counts().calls, 0U);
  EXPECT_EQ(manager.counts().timed_out, 1U);
}

TEST_F(CallManagerTest, a_call_whose_relay_stays_away_is_forgotten_after_the_media_time_out) {
  offer();
  relays.relays.erase("r1");
  manager.tick(now);
  manager.tick(now + 59s);
  EXPECT_EQ(manager.counts().calls, 1U);
  manager.tick(now + 61s);
  EXPECT_EQ(manager.counts().calls, 0U);
}

TEST_F(CallManagerTest, calls_above_the_limit_are_refused_and_standing_ones_go_on) {
  CallManager small({.max_calls = 1, .secret_bytes = [](std::span<std::byte>) {}, .log = {}},
                    relays, relays);
  const auto ask = [&](const std::string& call_id) {
    auto made = request(ng::Command::offer, "alice", "", sdp("203.0.113.1", 4000));
    made.call_id = call_id;
    std::string got;
    small.handle(made, now, WallTime{}, [&](const ng::Value& value) { got = result(value); });
    return got;
  };
  EXPECT_EQ(ask("one"), "ok");
  EXPECT_EQ(ask("two"), "error");
  EXPECT_EQ(ask("one"), "ok");
}

TEST_F(CallManagerTest, calls_are_listed_in_order_from_wherever_a_page_ended) {
  for (const char* id : {"d", "a", "e", "c", "b"}) {
    auto made = request(ng::Command::offer, "alice", "", sdp("203.0.113.1", 4000));
    made.call_id = id;
    ASSERT_EQ(result(handle(made)), "ok");
  }
  using ::testing::ElementsAre;
  EXPECT_THAT(manager.call_ids_after("", 2), ElementsAre("a", "b"));
  EXPECT_THAT(manager.call_ids_after("b", 2), ElementsAre("c", "d"));
  EXPECT_THAT(manager.call_ids_after("bb", 10), ElementsAre("c", "d", "e"));
  EXPECT_THAT(manager.call_ids_after("e", 2), ElementsAre());
  EXPECT_THAT(manager.call_ids_after("", 0), ElementsAre());
}

}  // namespace
}  // namespace rtpool::control
