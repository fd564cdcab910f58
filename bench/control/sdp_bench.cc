// What a session description costs the controller: parsing, and parsing with negotiation and
// rewriting, which is what each offer takes.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/control/samples.h"
#include "control/sdp/rewrite.h"

namespace {

using namespace rtpool;
using namespace rtpool::sdp;

void count_bytes(benchmark::State& state, const std::string& text) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void parse_sdp(benchmark::State& state, const std::string& text) {
  for (auto _ : state) {
    auto session = parse(text);
    if (!session) state.SkipWithError("the sample is no SDP");
    benchmark::DoNotOptimize(session);
  }
  count_bytes(state, text);
}
BENCHMARK_CAPTURE(parse_sdp, phone, bench::phone_sdp());
BENCHMARK_CAPTURE(parse_sdp, browser, bench::browser_sdp());

AdvertisedEndpoint ours(std::uint16_t port) {
  return AdvertisedEndpoint{{IpAddress::v4(203, 0, 113, 10), port}};
}

Result<std::string> offer_through_us(const std::string& text, const Options& options) {
  const auto session = parse(text);
  if (!session) return session.error();
  Party caller, callee;
  const auto plan = negotiate(*session, options, caller, callee);
  if (!plan) return plan.error();
  std::vector<MediaRewrite> media;
  for (const MediaPlan& each : plan->media) {
    const auto port = static_cast<std::uint16_t>(30000 + 2 * media.size());
    MediaRewrite entry{.rtp = ours(port)};
    if (each.recipient.rtcp) entry.rtcp = ours(port + 1U);
    if (each.recipient.ice) entry.ice_ufrag = "ours", entry.ice_pwd = "oursoursoursoursoursours";
    media.push_back(entry);
  }
  return rewrite(*session, options, media, callee);
}

void rewrite_offer(benchmark::State& state, const std::string& text) {
  Options options;
  take_word(options, "replace", "origin");
  take_word(options, "replace", "session-connection");
  for (auto _ : state) {
    auto written = offer_through_us(text, options);
    if (!written) state.SkipWithError("the sample was refused");
    benchmark::DoNotOptimize(written);
  }
  count_bytes(state, text);
}
BENCHMARK_CAPTURE(rewrite_offer, phone, bench::phone_sdp());
BENCHMARK_CAPTURE(rewrite_offer, browser, bench::browser_sdp());

}  // namespace
