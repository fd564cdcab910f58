// What the tests of the engine have in common: where its ports are, calls of two parties, waiting.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "relay/base/random.h"
#include "relay/engine.h"
#include "relay/io/entropy.h"
#include "tests/support/udp_phone.h"

namespace rtpool::test {

// A range of ports of this test's own, below those the kernel gives to telephones, and drawn so
// that tests running side by side seldom meet.
inline PortRange some_ports(std::uint16_t count) {
  Random random(io::random_seed());
  const auto first = static_cast<std::uint16_t>(10'000 + 2 * random.below((22'000U - count) / 2));
  return {first, static_cast<std::uint16_t>(first + count - 1)};
}

inline std::unique_ptr<Engine> start(const EngineOptions& options) {
  auto engine = Engine::start(options);
  EXPECT_TRUE(engine) << engine.error().message();
  return std::move(*engine);
}

// Two parties, one audio stream each, known by where they are.
inline media::CallSpec audio_call(const std::string& key, const UdpPhone& alice,
                                  const UdpPhone& bob) {
  media::CallSpec spec;
  spec.key = key;
  spec.revision = 1;
  spec.answered = true;
  media::StreamSpec a;
  a.id = media::StreamId{1};
  a.forward_to = media::StreamId{2};
  a.family = alice.endpoint().address.family;
  a.remote_rtp = alice.endpoint();
  media::StreamSpec b;
  b.id = media::StreamId{2};
  b.forward_to = media::StreamId{1};
  b.family = bob.endpoint().address.family;
  b.remote_rtp = bob.endpoint();
  spec.streams = {a, b};
  return spec;
}

// Waits for what comes about on other threads.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds(3)) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline ErrorCode code_of(const Result<media::CallState>& result) {
  return result ? ErrorCode{} : result.error().code;
}

}  // namespace rtpool::test
