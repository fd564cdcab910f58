// What an NG message costs the controller: decoding, the typed request, the reply.
#include <benchmark/benchmark.h>

#include "bench/control/samples.h"
#include "control/ng/request.h"

namespace {

using namespace rtpool;
using namespace rtpool::ng;

void count_bytes(benchmark::State& state, const std::string& text) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void parse_text(benchmark::State& state, Encoding encoding) {
  const std::string datagram = bench::kamailio_offer(encoding);
  const auto frame = split_frame(datagram);
  for (auto _ : state) {
    auto value = parse(frame->body, encoding);
    if (!value) state.SkipWithError("the sample does not parse");
    benchmark::DoNotOptimize(value);
  }
  count_bytes(state, datagram);
}
BENCHMARK_CAPTURE(parse_text, bencode, Encoding::bencode);
BENCHMARK_CAPTURE(parse_text, json, Encoding::json);

void whole_request(benchmark::State& state, Encoding encoding) {
  const std::string datagram = bench::kamailio_offer(encoding);
  for (auto _ : state) {
    auto request = parse_request(*split_frame(datagram));
    if (!request) state.SkipWithError("the sample is no request");
    benchmark::DoNotOptimize(request);
  }
  count_bytes(state, datagram);
}
BENCHMARK_CAPTURE(whole_request, bencode, Encoding::bencode);
BENCHMARK_CAPTURE(whole_request, json, Encoding::json);

void encode_reply(benchmark::State& state, Encoding encoding) {
  const Value reply = Value::dictionary({{"result", "ok"}, {"sdp", bench::phone_sdp()}});
  std::string text;
  for (auto _ : state) {
    text = encode(reply, encoding);
    benchmark::DoNotOptimize(text);
  }
  count_bytes(state, text);
}
BENCHMARK_CAPTURE(encode_reply, bencode, Encoding::bencode);
BENCHMARK_CAPTURE(encode_reply, json, Encoding::json);

// The deepest nesting that is not refused at once, and a refusal.
void refuse_deep(benchmark::State& state) {
  const std::string body = "d1:a" + std::string(30'000, 'l');
  for (auto _ : state) {
    auto value = parse_bencode(body);
    if (value) state.SkipWithError("30,000 lists deep was taken");
    benchmark::DoNotOptimize(value);
  }
}
BENCHMARK(refuse_deep);

}  // namespace
