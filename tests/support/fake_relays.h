// Relays and a pool that live in memory, for tests of what controls them: a FakeRelays answers
// specifications as an engine would (ports for every stream, counted up), at once, late or never,
// as the test says.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/calls/call_manager.h"
#include "control/calls/relay_gateway.h"
#include "relay/media/call.h"

namespace rtpool::testing {

class FakeRelays final : public control::RelayGateway, public control::RelaySelector {
 public:
  enum class Mood : std::uint8_t {
    answers,
    unreachable,
    silent,
    full,
    out_of_ports,
    too_many_packets,
    too_much_bandwidth,
    too_busy
  };

  static std::optional<EngineErrc> refusal_of(Mood mood) {
    switch (mood) {
      case Mood::full:
        return EngineErrc::too_many_calls;
      case Mood::out_of_ports:
        return EngineErrc::out_of_ports;
      case Mood::too_many_packets:
        return EngineErrc::too_many_packets;
      case Mood::too_much_bandwidth:
        return EngineErrc::too_much_bandwidth;
      case Mood::too_busy:
        return EngineErrc::too_busy;
      default:
        return std::nullopt;
    }
  }

  struct Relay {
    control::RelayRef ref;
    Mood mood = Mood::answers;
    std::map<std::string, media::CallSpec> calls;
    std::map<std::string, media::CallState> states;
    std::uint16_t next_port = 30000;
  };

  explicit FakeRelays(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string id = "r" + std::to_string(i + 1);
      relays[id].ref = {id, id + ":7410", 1};
      relays[id].next_port = static_cast<std::uint16_t>(30000 + 2000 * i);
    }
  }

  std::map<std::string, Relay> relays;  // those in the pool
  std::vector<std::string> reported;
  bool pool_full = false;     // what is said when there is none left
  bool hold_answers = false;  // keep answers back until release()
  Ended ended;

  // RelaySelector: the first by id that is not excluded.
  Result<control::RelayRef> select(std::span<const std::string> exclude) override {
    for (const auto& [id, relay] : relays) {
      if (std::find(exclude.begin(), exclude.end(), id) == exclude.end()) return relay.ref;
    }
    return Error(pool_full ? control::RelayErrc::all_full : control::RelayErrc::none_left);
  }
  void report_unreachable(const control::RelayRef& relay) override { reported.push_back(relay.id); }
  [[nodiscard]] bool alive(const control::RelayRef& relay) const override {
    const auto found = relays.find(relay.id);
    return found != relays.end() && found->second.ref == relay;
  }

  void apply(const control::RelayRef& ref, const media::CallSpec& spec, Duration,
             Done done) override {
    answer(ref, std::move(done), [this, spec](Relay& relay) { return apply_to(relay, spec); });
  }
  void query(const control::RelayRef& ref, const std::string& key, Duration, Done done) override {
    answer(ref, std::move(done), [key](Relay& relay) -> Result<media::CallState> {
      const auto found = relay.states.find(key);
      if (found == relay.states.end()) return Error(EngineErrc::unknown_call);
      return found->second;
    });
  }
  void remove(const control::RelayRef& ref, const std::string& key, Duration, Done done) override {
    answer(ref, std::move(done), [key](Relay& relay) -> Result<media::CallState> {
      const auto found = relay.states.find(key);
      if (found == relay.states.end()) return Error(EngineErrc::unknown_call);
      auto state = found->second;
      relay.states.erase(found);
      relay.calls.erase(key);
      return state;
    });
  }
  void set_on_ended(Ended handler) override { ended = std::move(handler); }

  // Lets answers go that were held back.
  void release() {
    hold_answers = false;
    for (auto& one : std::exchange(held_, {})) one();
  }

 private:
  template <class Work>
  void answer(const control::RelayRef& ref, Done done, Work work) {
    auto reply = [this, ref, done, work] {
      const auto found = relays.find(ref.id);
      if (found == relays.end() || found->second.mood == Mood::unreachable) {
        return done(Error(control::RelayErrc::unreachable));
      }
      if (found->second.mood == Mood::silent) return done(Error(control::RelayErrc::deadline));
      if (const auto refusal = refusal_of(found->second.mood)) return done(Error(*refusal));
      done(work(found->second));
    };
    if (hold_answers) {
      held_.push_back(reply);
    } else {
      reply();
    }
  }

  static Result<media::CallState> apply_to(Relay& relay, const media::CallSpec& spec) {
    if (const auto wrong = media::validate(spec); !wrong.empty())
      return Error(EngineErrc::invalid_spec, wrong);
    media::CallState state;
    state.key = spec.key;
    state.revision = spec.revision;
    const auto old = relay.states.find(spec.key);
    for (const auto& stream : spec.streams) {
      media::StreamState one;
      one.id = stream.id;
      if (old != relay.states.end()) {
        for (const auto& known : old->second.streams) one = known.id == stream.id ? known : one;
      }
      if (one.rtp.local.port == 0) {
        one.rtp.local = {{IpAddress::v4(198, 51, 100, 1), relay.next_port}};
        relay.next_port = static_cast<std::uint16_t>(relay.next_port + 2);
      }
      one.rtp.advertised = {{one.rtp.local.address, one.rtp.local.port}};
      if (!stream.rtcp_mux) {
        one.rtcp.local = {
            {one.rtp.local.address, static_cast<std::uint16_t>(one.rtp.local.port + 1)}};
        one.rtcp.advertised = {{one.rtcp.local.address, one.rtcp.local.port}};
      } else {
        one.rtcp = {};
      }
      state.streams.push_back(one);
    }
    relay.calls[spec.key] = spec;
    relay.states[spec.key] = state;
    return state;
  }

  std::vector<std::function<void()>> held_;
};

}  // namespace rtpool::testing
