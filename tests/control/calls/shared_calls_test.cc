// Several controllers, one store: any of them goes on with any call.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "control/calls/call_book.h"
#include "control/calls/call_manager.h"
#include "tests/support/fake_call_store.h"
#include "tests/support/fake_relays.h"

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;
using rtpool::testing::FakeCallStore;
using rtpool::testing::FakeRelays;
using ::testing::HasSubstr;

constexpr WallTime kWall{1'700'000'000'000'000'000};

std::string sdp(const std::string& address, int port) {
  return "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address +
         "\r\nt=0 0\r\nm=audio " + std::to_string(port) + " RTP/AVP 8 0\r\n";
}

class SharedCalls : public ::testing::Test {
 protected:
  std::unique_ptr<CallManager> controller() {
    CallManagerOptions options;
    options.secret_bytes = [](std::span<std::byte> bytes) {
      std::fill(bytes.begin(), bytes.end(), std::byte{7});
    };
    return std::make_unique<CallManager>(std::move(options), relays, relays, &store);
  }

  static ng::Request request(ng::Command command, const std::string& to,
                             const std::string& description = "") {
    ng::Request made;
    made.command = command;
    made.call_id = "call-1";
    made.from_tag = "alice";
    made.to_tag = to;
    made.sdp = description;
    return made;
  }
  ng::Value handle(CallManager& manager, const ng::Request& made) const {
    std::optional<ng::Value> answer;
    manager.handle(made, now, kWall, [&](ng::Value value) { answer = std::move(value); });
    return answer ? *answer : ng::Value("nothing yet");
  }
  ng::Value offer(CallManager& manager, const std::string& to = "") const {
    return handle(manager, request(ng::Command::offer, to, sdp("203.0.113.1", 4000)));
  }
  ng::Value answer(CallManager& manager) const {
    return handle(manager, request(ng::Command::answer, "bob", sdp("203.0.113.2", 5000)));
  }
  ng::Value end(CallManager& manager) const {
    return handle(manager, request(ng::Command::delete_call, "bob"));
  }
  static std::string result(const ng::Value& reply) {
    return reply.find_text("result").value_or("");
  }
  // What relays tell everybody who watches.
  void tell_removed(CallManager& manager, std::uint64_t revision) {
    media::CallState state;
    state.key = "call-1";
    state.revision = revision;
    manager.on_relay_ended(relays.relays.at("r1").ref, {media::EndReason::deleted, state});
  }

  Instant now{1h};
  FakeRelays relays{3};
  FakeCallStore store;
  std::unique_ptr<CallManager> a = controller(), b = controller(), c = controller();
};

TEST_F(SharedCalls, offer_at_one_answer_at_another_delete_at_a_third) {
  ASSERT_EQ(result(offer(*a)), "ok");
  const auto answered = answer(*b);
  ASSERT_EQ(result(answered), "ok");
  EXPECT_THAT(answered.find_text("sdp").value_or(""), HasSubstr("c=IN IP4 198.51.100.1"));
  EXPECT_TRUE(relays.relays.at("r1").calls.at("call-1").answered);
  relays.relays.at("r1").states.at("call-1").streams[0].rtp.received = {50, 8600};
  const auto ended = end(*c);
  ASSERT_EQ(result(ended), "ok");
  EXPECT_EQ(ended.find("totals")->find("RTP")->find_integer("packets"), 50);
  EXPECT_NE(ended.find("tags")->find("alice"), nullptr);
  EXPECT_TRUE(relays.relays.at("r1").calls.empty());
  EXPECT_TRUE(store.slots.empty()) << "no record is left behind";
  EXPECT_EQ(b->counts().adopted, 1U);
  EXPECT_EQ(c->counts().adopted, 1U);
  EXPECT_EQ(c->counts().calls, 0U);
  tell_removed(*a, 2);
  tell_removed(*b, 2);
  EXPECT_EQ(a->counts().calls + b->counts().calls, 0U) << "the others forget it too";
}

TEST_F(SharedCalls, a_controller_works_on_what_another_made_of_the_call) {
  offer(*a);
  answer(*b);
  // A still has its record from before the answer.
  EXPECT_EQ(result(offer(*a, "bob")), "ok");
  const auto& spec = relays.relays.at("r1").calls.at("call-1");
  EXPECT_EQ(spec.revision, 3U);
  EXPECT_TRUE(spec.answered);
  EXPECT_EQ(spec.streams.size(), 2U);
}

