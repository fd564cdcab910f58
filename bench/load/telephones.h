// The telephones of a load: two to a call, each with an address of its own to send and receive
// media (RTP, and RTCP on the same port under RFC 5761 or on a second socket). One socket each, or,
// where sockets would disturb what is measured, a few that many telephones share; the packets say
// whom they are for. Owned and used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/endpoint.h"

namespace rtpool::bench {

struct TelephoneOptions {
  IpAddress address = IpAddress::v4(127, 0, 0, 1);
  std::size_t calls = 1;
  bool rtcp_mux = true;
  std::size_t shared_sockets = 0;  // 0: each its own; otherwise so many for each side of the calls
};

struct Telephone {
  int rtp = -1, rtcp = -1;  // rtcp: -1 with rtcp-mux
  Endpoint local_rtp, local_rtcp;
  Endpoint relay_rtp, relay_rtcp;  // where to send; port 0 while the call is not up
};

class Telephones {
 public:
  // Throws std::system_error when there are not enough sockets or ports.
  explicit Telephones(const TelephoneOptions& options);
  ~Telephones();
  Telephones(const Telephones&) = delete;
  Telephones& operator=(const Telephones&) = delete;

  [[nodiscard]] const TelephoneOptions& options() const { return options_; }
  [[nodiscard]] std::size_t calls() const { return options_.calls; }
  // Telephones 2n and 2n + 1 are the caller and the callee of call n.
  [[nodiscard]] std::size_t size() const { return telephones_.size(); }
  [[nodiscard]] const Telephone& at(std::size_t index) const { return telephones_[index]; }
  [[nodiscard]] static std::size_t peer(std::size_t index) { return index ^ 1; }
  // Every socket once, for whoever receives.
  [[nodiscard]] const std::vector<int>& sockets() const { return sockets_; }
  [[nodiscard]] bool own_sockets() const { return options_.shared_sockets == 0; }

  // The description that a telephone offers or answers with.
  [[nodiscard]] std::string sdp(std::size_t index) const;
  // Takes the relay's description; false when it names no address. Sockets of one telephone are
  // connected, which is cheaper to send on.
  bool connect(std::size_t index, std::string_view relay_sdp);

 private:
  int open();

  TelephoneOptions options_;
  std::vector<Telephone> telephones_;
  std::vector<int> sockets_;
};

}  // namespace rtpool::bench
