// Calls between two telephones in one program: `from` calls `to` through a SIP proxy, both talk for
// a while, the caller hangs up when everything that was sent has had time to arrive. One thread;
// start it with run(), which returns at the end of the last call. The observer is called some times
// a second, for a table that lives.
//
// It does not choose or know the relay: it learns from the SDP where media is to come from, and
// says so when it comes from elsewhere.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/rtp_phone.h"
#include "bench/user_agent.h"

namespace rtpool::bench {

struct CallOptions {
  Endpoint proxy;
  IpAddress address;  // of both telephones
  std::string from = "alice", to = "bob";
  Duration talk_time = std::chrono::seconds(10);
  unsigned calls = 1;
  bool register_first = false;  // otherwise only when the proxy does not know `to`
  std::uint64_t seed = 0;
};

enum class CallPhase : std::uint8_t {
  waiting,
  calling,
  ringing,
  talking,
  draining,
  ending,
  over,
  failed
};

struct CallReport {
  CallPhase phase = CallPhase::waiting;
  std::string problem;     // failed: why
  double setup_ms = 0;     // INVITE to its 200
  Flow forward, backward;  // caller's audio as the callee heard it, and the reverse
};

struct RunReport {
  std::vector<CallReport> calls;
  std::string problem;  // of the whole run: no registration, no sockets
  double seconds = 0;

  [[nodiscard]] bool whole()
      const;  // each call came about, and every packet arrived through the relay
};

class CallRun final : private UserAgentDelegate {
 public:
  // Opens all sockets; throws std::system_error.
  explicit CallRun(CallOptions options);
  ~CallRun() override;

  using Observer = std::function<void(const RunReport&)>;
  RunReport run(const Observer& observer, Duration observe_every);
  // From a signal handler: hang up now.
  static void interrupt();

 private:
  struct Call;
  [[nodiscard]] RunReport report(Duration grace) const;
  void begin(Instant now);
  void place(Call& call, Instant now);
  void drive(Call& call, Instant now);
  void wait(Instant until);
  void watch(int descriptor, std::function<void()> ready);
  void register_both(Instant now);
  void start_talking(Call& call);
  [[nodiscard]] bool connect(RtpPhone& phone, const std::string& sdp) const;
  static void fail(Call& call, std::string why);
  Call* find(const std::string& call_id);
  Call* next_called(const std::string& call_id);

  std::optional<std::string> on_invite(UserAgent& agent, const std::string& call_id,
                                       const std::string& sdp) override;
  void on_ringing(UserAgent& agent, const std::string& call_id) override;
  void on_connected(UserAgent& agent, const std::string& call_id, const std::string& sdp) override;
  void on_ended(UserAgent& agent, const std::string& call_id, int status,
                const std::string& reason) override;
  void on_registered(UserAgent& agent, int status, const std::string& reason) override;

  CallOptions options_;
  Random random_;
  Chirp low_{300, 1500}, high_{3000, 900};
  UserAgent caller_, callee_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<std::function<void()>> ready_;
  int epoll_ = -1;
  Instant now_{}, started_{};
  unsigned registrations_wanted_ = 0;
  bool registered_ = false;
  std::string problem_;
};

// Where an SDP wants its audio: RTP and RTCP (RFC 3605). Nothing when it has none or refuses it.
struct AudioTarget {
  Endpoint rtp, rtcp;
};
std::optional<AudioTarget> audio_target(std::string_view sdp);
std::string audio_sdp(std::string_view user, const Endpoint& rtp);

}  // namespace rtpool::bench
