// The registrar's core as a story in simulated time: what happens is written line by line, and
// compared with what the registrar said to a watcher, to the elements and to the log.
#include "pool/registrar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

std::string name_of(Registrar::Notice::What what) {
  using What = Registrar::Notice::What;
  switch (what) {
    case What::joined:
      return "joined";
    case What::returned:
      return "returned";
    case What::left:
      return "left";
    case What::stream_ended:
      return "stream ended";
    case What::dead:
      return "dead";
    case What::panic_began:
      return "panic";
    case What::panic_ended:
      return "panic over";
    case What::damped:
      return "damped";
    case What::undamped:
      return "undamped";
  }
  return "?";
}

class RegistrarStory : public testing::Test {
 protected:
  void restart(Registrar::Options options) { registrar_ = Registrar(options, now_, 1); }

  static Registration relay(const std::string& name) {
    Registration registration;
    registration.pool = "media";
    registration.name = name;
    registration.endpoint = "127.0.0.1:7410";
    registration.incarnation = 1;
    return registration;
  }
  std::string join(const std::string& name, std::uint64_t stream, std::uint64_t epoch = 1) {
    return outcome(registrar_.attach(now_, StreamId{stream}, relay(name), epoch));
  }
  std::string beat(std::uint64_t stream, Heartbeat heartbeat = {}) {
    return outcome(registrar_.heartbeat(now_, StreamId{stream}, heartbeat));
  }
  // Time passes in ticks; the streams named send heartbeats every 50 ms.
  void pass(milliseconds time, const std::vector<std::uint64_t>& beating = {}) {
    for (milliseconds step(0); step < time; step += milliseconds(5)) {
      now_ += milliseconds(5);
      if ((now_.time_since_epoch() % milliseconds(50)).count() == 0) {
        for (const auto stream : beating) beat(stream);
      }
      registrar_.tick(now_);
      collect();
    }
  }
  void collect() {
    const auto out = registrar_.take_outbox();
    for (const auto& notice : out.notices) {
      events_.push_back(name_of(notice.what) +
                        (notice.element.empty() ? "" : " " + notice.element));
      if (notice.hold != Duration{}) {
        const auto hold = std::chrono::ceil<std::chrono::seconds>(notice.hold).count();
        events_.back() += " " + std::to_string(hold) + " s";
      }
    }
    for (const auto& closed : out.closed) {
      events_.push_back("close " + std::to_string(closed.stream.value) + " " +
                        std::string(pool::name_of(closed.reason)));
    }
    for (const auto& order : out.drain_orders) {
      events_.push_back((order.drained ? "order drain " : "order undrain ") +
                        std::to_string(order.stream.value));
    }
    for (const auto& message : out.updates) updates_.push_back(*message.update);
  }
  std::vector<std::string> events() {
    collect();
    return std::exchange(events_, {});
  }
  std::vector<PoolUpdate> updates() {
    collect();
    return std::exchange(updates_, {});
  }
  std::vector<std::string> members() {
    std::vector<std::string> names;
    for (const auto& pool : registrar_.list(now_, "media")) {
      for (const auto& listed : pool.elements) {
        names.push_back(listed.element.name + (listed.element.suspect ? "?" : ""));
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  static std::string outcome(const Result<void>& result) {
    return result ? "ok"
                  : std::string(pool::name_of(static_cast<Errc>(result.error().code.value())));
  }

  Instant now_{std::chrono::seconds(10)};
  Registrar registrar_{Registrar::Options{}, now_, 1};
  std::vector<std::string> events_;
  std::vector<PoolUpdate> updates_;
};

TEST_F(RegistrarStory, ARelayJoinsIsHeardAndLeaves) {
  EXPECT_EQ(join("r1", 1), "ok");
  EXPECT_THAT(events(), ElementsAre("joined r1"));
  pass(milliseconds(1000), {1});
  EXPECT_THAT(members(), ElementsAre("r1"));
  EXPECT_EQ(outcome(registrar_.deregister(now_, "media", "r1", 1)), "ok");
  EXPECT_THAT(events(), ElementsAre("left r1", "close 1 unknown_stream"));
  EXPECT_THAT(members(), IsEmpty());
}

TEST_F(RegistrarStory, AStreamThatEndsMakesItSuspectAtOnceAndDeadAfterTheFence) {
  join("r1", 1);
  registrar_.stream_ended(now_, StreamId{1});
  EXPECT_THAT(members(), ElementsAre("r1?"));
  pass(milliseconds(15));
  EXPECT_THAT(members(), ElementsAre("r1?"));
  pass(milliseconds(5));
  EXPECT_THAT(members(), IsEmpty());
  EXPECT_THAT(events(), ElementsAre("joined r1", "stream ended r1", "dead r1"));
}

TEST_F(RegistrarStory, ARelayThatIsBackWithinTheFenceWasNeverGone) {
  join("r1", 1);
  registrar_.stream_ended(now_, StreamId{1});
  pass(milliseconds(10));
  EXPECT_EQ(join("r1", 2), "ok");
  pass(milliseconds(500), {2});
  EXPECT_THAT(members(), ElementsAre("r1"));
  EXPECT_THAT(events(), ElementsAre("joined r1", "stream ended r1", "returned r1"));
}

TEST_F(RegistrarStory, ThreeMissedHeartbeatsAreADeath) {
  join("r1", 1);
  pass(milliseconds(170));
  EXPECT_THAT(members(), ElementsAre("r1"));
  pass(milliseconds(5));
  EXPECT_THAT(members(), IsEmpty());
  EXPECT_THAT(events(), ElementsAre("joined r1", "dead r1", "close 1 unknown_stream"));
  EXPECT_EQ(beat(1), "unknown_stream") << "a late heartbeat resurrects nobody";
}

TEST_F(RegistrarStory, OneLostHeartbeatAndAStallOf50MsAreNotADeath) {
  join("r1", 1);
  for (int round = 0; round < 20; ++round) {
    pass(milliseconds(100));  // one heartbeat lost
    beat(1);
    pass(milliseconds(150));  // one lost and the next 50 ms late
    beat(1);
  }
  EXPECT_THAT(events(), ElementsAre("joined r1"));
}

TEST_F(RegistrarStory, APausedRegistrarBlamesNobody) {
  join("r1", 1);
  pass(milliseconds(100), {1});
  now_ += std::chrono::seconds(30);
  registrar_.tick(now_);
  EXPECT_THAT(members(), ElementsAre("r1"));
  pass(milliseconds(170));
  EXPECT_THAT(members(), ElementsAre("r1"));
  pass(milliseconds(10));
  EXPECT_THAT(members(), IsEmpty()) << "but from its waking silence counts again";
}

TEST_F(RegistrarStory, ReportsHastenTheEndOfASilentRelayButNeverBringItAlone) {
  join("r1", 1);
  const auto report = [&] {
    return outcome(registrar_.report_unreachable(now_, "media", element_id("r1"), 1));
  };
  for (int i = 0; i < 10; ++i) {
    report();
    pass(milliseconds(50), {1});
  }
  EXPECT_THAT(members(), ElementsAre("r1")) << "it is heard, whatever is said of it";

  report();
  report();
  pass(milliseconds(80));
  EXPECT_THAT(members(), IsEmpty()) << "one heartbeat missed and two reports";
  EXPECT_EQ(report(), "unknown_element");
}

TEST_F(RegistrarStory, AReportAboutAnEarlierProcessIsRefused) {
  join("r1", 1, 7);
  EXPECT_EQ(outcome(registrar_.report_unreachable(now_, "media", element_id("r1"), 6)),
            "stale_epoch");
}

TEST_F(RegistrarStory, ANewProcessTakesOverItsNameAndTheOldOneIsRefused) {
  join("r1", 1, 5);
  EXPECT_EQ(join("r1", 2, 6), "ok");
  EXPECT_THAT(events(), ElementsAre("joined r1", "joined r1", "close 1 stale_epoch"));
  EXPECT_EQ(join("r1", 3, 5), "stale_epoch");
  EXPECT_EQ(beat(1), "unknown_stream");
  EXPECT_EQ(outcome(registrar_.deregister(now_, "media", "r1", 5)), "stale_epoch");
  registrar_.stream_ended(now_, StreamId{1});
  EXPECT_THAT(members(), ElementsAre("r1")) << "the end of the old stream is not the new one's";
}

TEST_F(RegistrarStory, AnotherPolicyIsRefusedUntilThePoolIsEmpty) {
  join("r1", 1);
  auto other = relay("r2");
  other.policy = Policy::random;
  EXPECT_EQ(outcome(registrar_.attach(now_, StreamId{2}, other, 1)), "policy_mismatch");
  EXPECT_EQ(outcome(registrar_.deregister(now_, "media", "r1", 1)), "ok");
  pass(milliseconds(5));
  EXPECT_EQ(outcome(registrar_.attach(now_, StreamId{2}, other, 1)), "ok");
}

TEST_F(RegistrarStory, ADrainedRelayKeepsThatUntilItSaysOtherwiseItself) {
  join("r1", 1);
  events();
  EXPECT_EQ(outcome(registrar_.set_drained(now_, "media", "r1", true)), "ok");
  EXPECT_THAT(events(), ElementsAre("order drain 1"));
  EXPECT_FALSE(registrar_.resolve(now_, "media", 1, {.exclude = {}, .zone = {}}));
  beat(1, {.drained = false});  // was on its way before the order arrived
  EXPECT_FALSE(registrar_.resolve(now_, "media", 1, {.exclude = {}, .zone = {}}));
  beat(1, {.drained = true});
  beat(1, {.drained = false});  // undrained through another registrar
  EXPECT_TRUE(registrar_.resolve(now_, "media", 1, {.exclude = {}, .zone = {}}));
  EXPECT_EQ(outcome(registrar_.set_drained(now_, "media", "r9", true)), "unknown_element");
}

TEST_F(RegistrarStory, AnOrderIsRepeatedUntilTheRelayRepeatsIt) {
  join("r1", 1);
  registrar_.set_drained(now_, "media", "r1", true);
  registrar_.stream_ended(now_, StreamId{1});  // perhaps before the order was read
  join("r1", 2);
  EXPECT_THAT(events(), ElementsAre("joined r1", "stream ended r1", "returned r1", "order drain 1",
                                    "order drain 2"));
  pass(milliseconds(120), {2});  // another registrar's order to the contrary was the last it read
  EXPECT_THAT(events(), ElementsAre("order drain 2"));
  beat(2, {.drained = true});
  pass(milliseconds(500), {});
  EXPECT_THAT(events(), testing::Not(testing::Contains("order drain 2")));
}

TEST_F(RegistrarStory, ALeavingRelayGetsNoCallsWhateverTheOperatorSays) {
  join("r1", 1);
  beat(1, {.leaving = true});
  EXPECT_EQ(outcome(registrar_.set_drained(now_, "media", "r1", false)), "ok");
  EXPECT_FALSE(registrar_.resolve(now_, "media", 1, {.exclude = {}, .zone = {}}));
}

TEST_F(RegistrarStory, MassSilenceWithOpenStreamsIsPanicAndRemovesNobody) {
  for (std::uint64_t i = 1; i <= 10; ++i) join("r" + std::to_string(i), i);
  events();
  pass(milliseconds(1000), {1, 2, 3});  // seven of ten fall silent together
  EXPECT_EQ(members().size(), 10U);
  EXPECT_THAT(events(), ElementsAre("panic"));
  for (int i = 0; i < 20; ++i) {
    const auto answer = registrar_.resolve(now_, "media", 1, {.exclude = {}, .zone = {}});
    ASSERT_TRUE(answer);
    EXPECT_FALSE((*answer)[0].suspect) << "those that are heard come first";
  }
  pass(milliseconds(200), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  const auto after = events();
  EXPECT_EQ(after.back(), "panic over");
  EXPECT_EQ(std::count(after.begin(), after.end(), "returned r7"), 1);
}

TEST_F(RegistrarStory, PanicSeesASilenceThatComesOneByOne) {
  join("r1", 1);
  pass(milliseconds(10));
  join("r2", 2);
  pass(milliseconds(10));
  join("r3", 3);
  pass(milliseconds(400), {3});
  EXPECT_THAT(members(), ElementsAre("r2?", "r3")) << "the first was removed before it showed";
}

TEST_F(RegistrarStory, ARelayThatHangsAgainAndAgainIsNotAPanic) {
  join("r1", 1);
  join("r2", 2);
  for (std::uint64_t i = 0; i < 4; ++i) {
    pass(milliseconds(200), {1});
    EXPECT_THAT(members(), ElementsAre("r1"));
    join("r2", 3 + i);
  }
}

TEST_F(RegistrarStory, EndedStreamsAreNotHeldBackByPanic) {
  for (std::uint64_t i = 1; i <= 4; ++i) join("r" + std::to_string(i), i);
  for (std::uint64_t i = 1; i <= 4; ++i) registrar_.stream_ended(now_, StreamId{i});
  pass(milliseconds(25));
  EXPECT_THAT(members(), IsEmpty());
}

TEST_F(RegistrarStory, AWatcherGetsASnapshotAndThenEveryChangeInOrder) {
  join("r1", 1);
  pass(milliseconds(1200), {1});
  updates();
  EXPECT_EQ(outcome(registrar_.watch(now_, WatcherId{9}, "media")), "ok");
  join("r2", 2);
  registrar_.stream_ended(now_, StreamId{2});
  pass(milliseconds(25), {1});
  const auto seen = updates();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_TRUE(seen[0].snapshot);
  EXPECT_TRUE(seen[0].settled);
  EXPECT_EQ(seen[0].changed.size(), 1U);
  EXPECT_EQ(seen[1].changed[0].name, "r2");
  EXPECT_TRUE(seen[2].changed[0].suspect);
  EXPECT_THAT(seen[3].removed, ElementsAre(element_id("r2")));
  for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_EQ(seen[i].sequence, seen[0].sequence + i);
}

TEST_F(RegistrarStory, AWatcherThatLostAnUpdateGetsASnapshotThatFits) {
  registrar_.watch(now_, WatcherId{9}, "media");
  join("r1", 1);
  join("r2", 2);
  updates();
  registrar_.resync(now_, WatcherId{9});
  join("r3", 3);
  const auto seen = updates();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen[0].snapshot);
  EXPECT_EQ(seen[0].changed.size(), 2U);
  EXPECT_EQ(seen[1].sequence, seen[0].sequence + 1);
}

TEST_F(RegistrarStory, LoadsAreGatheredAndAQuietWatchIsKeptAlive) {
  join("r1", 1);
  pass(milliseconds(1200), {1});
  registrar_.watch(now_, WatcherId{9}, "media");
  pass(milliseconds(500), {1});
  for (const auto& update : updates()) EXPECT_TRUE(update.keepalive || update.snapshot);
  for (std::uint32_t i = 1; i <= 40; ++i) {
    beat(1, {.load = i, .calls = i});
    pass(milliseconds(5));
  }
  const auto seen = updates();
  const auto loads = std::count_if(
      seen.begin(), seen.end(), [](const PoolUpdate& update) { return !update.changed.empty(); });
  EXPECT_GE(loads, 3);
  EXPECT_LE(loads, 5) << "40 reports in 200 ms, one push every 50 ms";
}

TEST_F(RegistrarStory, ARegistrarThatHasJustStartedSaysSo) {
  registrar_.watch(now_, WatcherId{9}, "media");
  EXPECT_FALSE(updates().front().settled);
  pass(milliseconds(1100));
  const auto seen = updates();
  const auto announced =
      std::find_if(seen.begin(), seen.end(), [](const PoolUpdate& u) { return u.snapshot; });
  ASSERT_NE(announced, seen.end());
  EXPECT_TRUE(announced->settled);
}

// The story of a relay r1 on streams 11, 12, ... beside r2, which is well, on stream 2.
class FlapStory : public RegistrarStory {
 protected:
  void SetUp() override {
    join("r2", 2);
    join("r1", 11);
    pass(milliseconds(1100), {2, 11});  // the registrar blames nobody while it settles
    events();
  }
  void die_and_return() {
    registrar_.stream_ended(now_, StreamId{stream_});
    pass(milliseconds(30), {2});
    EXPECT_THAT(members(), ElementsAre("r2")) << "its history outlives it";
    join("r1", ++stream_, ++epoch_);
    pass(milliseconds(50), {2, stream_});
  }
  std::string chosen() {
    std::string names;
    for (int i = 0; i < 4; ++i) {
      const auto answer = registrar_.resolve(now_, "media", 1, {.exclude = {}, .zone = {}});
      const std::string name = answer ? (*answer)[0].name : "none";
      if (names.find(name) == std::string::npos) names += name;
    }
    return names;
  }
  Duration damped_left() {
    const auto pools = registrar_.list(now_, "media");
    for (const auto& listed : pools.at(0).elements) {
      if (listed.element.name == "r1") return listed.damped_left;
    }
    return Duration{-1};
  }
  std::uint64_t stream_ = 11;
  std::uint64_t epoch_ = 1;
};

TEST_F(FlapStory, TwoReturnsGetCallsAtOnceAndTheThirdIsTheLastResort) {
  die_and_return();
  EXPECT_THAT(chosen(), testing::HasSubstr("r1")) << "failback";
  die_and_return();
  EXPECT_THAT(chosen(), testing::HasSubstr("r1"));
  events();
  die_and_return();
  EXPECT_THAT(events(), ElementsAre("stream ended r1", "dead r1", "joined r1", "damped r1 1 s"));
  EXPECT_EQ(chosen(), "r2");
  EXPECT_GT(damped_left(), milliseconds(900));
  EXPECT_LE(damped_left(), milliseconds(1000));

  registrar_.set_drained(now_, "media", "r2", true);
  EXPECT_EQ(chosen(), "r1") << "it is damped, not disabled";
  registrar_.set_drained(now_, "media", "r2", false);

  pass(milliseconds(1000), {2, stream_});
  EXPECT_EQ(events().back(), "undamped r1");
  EXPECT_THAT(chosen(), testing::HasSubstr("r1"));
  EXPECT_EQ(damped_left(), Duration{0});
}

TEST_F(FlapStory, EachFurtherDeathDoublesTheHoldUpToAMinuteAndAQuietMinuteForgives) {
  std::vector<std::string> holds;
  for (int i = 0; i < 10; ++i) {
    events();
    die_and_return();
    const auto seen = events();
    if (seen.back().find("damped") == 0) holds.push_back(seen.back());
  }
  EXPECT_THAT(holds,
              ElementsAre("damped r1 1 s", "damped r1 2 s", "damped r1 4 s", "damped r1 8 s",
                          "damped r1 16 s", "damped r1 32 s", "damped r1 60 s", "damped r1 60 s"));
  pass(milliseconds(60'000), {2, stream_});
  EXPECT_EQ(events().back(), "undamped r1");
  pass(milliseconds(60'000), {2, stream_});
  die_and_return();
  EXPECT_THAT(events().back(), testing::Eq("joined r1")) << "forgiven";
  EXPECT_THAT(chosen(), testing::HasSubstr("r1"));
}

TEST_F(FlapStory, APlannedRestartIsNotAFlap) {
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(outcome(registrar_.deregister(now_, "media", "r1", epoch_)), "ok");
    pass(milliseconds(30), {2});
    join("r1", ++stream_, ++epoch_);
    pass(milliseconds(50), {2, stream_});
    EXPECT_THAT(chosen(), testing::HasSubstr("r1"));
  }
  for (int i = 0; i < 6; ++i) {  // one that says that it leaves, and whose goodbye is lost
    beat(stream_, {.leaving = true});
    die_and_return();
    EXPECT_THAT(chosen(), testing::HasSubstr("r1"));
  }
}

TEST_F(FlapStory, ABrokenStreamThatMendsAtOnceCountsAsWell) {
  for (int i = 0; i < 3; ++i) {
    registrar_.stream_ended(now_, StreamId{stream_});
    pass(milliseconds(10), {2});
    EXPECT_EQ(join("r1", ++stream_), "ok");
    pass(milliseconds(50), {2, stream_});
  }
  EXPECT_EQ(events().back(), "damped r1 1 s");
}

TEST_F(FlapStory, SilenceCountsAsDeathAndReturnDoesNotShortenTheHold) {
  for (int i = 0; i < 3; ++i) {
    pass(milliseconds(200), {2});
    EXPECT_THAT(members(), ElementsAre("r2"));
    join("r1", ++stream_);
  }
  const Duration left = damped_left();
  EXPECT_EQ(left, milliseconds(1000));
  ASSERT_EQ(outcome(registrar_.deregister(now_, "media", "r1", 1)), "ok");
  join("r1", ++stream_);
  EXPECT_EQ(damped_left(), left) << "leaving and joining is no way out";
}

TEST_F(FlapStory, APauseOfTheRegistrarItselfBlamesNobody) {
  for (int i = 0; i < 6; ++i) {
    now_ += std::chrono::seconds(2);
    registrar_.stream_ended(now_, StreamId{stream_});  // the relay gave it up meanwhile
    join("r1", ++stream_);
    pass(milliseconds(50), {2, stream_});
  }
  EXPECT_THAT(chosen(), testing::HasSubstr("r1"));
}

TEST_F(FlapStory, WatchersSeeTheBeginningAndTheEnd) {
  for (int i = 0; i < 2; ++i) die_and_return();
  registrar_.watch(now_, WatcherId{9}, "media");
  updates();
  die_and_return();
  pass(milliseconds(1000), {2, stream_});
  std::string seen;
  for (const auto& update : updates()) {
    for (const auto& element : update.changed) {
      if (element.name == "r1") seen += element.damped ? 'd' : element.suspect ? '?' : 'u';
    }
  }
  EXPECT_EQ(seen, "?du");
}

TEST(FlapHistory, IsBoundedAndForgetsTheOldestFirst) {
  FlapHistory history({.free_returns = 0, .max_histories = 3});
  const Instant now{std::chrono::seconds(1)};
  for (const std::string name : {"a", "b", "c", "d"}) history.died(now, "media", name);
  EXPECT_EQ(history.size(), 3U);
  EXPECT_EQ(history.returned(now, "media", "a"), now) << "forgotten";
  EXPECT_GT(history.returned(now, "media", "b"), now);
  EXPECT_EQ(history.returned(now, "video", "b"), now) << "another pool's b";
}

TEST_F(RegistrarStory, EverythingHasALimit) {
  restart({.max_pools = 2, .max_elements = 3, .max_watchers = 2});
  EXPECT_EQ(join("r1", 1), "ok");
  auto elsewhere = relay("r2");
  elsewhere.pool = "video";
  EXPECT_EQ(outcome(registrar_.attach(now_, StreamId{2}, elsewhere, 1)), "ok");
  auto third = relay("r3");
  third.pool = "fax";
  EXPECT_EQ(outcome(registrar_.attach(now_, StreamId{3}, third, 1)), "too_many_pools");
  EXPECT_EQ(join("r4", 4), "ok");
  EXPECT_EQ(join("r5", 5), "too_many_elements");
  EXPECT_EQ(join("r4", 6), "ok") << "one that is there already may return";
  EXPECT_EQ(outcome(registrar_.watch(now_, WatcherId{1}, "a")), "ok");
  EXPECT_EQ(outcome(registrar_.watch(now_, WatcherId{2}, "b")), "ok");
  EXPECT_EQ(outcome(registrar_.watch(now_, WatcherId{3}, "c")), "too_many_watchers");
  registrar_.unwatch(WatcherId{1});
  EXPECT_EQ(outcome(registrar_.watch(now_, WatcherId{3}, "c")), "ok");
  EXPECT_EQ(outcome(registrar_.watch(now_, WatcherId{4}, "no spaces")), "bad_name");
}

TEST_F(RegistrarStory, AFullPoolIsToldFromAnEmptyOne) {
  join("r1", 1);
  join("r2", 2);
  const auto why = [&] {
    const auto answer = registrar_.resolve(now_, "media", 1, {.exclude = {}, .zone = {}});
    return answer ? "chosen"
                  : std::string(pool::name_of(static_cast<Errc>(answer.error().code.value())));
  };
  beat(1, {.load = kFullLoad});
  beat(2, {.load = kFullLoad});
  EXPECT_EQ(why(), "all_full");
  beat(2, {.drained = true});
  EXPECT_EQ(why(), "all_full") << "all that take calls are";
  beat(1, {.drained = true});
  EXPECT_EQ(why(), "none_available");
}

TEST_F(RegistrarStory, AMassDeathIsOneUpdateToEachWatcher) {
  for (std::uint64_t i = 1; i <= 50; ++i) join("r" + std::to_string(i), i);
  registrar_.watch(now_, WatcherId{9}, "media");
  for (std::uint64_t i = 1; i <= 50; ++i) registrar_.stream_ended(now_, StreamId{i});
  updates();
  pass(milliseconds(25));
  std::size_t removals = 0;
  for (const auto& update : updates()) removals += update.removed.empty() ? 0 : 1;
  EXPECT_EQ(removals, 1U);
  EXPECT_THAT(members(), IsEmpty());
}

TEST_F(RegistrarStory, OneStreamCarriesOneElement) {
  join("r1", 1);
  EXPECT_EQ(join("r2", 1), "already_registered");
  EXPECT_EQ(join("r1", 1, 4), "ok") << "a higher epoch, granted elsewhere";
  EXPECT_EQ(registrar_.list(now_, "media")[0].elements[0].element.epoch, 4U);
}

}  // namespace
}  // namespace rtpool::pool
