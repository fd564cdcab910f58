// A shard over packet I/O and a clock in memory.
#include "relay/worker.h"

#include <gtest/gtest.h>

#include <optional>
#include <variant>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_packet_io.h"
#include "tests/support/udp_phone.h"

namespace rtpool {
namespace {

using namespace std::chrono_literals;
using media::CallSpec;
using media::ComponentKind;
using media::StreamId;
using test::kLoopback;
using test::rtp;

const RemoteEndpoint kAlice{{IpAddress::v4(127, 0, 0, 10), 4000}};
const RemoteEndpoint kBob{{IpAddress::v4(127, 0, 0, 20), 5000}};
constexpr CallId kCall{1};

// A call of Alice (stream 1) and Bob (stream 2) on sockets that really are bound, but never read.
class Shard : public testing::Test {
 protected:
  Shard() {
    spec.key = "call";
    spec.revision = 1;
    spec.answered = true;
    spec.streams.resize(2);
    spec.streams[0].id = spec.streams[1].forward_to = StreamId{1};
    spec.streams[1].id = spec.streams[0].forward_to = StreamId{2};
    spec.streams[0].remote_rtp = kAlice;
    spec.streams[1].remote_rtp = kBob;
  }

  Handover bind(StreamId stream, ComponentKind component) {
    auto socket = io::UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {});
    const LocalEndpoint local = socket->local();
    for (std::size_t i = 0; i < spec.streams.size(); ++i) {
      if (spec.streams[i].id != stream) continue;
      endpoints.resize(spec.streams.size());
      (component == ComponentKind::rtp ? endpoints[i].rtp : endpoints[i].rtcp) = local;
    }
    return {std::move(*socket), stream, component, LeaseKey{0, local.port}};
  }
  void create(CallId id = kCall) {
    std::vector<Handover> sockets;
    for (const auto& stream : spec.streams) {
      sockets.push_back(bind(stream.id, ComponentKind::rtp));
      sockets.push_back(bind(stream.id, ComponentKind::rtcp));
    }
    auto call = std::make_unique<media::Call>(spec, endpoints, media::CallOptions{}, clock.now());
    worker.post(CreateCall{id, std::move(call), std::move(sockets)});
    worker.run_once();
  }
  io::SocketSlot rtp_slot(std::size_t stream) { return io.at_port(endpoints[stream].rtp.port); }
  // Time passes as it does for a shard, tick by tick.
  void pass(Duration time) {
    for (Duration passed{}; passed < time; passed += Worker::kTick) {
      clock.advance(Worker::kTick);
      worker.run_once();
    }
  }
  template <class Event>
  std::vector<Event*> happened() {
    std::vector<Event*> found;
    for (ShardEvent& event : events) {
      if (auto* wanted = std::get_if<Event>(&event)) found.push_back(wanted);
    }
    return found;
  }
  std::size_t sockets_closed() {
    std::size_t count = 0;
    for (const SocketsClosed* event : happened<SocketsClosed>()) count += event->leases.size();
    return count;
  }

  test::FakeClock clock;
  test::FakePacketIo io;
  std::vector<ShardEvent> events;
  io::ThreadUsage usage;
  Worker worker{io, clock, 500us, [this](ShardEvent event) { events.push_back(std::move(event)); },
                [this] { return usage; }};
  CallSpec spec;
  std::vector<media::StreamSockets> endpoints;
};

TEST_F(Shard, CarriesAPacketFromAliceToBob) {
  create();
  EXPECT_EQ(io.attached(), 4U);
  io.arrive(rtp_slot(0), kAlice, rtp(1));
  worker.run_once();
  const auto sent = io.take_sent();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].from, rtp_slot(1));
  EXPECT_EQ(sent[0].to, kBob);
  EXPECT_EQ(sent[0].payload, rtp(1));
}

TEST_F(Shard, CountsWhatItDoesByReason) {
  create();
  io.arrive(rtp_slot(0), kAlice, rtp(1));
  io.arrive(rtp_slot(0), kAlice, {});
  io.arrive(rtp_slot(0), RemoteEndpoint{{IpAddress::v4(127, 0, 0, 66), 6666}}, rtp(1));
  io.kernel_counts = {
      .receive_rearmed = 3, .buffers_exhausted = 2, .soft_errors = 1, .late_packets = 4};
  worker.run_once();
  pass(Worker::kTick);
  const ShardCounts counts = worker.counts();
  EXPECT_EQ(counts.received.packets, 3U);
  EXPECT_EQ(counts.sent.packets, 1U);
  EXPECT_EQ(counts.sent.bytes, 172U);
  EXPECT_EQ(counts.drops[static_cast<std::size_t>(media::Drop::empty)], 1U);
  EXPECT_EQ(counts.drops[static_cast<std::size_t>(media::Drop::source_refused)], 1U);
  EXPECT_EQ(counts.drops[static_cast<std::size_t>(media::Drop::no_call)], 4U);
  EXPECT_EQ(counts.receive_rearmed, 3U);
  EXPECT_EQ(counts.buffers_exhausted, 2U);
  EXPECT_EQ(counts.soft_errors, 1U);
  EXPECT_EQ(counts.calls, 1U);
  EXPECT_EQ(counts.streams, 2U);
  EXPECT_EQ(counts.batches, 1U);
}

