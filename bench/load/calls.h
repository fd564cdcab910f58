// Calls through NG: offer, answer, delete, each timed. The caller says which call begins or ends
// and polls for what became of it; the answer follows a good offer by itself. A call that was ended
// may begin again under a new call-id. Owned and used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/load/histogram.h"
#include "bench/load/ng_client.h"
#include "bench/load/telephones.h"

namespace rtpool::bench {

struct CallEvent {
  enum class What : std::uint8_t { up, over, failed };
  std::size_t call = 0;
  What what = What::failed;
};

struct CallTimes {
  Histogram offer, answer, remove;
};

class Calls {
 public:
  // With `media` the telephones learn where to send; without, only signalling is measured.
  Calls(NgClient& ng, Telephones& telephones, std::uint64_t seed, bool media);

  void begin(std::size_t call);
  void end(std::size_t call);
  // What became of a call, if anything did. A failed one is over.
  std::optional<CallEvent> poll();

  // Sets up calls [first, last) with at most `outstanding` requests at a time and waits for all;
  // false when one failed (problem() says why). The same for ending them.
  bool set_up(std::size_t first, std::size_t last, std::size_t outstanding);
  bool tear_down(std::size_t first, std::size_t last, std::size_t outstanding);

  // RTP packets that the relay says it received in these calls, from `query`; nothing when it does
  // not answer with totals.
  std::optional<std::uint64_t> packets_by_relay(std::size_t first, std::size_t last);

  [[nodiscard]] const CallTimes& times() const { return times_; }
  void forget_times() { times_ = {}; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }  // the first one

 private:
  enum class Step : std::uint8_t { offer, answer, remove };
  struct Waiting {
    std::size_t call;
    Step step;
  };
  bool each(std::size_t first, std::size_t last, std::size_t outstanding,
            void (Calls::*start)(std::size_t));
  void send(std::size_t call, Step step, const ng::Value& request);
  ng::Value request(const char* command, std::size_t call) const;
  std::optional<CallEvent> advance(const Waiting& waiting, const NgReply& reply);
  CallEvent fail(const Waiting& waiting, const std::string& why);

  NgClient& ng_;
  Telephones& telephones_;
  std::string prefix_;
  bool media_;
  std::vector<std::uint32_t> generations_;
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  CallTimes times_;
  std::uint64_t failures_ = 0;
  std::string problem_;
};

}  // namespace rtpool::bench
