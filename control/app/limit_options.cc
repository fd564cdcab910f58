// The options of a relay's limits, beyond which it refuses new calls (relay/headroom.h).
#include <cstdint>
#include <string>

#include "control/app/option_parts.h"

namespace rtpool::control {
namespace {

// Less than one call would refuse everything.
constexpr std::uint64_t kLeastPackets = 100;
constexpr std::uint64_t kMostPackets = 1'000'000'000;

Result<std::uint64_t> parse_packet_rate(std::string_view text) {
  if (text == "0") return std::uint64_t{0};
  auto rate = parse_number(text, kLeastPackets, kMostPackets);
  if (!rate) return Error(AppErrc::usage, rate.error().detail + ", or 0 for no limit");
  return rate;
}

}  // namespace

void add_limits(Options& o, std::vector<Row>& rows) {
  using enum Command;
  auto& engine = o.relay.engine;
  rows.push_back(
      {{relay, serve},
       {.name = "max-packets-per-second",
        .value_name = "NUMBER",
        .help = "Packets that the relay may receive on media ports. When one more call would pass "
                "that, new calls are refused and those that stand go on. A call of two parties "
                "with packets of 20 ms takes 100; 0 is no limit.",
        .example = "150000",
        .set = setter(parse_packet_rate,
                      [&engine](std::uint64_t n) { engine.max_packets_per_second = n; }),
        .show = [&engine] { return std::to_string(engine.max_packets_per_second); }}});
  rows.push_back(
      {{relay, serve},
       {.name = "max-bandwidth",
        .value_name = "BITS",
        .help = "Bits per second that the relay may receive or send, whichever is more, headers "
                "of IP and UDP included; beyond it new calls are refused. A call of two parties "
                "with G.711 takes 160k; 0 is no limit.",
        .example = "800M",
        .set =
            setter(parse_bit_rate, [&engine](std::uint64_t n) { engine.max_bits_per_second = n; }),
        .show = [&engine] { return format_bit_rate(engine.max_bits_per_second); }}});
  rows.push_back(
      {{relay, serve},
       {.name = "max-cpu",
        .value_name = "PERCENT",
        .help = "How busy a shard may be, in per cent of its core. When all shards are beyond "
                "that, new calls are refused, before those that stand lose packets; 0 is no limit.",
        .example = "70",
        .set = setter(
            number_within(0, 100),
            [&engine](std::uint64_t n) { engine.max_cpu_percent = static_cast<std::uint32_t>(n); }),
        .show = [&engine] { return std::to_string(engine.max_cpu_percent); }}});
}

}  // namespace rtpool::control