TEST_F(Shard, MeasuresHowBusyItIs) {
  create();
  for (std::uint16_t i = 0; i < 20; ++i) {
    for (std::uint16_t n = 0; n < 5; ++n) {
      io.arrive(rtp_slot(0), kAlice, rtp(static_cast<std::uint16_t>(5 * i + n)));
    }
    usage.running += 30ms;
    usage.waiting += 40ms;
    pass(Worker::kTick);
  }
  const ShardLoad load = worker.load();
  EXPECT_NEAR(load.rates.busy, 0.5, 0.01) << "30 ms of the 60 that others left";
  EXPECT_NEAR(load.rates.packets_per_second, 50, 0.1);
  EXPECT_NEAR(load.rates.bits_sent_per_second, 50 * 8 * 200, 100);
  EXPECT_EQ(worker.counts().load.rates.busy, load.rates.busy);
}

TEST_F(Shard, ExpectsMediaOfACallUntilItShowsOrTooLongHasPassed) {
  create();
  pass(1s);
  EXPECT_EQ(worker.load().settled, 0U);
  io.arrive(rtp_slot(0), kAlice, rtp(1));
  pass(Worker::kTick);
  EXPECT_EQ(worker.load().settled, 0U) << "what it adds is not measured yet";
  pass(Worker::kTick);
  EXPECT_EQ(worker.load().settled, 1U);
  EXPECT_EQ(worker.load().talking, 1U);
  pass(3s);
  EXPECT_EQ(worker.load().talking, 0U);
  EXPECT_EQ(worker.load().settled, 1U) << "it is on hold, not new";
  create(CallId{2});
  pass(Headroom::kExpected);
  EXPECT_EQ(worker.load().settled, 1U);
  pass(1100ms);
  EXPECT_EQ(worker.load().settled, 2U);
  worker.post(RemoveCall{kCall, [](auto) {}});
  worker.post(RemoveCall{CallId{2}, [](auto) {}});
  worker.run_once();
  pass(Worker::kTick);
  EXPECT_EQ(worker.load().settled, 0U);
  EXPECT_EQ(worker.load().talking, 0U);
}

TEST_F(Shard, ARefusedSendIsNotCountedAsSent) {
  create();
  io.refuse_next_send(rtp_slot(1));
  io.arrive(rtp_slot(0), kAlice, rtp(1));
  worker.run_once();
  pass(Worker::kTick);
  EXPECT_TRUE(io.take_sent().empty());
  const ShardCounts counts = worker.counts();
  EXPECT_EQ(counts.sent.packets, 0U);
  EXPECT_EQ(counts.sent.bytes, 0U);
  EXPECT_EQ(counts.drops[static_cast<std::size_t>(media::Drop::send_failed)], 1U);
  std::optional<media::CallState> state;
  worker.post(QueryCall{kCall, [&](Result<media::CallState> s) { state = *s; }});
  worker.run_once();
  auto* ready = happened<StateReady>().at(0);
  ready->done(ready->state);
  EXPECT_EQ(state->streams[1].rtp.sent.packets, 0U);
}

TEST_F(Shard, RemovingACallClosesItsSocketsBeforeItsPortsAreFree) {
  create();
  worker.post(RemoveCall{kCall, [](auto&&) {}});
  worker.run_once();
  EXPECT_EQ(io.attached(), 0U);
  ASSERT_EQ(happened<StateReady>().size(), 1U);
  EXPECT_EQ(happened<StateReady>()[0]->state->key, "call");
  EXPECT_EQ(sockets_closed(), 0U);
  worker.run_once();
  EXPECT_EQ(sockets_closed(), 4U);
}

