// What a verdict costs: Call::receive() for the datagrams that make up real load, and those of an
// attack. Calls are visited in turn over a set larger than the caches' first levels, as a shard
// does.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <vector>

#include "relay/base/bytes.h"
#include "relay/media/call.h"

namespace {

using namespace rtpool;
using namespace rtpool::media;

RemoteEndpoint party(std::uint8_t who, std::uint16_t port) {
  return {{IpAddress::v4(203, 0, 113, who), port}};
}

// `count` two-party calls that have media already.
class Calls {
 public:
  explicit Calls(std::size_t count) {
    CallSpec spec;
    spec.key = "bench";
    spec.revision = 1;
    spec.answered = true;
    spec.streams.resize(2);
    spec.streams[0] = {.id = StreamId{1}, .remote_rtp = party(10, 4000), .forward_to = StreamId{2}};
    spec.streams[1] = {.id = StreamId{2}, .remote_rtp = party(20, 5000), .forward_to = StreamId{1}};
    const auto local = [](std::uint16_t port) {
      return LocalEndpoint{{IpAddress::v4(198, 51, 100, 1), port}};
    };
    const std::vector<StreamSockets> sockets{{.rtp = local(30000), .rtcp = local(30001)},
                                             {.rtp = local(30002), .rtcp = local(30003)}};
    for (std::size_t i = 0; i < count; ++i) {
      calls_.push_back(std::make_unique<Call>(spec, sockets, CallOptions{}, now_));
    }
    rtp_[0] = std::byte{0x80};
  }

  // The next packet of either party, of the next call in turn.
  Verdict media() {
    if (++turn_ == calls_.size() * 2) {
      turn_ = 0;
      ++sequence_;
      now_ += std::chrono::milliseconds(20);
      store_u16(rtp_, 2, sequence_);
      store_u32(rtp_, 4, sequence_ * 160u);
    }
    const auto side = static_cast<std::uint16_t>(turn_ & 1);
    return calls_[turn_ / 2]->receive(side, ComponentKind::rtp, now_, sources_[side], rtp_, false);
  }
  Verdict control() {
    static constexpr std::array<std::byte, 8> kReport{
        std::byte{0x80}, std::byte{201}, {}, std::byte{1}};
    turn_ = (turn_ + 1) % calls_.size();
    return calls_[turn_]->receive(0, ComponentKind::rtcp, now_, party(10, 4001), kReport, false);
  }
  Verdict stranger() {
    turn_ = (turn_ + 1) % calls_.size();
    return calls_[turn_]->receive(0, ComponentKind::rtp, now_, party(66, 666), rtp_, false);
  }

 private:
  std::vector<std::unique_ptr<Call>> calls_;
  std::array<RemoteEndpoint, 2> sources_{party(10, 4000), party(20, 5000)};
  std::array<std::byte, 172> rtp_{};
  Instant now_{std::chrono::hours(1)};
  std::size_t turn_ = 0;
  std::uint16_t sequence_ = 0;
};

template <Verdict (Calls::*Next)()>
void receive(benchmark::State& state) {
  Calls calls(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    Verdict verdict = (calls.*Next)();
    benchmark::DoNotOptimize(verdict);
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK_TEMPLATE(receive, &Calls::media)->Name("receive_rtp")->Arg(1)->Arg(500)->Arg(5000);
BENCHMARK_TEMPLATE(receive, &Calls::control)->Name("receive_rtcp")->Arg(500);
BENCHMARK_TEMPLATE(receive, &Calls::stranger)->Name("refuse_stranger")->Arg(500);

}  // namespace
