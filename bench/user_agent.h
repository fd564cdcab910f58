// The signalling half of a telephone: a SIP user agent over UDP (RFC 3261) that registers, calls,
// answers after a moment of ringing and hangs up, through a proxy. Requests are repeated until they
// are answered (17.1), the 200 to an INVITE until it is acknowledged (13.3.1.4); routes that
// proxies record are followed (12.2.1.1).
//
// Used by one thread; the constructor opens the socket and throws std::system_error. Events reach
// the delegate while receive(), tick() or a request runs. It does not authenticate, speaks no TCP,
// and offers and answers once a call.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/sip_message.h"
#include "relay/base/random.h"
#include "relay/base/time.h"

namespace rtpool::bench {

// RFC 3261, table 4.
inline constexpr Duration kT1 = std::chrono::milliseconds(500);
inline constexpr Duration kT2 = std::chrono::seconds(4);
// How long a request may go unanswered; 64*T1 would keep somebody at a terminal waiting for half a
// minute.
inline constexpr Duration kPatience = std::chrono::seconds(10);
inline constexpr Duration kRingTime = std::chrono::milliseconds(200);

class UserAgent;

class UserAgentDelegate {
 public:
  virtual ~UserAgentDelegate() = default;
  // Somebody calls; the SDP to answer with, or nothing to refuse.
  virtual std::optional<std::string> on_invite(UserAgent& agent, const std::string& call_id,
                                               const std::string& sdp) = 0;
  virtual void on_ringing(UserAgent& agent, const std::string& call_id) = 0;
  // The caller's 200 has come (with the callee's SDP), or the callee's has been acknowledged
  // (empty).
  virtual void on_connected(UserAgent& agent, const std::string& call_id,
                            const std::string& sdp) = 0;
  // The call is over, or never came to be: status of the refusal, 408 for no answer, 0 for a BYE.
  virtual void on_ended(UserAgent& agent, const std::string& call_id, int status,
                        const std::string& reason) = 0;
  virtual void on_registered(UserAgent& agent, int status, const std::string& reason) = 0;
};

class UserAgent {
 public:
  struct Options {
    std::string user;
    IpAddress address;
    Endpoint proxy;
  };
  UserAgent(Options options, UserAgentDelegate& delegate, std::uint64_t seed);
  ~UserAgent();
  UserAgent(const UserAgent&) = delete;
  UserAgent& operator=(const UserAgent&) = delete;

  // 0 seconds take the registration back.
  void register_contact(unsigned seconds, Instant now);
  // Gives the Call-ID.
  std::string invite(std::string_view user, std::string sdp, Instant now);
  void bye(const std::string& call_id, Instant now);

  void receive(Instant now);
  std::optional<Instant> tick(Instant now);
  [[nodiscard]] int descriptor() const { return socket_; }
  [[nodiscard]] const std::string& user() const { return options_.user; }
  [[nodiscard]] bool idle() const { return transactions_.empty(); }

 private:
  struct Transaction {  // a request of ours that waits for its answer
    std::string method, call_id, text;
    Endpoint to;
    Instant resend_at{}, give_up_at{};
    Duration interval = kT1;
    bool proceeding = false;
  };
  struct Dialog {
    bool caller = false;
    std::string local, remote;  // From and To as we write them
    std::string target;         // the other's Contact
    std::vector<std::string> routes;
    std::uint32_t cseq = 1;
    SipMessage invite;
    std::string sdp;         // our answer, until it is sent
    std::string final_text;  // callee: the 200, until it is acknowledged
    Endpoint answer_to;
    std::optional<Instant> answer_at, resend_at;
    Duration interval = kT1;
    std::string ack_text;  // caller: for a 200 that comes again
    Endpoint ack_to;
    bool connected = false;
  };
  struct Answered {  // for a request that comes again
    std::string text;
    Endpoint to;
  };

  SipMessage new_request(std::string_view method, std::string_view uri);
  SipMessage in_dialog(const Dialog& dialog, std::string_view method, const std::string& call_id,
                       std::uint32_t cseq);
  Endpoint next_hop(const Dialog& dialog) const;
  void send_request(const SipMessage& message, const std::string& call_id, const Endpoint& to,
                    Instant now);
  void send_text(const std::string& text, const Endpoint& to) const;
  void reply(const SipMessage& request, const SipMessage& response, const Endpoint& to);

  void take_request(SipMessage& request, const Endpoint& source, Instant now);
  void take_invite(const SipMessage& request, const Endpoint& source, Instant now);
  void take_ack(const std::string& call_id);
  void take_bye(const SipMessage& request, const Endpoint& source);
  void take_response(const SipMessage& response, Instant now);
  void take_invite_response(const SipMessage& response, const Transaction& transaction,
                            Instant now);
  void acknowledge_refusal(const SipMessage& response, const Transaction& transaction);
  void give_up(const Transaction& transaction);
  void answer(Dialog& dialog, Instant now);
  std::string token(std::size_t length);
  std::string contact() const;

  Options options_;
  UserAgentDelegate& delegate_;
  Random random_;
  int socket_ = -1;
  Endpoint local_;
  std::string register_call_id_;
  std::uint32_t register_cseq_ = 0;
  std::map<std::string, Transaction> transactions_;  // by branch
  std::map<std::string, Dialog> dialogs_;            // by Call-ID
  std::map<std::string, Answered> answered_;         // by branch and method
};

}  // namespace rtpool::bench