TEST_F(SharedCalls, a_fork_that_reaches_another_controller_joins_the_call) {
  relays.relays.at("r1").next_port = 30100;
  offer(*a);
  // To B the branch looks like a new call; its record finds the place taken.
  auto branch = request(ng::Command::offer, "", sdp("203.0.113.1", 4000));
  branch.via_branch = "z9hG4bK-2";
  relays.relays.at("r1").mood = FakeRelays::Mood::full;  // so that B asks r2 first
  EXPECT_EQ(result(handle(*b, branch)), "error") << "its relay has no room for the branch";
  b->tick(now);
  EXPECT_TRUE(relays.relays.at("r2").calls.empty()) << "what was tried there is taken back";
  relays.relays.at("r1").mood = FakeRelays::Mood::answers;
  EXPECT_EQ(result(handle(*b, branch)), "ok");
  EXPECT_EQ(relays.relays.at("r1").calls.at("call-1").streams.size(), 3U);
  EXPECT_EQ(b->counts().overtaken, 1U);
}

TEST_F(SharedCalls, delete_is_answered_by_any_controller_also_when_the_relay_is_dead) {
  offer(*a);
  answer(*a);
  relays.relays.at("r1").mood = FakeRelays::Mood::silent;
  EXPECT_EQ(result(end(*b)), "ok");
  EXPECT_TRUE(store.slots.empty());
}

TEST_F(SharedCalls, a_call_deleted_while_its_relay_is_frozen_ends_there_when_it_thaws) {
  offer(*a);
  relays.relays.at("r1").mood = FakeRelays::Mood::silent;
  EXPECT_EQ(result(end(*a)), "ok");
  a->tick(now);
  EXPECT_EQ(relays.relays.at("r1").calls.size(), 1U);
  relays.relays.at("r1").mood = FakeRelays::Mood::answers;
  a->tick(now + 1s);
  EXPECT_TRUE(relays.relays.at("r1").calls.empty());
}

TEST_F(SharedCalls, while_the_store_is_away_calls_go_on_where_they_are_known_and_new_ones_begin) {
  offer(*a);
  store.away = true;
  EXPECT_EQ(result(answer(*a)), "ok");
  EXPECT_EQ(result(answer(*b)), "error") << "B can't know of it";
  EXPECT_EQ(a->counts().unsaved, 1U);
  EXPECT_GE(a->counts().store_failures, 1U);
  store.away = false;
  a->tick(now);
  EXPECT_EQ(a->counts().unsaved, 0U);
  EXPECT_EQ(result(end(*b)), "ok");
  EXPECT_TRUE(store.slots.empty());
}

TEST_F(SharedCalls, a_call_deleted_while_the_store_is_away_does_not_rise_again) {
  offer(*a);
  answer(*a);
  store.away = true;
  EXPECT_EQ(result(end(*a)), "ok");
  EXPECT_EQ(a->counts().calls, 0U);
  store.away = false;
  EXPECT_EQ(handle(*a, request(ng::Command::query, "bob")).find_text("error-reason"),
            "Unknown call-id");
  a->tick(now);
  EXPECT_TRUE(store.slots.empty());
  EXPECT_EQ(a->counts().unsaved, 0U);
}

TEST_F(SharedCalls, a_change_that_was_stored_although_its_answer_was_lost_is_recognised) {
  store.loses_answers = true;
  EXPECT_EQ(result(offer(*a)), "ok");
  EXPECT_EQ(a->counts().unsaved, 1U);
  store.loses_answers = false;
  a->tick(now);
  EXPECT_EQ(a->counts().unsaved, 0U);
  EXPECT_EQ(result(answer(*b)), "ok");
}

TEST_F(SharedCalls, a_call_that_ends_by_itself_leaves_the_store_also_when_its_controller_is_gone) {
  offer(*a);
  a.reset();
  media::CallState state;
  state.key = "call-1";
  state.revision = 1;
  b->on_relay_ended(relays.relays.at("r2").ref, {media::EndReason::media_timeout, state});
  EXPECT_EQ(store.slots.size(), 1U) << "that was another relay's";
  b->on_relay_ended(relays.relays.at("r1").ref, {media::EndReason::media_timeout, state});
  EXPECT_TRUE(store.slots.empty());
  EXPECT_EQ(b->counts().calls, 0U);
}

TEST_F(SharedCalls, a_call_that_another_controller_moved_is_not_given_up_with_its_old_relay) {
  offer(*a);
  answer(*a);
  relays.relays.erase("r1");
  EXPECT_EQ(result(offer(*b, "bob")), "ok");
  EXPECT_TRUE(relays.relays.at("r2").calls.contains("call-1"));
  a->tick(now);
  a->tick(now + 61s);
  EXPECT_EQ(store.slots.size(), 1U);
  EXPECT_EQ(a->counts().timed_out, 0U);
  EXPECT_EQ(result(end(*a)), "ok");
  EXPECT_TRUE(relays.relays.at("r2").calls.empty());
  EXPECT_TRUE(store.slots.empty());
}

