#include "bench/load/telephones.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "bench/call_run.h"
#include "bench/net.h"

namespace rtpool::bench {
namespace {

void connect_socket(int descriptor, const Endpoint& to) {
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  (void)connect(descriptor, reinterpret_cast<sockaddr*>(&storage), length);
}

}  // namespace

Telephones::Telephones(const TelephoneOptions& options) : options_(options) {
  telephones_.resize(2 * options.calls);
  for (std::size_t i = 0; i < telephones_.size(); ++i) {
    Telephone& telephone = telephones_[i];
    // Caller and callee share no socket: a relay may take equal addresses for a loop.
    const std::size_t twin = (i / 2 % std::max<std::size_t>(options.shared_sockets, 1)) * 2 + i % 2;
    if (!own_sockets() && twin != i && twin < i) {
      telephone = telephones_[twin];
      continue;
    }
    telephone.rtp = open();
    telephone.local_rtp = {options.address, bound_port(telephone.rtp)};
    if (!options.rtcp_mux) {
      telephone.rtcp = open();
      telephone.local_rtcp = {options.address, bound_port(telephone.rtcp)};
    }
  }
}

Telephones::~Telephones() {
  for (const int descriptor : sockets_) close(descriptor);
}

int Telephones::open() {
  const int made = open_udp_socket(options_.address, 0);
  if (made < 0) {
    throw std::system_error(errno, std::generic_category(),
                            "no UDP socket on " + options_.address.to_string() + " after " +
                                std::to_string(sockets_.size()) + " of them");
  }
  sockets_.push_back(made);
  return made;
}

std::string Telephones::sdp(std::size_t index) const {
  const Telephone& telephone = telephones_[index];
  std::string text = audio_sdp(index % 2 == 0 ? "caller" : "callee", telephone.local_rtp);
  if (options_.rtcp_mux) return text + "a=rtcp-mux\r\n";
  return text + "a=rtcp:" + std::to_string(telephone.local_rtcp.port) + "\r\n";
}

bool Telephones::connect(std::size_t index, std::string_view relay_sdp) {
  const auto target = audio_target(relay_sdp);
  if (!target) return false;
  Telephone& telephone = telephones_[index];
  telephone.relay_rtp = target->rtp;
  telephone.relay_rtcp = options_.rtcp_mux ? target->rtp : target->rtcp;
  if (own_sockets()) {
    connect_socket(telephone.rtp, telephone.relay_rtp);
    if (telephone.rtcp >= 0) connect_socket(telephone.rtcp, telephone.relay_rtcp);
  }
  return true;
}

}  // namespace rtpool::bench
