// A TCP relay between a client and a server on loopback, for tests, that can lose what the server
// says: the request is done and its answer never comes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace rtpool::test {

class TcpProxy {
 public:
  explicit TcpProxy(int server_port) : server_port_(server_port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { loop(); });
  }
  ~TcpProxy() {
    stopping_ = true;
    thread_.join();
    ::close(listener_);
    for (const auto& [client, server] : pairs_) {
      ::close(client);
      ::close(server);
    }
  }
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  [[nodiscard]] std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }
  void lose_answers(bool lose) { lose_ = lose; }
  [[nodiscard]] std::uint64_t lost_bytes() const { return lost_; }

 private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  void loop() {
    while (!stopping_) {
      std::vector<pollfd> polled{{.fd = listener_, .events = POLLIN, .revents = 0}};
      for (const auto& [client, server] : pairs_) {
        polled.push_back({.fd = client, .events = POLLIN, .revents = 0});
        polled.push_back({.fd = server, .events = POLLIN, .revents = 0});
      }
      if (::poll(polled.data(), polled.size(), 20) <= 0) continue;
      const std::size_t pairs = pairs_.size();
      if (polled[0].revents != 0) accept();
      for (std::size_t i = pairs; i-- > 0;) {
        const auto [client, server] = pairs_[i];
        const bool good = (polled[1 + 2 * i].revents == 0 || pass(client, server, false)) &&
                          (polled[2 + 2 * i].revents == 0 || pass(server, client, lose_));
        if (good) continue;
        ::close(client);
        ::close(server);
        pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }

  void accept() {
    const int client = ::accept(listener_, nullptr, nullptr);
    const int server = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      pairs_.emplace_back(client, server);
      return;
    }
    ::close(client);
    ::close(server);
  }

  bool pass(int from, int to, bool lose) {
    char buffer[64 * 1024];
    const ssize_t n = ::recv(from, buffer, sizeof(buffer), 0);
    if (n <= 0) return false;
    if (lose) {
      lost_ += static_cast<std::uint64_t>(n);
      return true;
    }
    return ::send(to, buffer, static_cast<std::size_t>(n), MSG_NOSIGNAL) == n;
  }

  int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> lose_{false};
  std::atomic<std::uint64_t> lost_{0};
  std::vector<std::pair<int, int>> pairs_;
  std::thread thread_;
};

}  // namespace rtpool::test
