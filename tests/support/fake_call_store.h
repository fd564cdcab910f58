// A store that controllers share, in memory, for tests: it answers at once or holds its answers
// back, is away, or loses answers, as the test says.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "control/calls/call_record_codec.h"
#include "control/calls/call_store.h"

namespace rtpool::testing {

class FakeCallStore final : public control::CallStore {
 public:
  struct Slot {
    std::string bytes;
    std::uint64_t revision = 0;
  };

  std::map<std::string, Slot> slots;
  bool away = false;           // nothing is done, every operation fails
  bool loses_answers = false;  // things are done, and the operation fails
  bool hold_answers = false;
  std::size_t operations = 0;

  void load(const std::string& call_id, std::uint64_t known, Duration, Loaded done) override {
    answer<control::StoredCall>(std::move(done), [this, call_id, known]() -> control::StoredCall {
      return stored(call_id, known);
    });
  }
  void save(const control::CallRecord& record, std::uint64_t expected, Duration,
            Saved done) override {
    swap(record.call_id, expected, control::encode_record(record), std::move(done));
  }
  void remove(const std::string& call_id, std::uint64_t expected, Duration, Saved done) override {
    swap(call_id, expected, std::nullopt, std::move(done));
  }

  void release() {
    hold_answers = false;
    for (auto& one : std::exchange(held_, {})) one();
  }

  [[nodiscard]] control::StoredCall stored(const std::string& call_id,
                                           std::uint64_t known = 0) const {
    const auto found = slots.find(call_id);
    if (found == slots.end()) return {};
    control::StoredCall answer{.revision = found->second.revision, .record = {}};
    if (answer.revision != known) answer.record = *control::decode_record(found->second.bytes);
    return answer;
  }

 private:
  void swap(const std::string& call_id, std::uint64_t expected, std::optional<std::string> bytes,
            Saved done) {
    answer<control::SaveOutcome>(std::move(done), [=, this]() -> control::SaveOutcome {
      const auto found = slots.find(call_id);
      const std::uint64_t revision = found == slots.end() ? 0 : found->second.revision;
      if (revision != expected) return {.saved = false, .current = stored(call_id)};
      if (!bytes) {
        slots.erase(call_id);
        return {.saved = true, .current = {}};
      }
      slots[call_id] = {*bytes, ++last_revision_};
      return {.saved = true, .current = {.revision = last_revision_, .record = {}}};
    });
  }

  template <class Outcome>
  void answer(std::function<void(Result<Outcome>)> done, std::function<Outcome()> work) {
    ++operations;
    auto reply = [this, done = std::move(done), work = std::move(work)] {
      if (away) return done(Error(control::RelayErrc::unreachable));
      Outcome outcome = work();
      if (loses_answers) return done(Error(control::RelayErrc::deadline));
      done(std::move(outcome));
    };
    if (hold_answers) {
      held_.push_back(reply);
    } else {
      reply();
    }
  }

  std::vector<std::function<void()>> held_;
  std::uint64_t last_revision_ = 0;
};

}  // namespace rtpool::testing