TEST_F(Shard, QuestionsAboutAnEndedCallAreAnsweredAndItsNewSocketsClosed) {
  // Given a call that timed out while commands for it were on their way.
  worker.post(QueryCall{kCall, [](auto&&) {}});
  worker.post(RemoveCall{kCall, [](auto&&) {}});
  UpdateCall update{kCall, spec, endpoints, {}, {}};
  update.added.push_back(bind(StreamId{1}, ComponentKind::rtp));
  const LocalEndpoint port = endpoints[0].rtp;
  worker.post(std::move(update));
  worker.run_once();
  ASSERT_EQ(happened<StateReady>().size(), 2U);
  for (const StateReady* ready : happened<StateReady>()) {
    EXPECT_EQ(ready->state.error().code, EngineErrc::unknown_call);
  }
  EXPECT_EQ(sockets_closed(), 1U);
  EXPECT_TRUE(io::UdpSocket::bind(port, {}));
}

TEST_F(Shard, AnUpdateMovesAStreamAndChangesTheTrafficClassOfOneThatStays) {
  create();
  const io::SocketSlot old = rtp_slot(0);
  spec.revision = 2;
  spec.streams[1].tos = 0xb8;
  UpdateCall update{
      kCall, spec, {}, {{StreamId{1}, ComponentKind::rtp}, {StreamId{1}, ComponentKind::rtcp}}, {}};
  update.added.push_back(bind(StreamId{1}, ComponentKind::rtp));
  update.added.push_back(bind(StreamId{1}, ComponentKind::rtcp));
  update.endpoints = endpoints;
  worker.post(std::move(update));
  worker.run_once();
  EXPECT_NE(rtp_slot(0), old);
  EXPECT_EQ(io.attached(), 4U);
  EXPECT_EQ(io.tos_of(rtp_slot(1)), 0xb8);
  EXPECT_EQ(io.tos_of(rtp_slot(0)), -1);
  // Media flows through the new socket.
  io.arrive(rtp_slot(1), kBob, rtp(5));
  worker.run_once();
  const auto sent = io.take_sent();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].from, rtp_slot(0));
}

TEST_F(Shard, WhoSendsAsSoonAsAnAnswerIsKnownFindsItInForce) {
  // Given a call whose callee is not known yet,
  spec.streams[1].remote_rtp.reset();
  create();
  // when the answer comes and the caller's packet with it, in one batch,
  spec.revision = 2;
  spec.streams[1].remote_rtp = kBob;
  worker.post(UpdateCall{kCall, spec, endpoints, {}, {}});
  io.arrive(rtp_slot(0), kAlice, rtp(1));
  worker.run_once();
  // then the packet goes to the callee.
  const auto sent = io.take_sent();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].to, kBob);
}

TEST_F(Shard, WhatWasSentBeforeTheEndStillArrivesAndCounts) {
  create();
  io.arrive(rtp_slot(0), kAlice, rtp(1));
  worker.post(RemoveCall{kCall, {}});
  worker.run_once();
  EXPECT_EQ(io.take_sent().size(), 1U);
  const auto ready = happened<StateReady>();
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0]->state->streams[0].rtp.received.packets, 1U);
}

TEST_F(Shard, EveryCallIsLookedAtOnceASecond) {
  // Given more calls than a tick looks at, silent ones.
  spec.media_timeout = 5s;
  for (std::uint64_t id = 1; id <= 15; ++id) create(CallId{id});
  EXPECT_EQ(io.attached(), 60U);
  pass(4900ms);
  EXPECT_TRUE(happened<CallExpired>().empty());
  pass(1200ms);
  // Then each ends once, for that reason, within a second or so of its time, and its sockets with
  // it.
  EXPECT_EQ(happened<CallExpired>().size(), 15U);
  for (const CallExpired* event : happened<CallExpired>()) {
    EXPECT_EQ(event->reason, media::EndReason::media_timeout);
  }
  EXPECT_EQ(io.attached(), 0U);
  worker.run_once();
  EXPECT_EQ(sockets_closed(), 60U);
}

TEST_F(Shard, WaitsLongerForABatchOnlyUnderLoad) {
  create();
  worker.run_once();
  EXPECT_EQ(io.last_wait().gather, 0us);
  EXPECT_LE(io.last_wait().at_most, Worker::kTick);
  for (int i = 0; i < 100; ++i) {
    for (std::uint16_t p = 0; p < 20; ++p) io.arrive(rtp_slot(0), kAlice, rtp(p));
    clock.advance(1ms);
    worker.run_once();
  }
  EXPECT_EQ(io.last_wait().gather, 1us) << "the time is up when it asks";
  worker.run_once();
  EXPECT_EQ(io.last_wait().gather, 500us);
}

TEST_F(Shard, StopsWhenEverySocketIsClosed) {
  create();
  worker.post(StopShard{});
  EXPECT_TRUE(worker.run_once());
  EXPECT_FALSE(worker.run_once());
  EXPECT_EQ(sockets_closed(), 4U);
  EXPECT_EQ(io.attached(), 0U);
}

}  // namespace
}  // namespace rtpool