TEST_F(SharedCalls, a_restarted_controller_goes_on_with_its_calls) {
  offer(*a);
  a = controller();
  EXPECT_EQ(result(answer(*a)), "ok");
  EXPECT_EQ(result(end(*a)), "ok");
  EXPECT_TRUE(store.slots.empty());
}

TEST_F(SharedCalls, two_controllers_that_change_a_call_at_once_both_succeed_one_after_the_other) {
  offer(*a);
  answer(*b);
  relays.hold_answers = true;
  std::optional<ng::Value> first, second;
  a->handle(request(ng::Command::offer, "bob", sdp("203.0.113.1", 4002)), now, kWall,
            [&](ng::Value value) { first = std::move(value); });
  b->handle(request(ng::Command::offer, "bob", sdp("203.0.113.1", 4004)), now, kWall,
            [&](ng::Value value) { second = std::move(value); });
  relays.release();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(result(*first), "ok");
  EXPECT_EQ(result(*second), "ok");
  EXPECT_EQ(a->counts().overtaken + b->counts().overtaken, 1U);
  const auto record = *store.stored("call-1").record;
  EXPECT_EQ(record.spec.revision, 4U);
  EXPECT_EQ(record.spec, relays.relays.at("r1").calls.at("call-1"))
      << "the relay and the store agree";
}

TEST_F(SharedCalls, a_record_survives_the_way) {
  offer(*a);
  answer(*a);
  const auto record = *store.stored("call-1").record;
  const auto again = *decode_record(encode_record(record));
  EXPECT_EQ(again.spec, record.spec);
  EXPECT_EQ(again.relay, record.relay);
  ASSERT_EQ(again.legs.size(), 2U);
  EXPECT_EQ(again.legs[1].party, record.legs[1].party);
  EXPECT_EQ(again.endpoints[0].rtp.advertised, record.endpoints[0].rtp.advertised);
  EXPECT_EQ(encode_record(again), encode_record(record));
}

TEST(CallRecordCodec, what_is_no_record_is_refused) {
  EXPECT_FALSE(decode_record("\xff\xff nonsense"));
  EXPECT_THAT(decode_record("").error().message(), HasSubstr("format 0"));
  CallRecord record;
  record.call_id = record.spec.key = "x";
  record.legs.resize(1);
  record.legs[0].peer = 3;
  EXPECT_THAT(decode_record(encode_record(record)).error().message(), HasSubstr("peer"));
}

// Random histories of two books and a store that comes and goes: in the end all agree.
TEST(CallBook, agrees_with_the_store_after_any_history) {
  for (std::uint32_t seed = 1; seed <= 500; ++seed) {
    std::uint32_t state = seed * 2'654'435'761U;
    const auto random = [&](std::uint32_t below) {
      state = state * 1'664'525U + 1'013'904'223U;
      return (state >> 16U) % below;
    };
    FakeCallStore store;
    CallBook books[2]{CallBook(&store), CallBook(&store)};
    for (int step = 0; step < 60; ++step) {
      auto& book = books[random(2)];
      store.away = random(4) == 0;
      store.loses_answers = random(5) == 0;
      switch (random(4)) {
        case 0: {
          CallRecord next;
          if (const CallRecord* known = book.find("x")) next = *known;
          if (next.call_id.empty()) {
            next.call_id = next.spec.key = "x";
            next.relay.id = "r";
            next.created_us = step + 1;
          }
          ++next.spec.revision;
          book.keep(next, 1s, [](Kept) {});
          break;
        }
        case 1:
          book.refresh("x", 1s, [](bool) {});
          break;
        case 2:
          book.drop("x", 1s);
          break;
        default:
          book.flush(1s);
      }
    }
    store.away = store.loses_answers = false;
    for (int round = 0; round < 3; ++round) {
      for (auto& book : books) {
        book.flush(1s);
        book.refresh("x", 1s, [](bool) {});
      }
    }
    const auto stored = store.stored("x");
    for (const auto& book : books) {
      EXPECT_EQ(book.unsaved(), 0U) << "seed " << seed;
      const CallRecord* known = book.find("x");
      ASSERT_EQ(known != nullptr, stored.record.has_value()) << "seed " << seed;
      if (known != nullptr) {
        EXPECT_EQ(known->spec, stored.record->spec) << "seed " << seed;
      }
      EXPECT_EQ(book.size(), known != nullptr ? 1U : 0U);
    }
  }
}

}  // namespace
}  // namespace rtpool::control
