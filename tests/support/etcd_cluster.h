// A real etcd cluster of one or more members on free loopback ports, for tests: data in a folder of
// its own, elections within a fraction of a second. Members are frozen, killed and started again by
// their number; all of them end with the test.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace rtpool::test {

inline int free_tcp_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

// The body of an HTTP/1.0 exchange with 127.0.0.1:PORT; empty when there is none.
inline std::string http_exchange(int port, const std::string& request_line,
                                 const std::string& body = {}) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = request_line + " HTTP/1.0\r\nHost: localhost\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n" + body;
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char buffer[16 * 1024];
      for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;)
        answer.append(buffer, static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  const auto head = answer.find("\r\n\r\n");
  return head == std::string::npos ? std::string() : answer.substr(head + 4);
}

class EtcdCluster {
 public:
  struct Options {
    int members = 1;
    std::vector<std::string> more;  // further arguments of each etcd
    bool tls = false;               // its clients speak TLS, as `more` says
  };

  explicit EtcdCluster(int members) : EtcdCluster(Options{.members = members}) {}
  explicit EtcdCluster(Options options) : options_(std::move(options)) {
    std::string folder = std::filesystem::temp_directory_path() / "rtpool-etcd-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    for (int i = 0; i < options_.members; ++i) {
      members_.push_back({.client = free_tcp_port(), .peer = free_tcp_port()});
      members_.back().metrics = free_tcp_port();
    }
    for (std::size_t i = 0; i < members_.size(); ++i) start(i);
  }
  ~EtcdCluster() {
    for (std::size_t i = 0; i < members_.size(); ++i) kill(i);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;

  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] int port(std::size_t i) const { return members_[i].client; }
  [[nodiscard]] std::string endpoint(std::size_t i) const {
    return "127.0.0.1:" + std::to_string(members_[i].client);
  }
  [[nodiscard]] std::string url(const std::string& settings = {}) const {
    std::string text = "etcd://";
    for (std::size_t i = 0; i < size(); ++i) text += (i == 0 ? "" : ",") + endpoint(i);
    return text + settings;
  }

  void start(std::size_t i) {
    if (members_[i].pid > 0) return;
    std::vector<std::string> arguments = command(i);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      const std::string log = folder_ / ("log" + std::to_string(i));
      if (std::freopen(log.c_str(), "a", stderr) == nullptr) ::_exit(126);
      ::execvp("etcd", argv.data());
      ::_exit(127);
    }
    members_[i].pid = pid;
  }
  void kill(std::size_t i) {
    if (members_[i].pid <= 0) return;
    ::kill(members_[i].pid, SIGKILL);
    ::waitpid(members_[i].pid, nullptr, 0);
    members_[i].pid = -1;
  }
  // Returns once all of its threads stand still.
  void freeze(std::size_t i) const {
    ::kill(members_[i].pid, SIGSTOP);
    ::waitpid(members_[i].pid, nullptr, WUNTRACED);
  }
  void thaw(std::size_t i) const { ::kill(members_[i].pid, SIGCONT); }

  // The value of a metric that a member counts; -1 where it does not tell.
  [[nodiscard]] double metric(std::size_t i, const std::string& name) const {
    const std::string page = http_exchange(members_[i].metrics, "GET /metrics");
    const auto at = page.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::atof(page.c_str() + at + name.size() + 2);
  }

  // Who leads by its own word; waits for one that most members follow.
  [[nodiscard]] std::optional<std::size_t> wait_leader(
      std::chrono::milliseconds timeout = std::chrono::seconds(20)) const {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (std::chrono::steady_clock::now() < deadline) {
      for (std::size_t i = 0; i < size(); ++i) {
        if (members_[i].pid <= 0) continue;
        if (metric(i, "etcd_server_is_leader") == 1) return i;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return std::nullopt;
  }

 private:
  struct Member {
    int client = 0;
    int peer = 0;
    int metrics = 0;
    pid_t pid = -1;
  };

  [[nodiscard]] std::vector<std::string> command(std::size_t i) const {
    const auto local = [](int port) { return "http://127.0.0.1:" + std::to_string(port); };
    const std::string name = "m" + std::to_string(i);
    const std::string client =
        (options_.tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port(i));
    std::string all;
    for (std::size_t n = 0; n < size(); ++n) {
      all += (n == 0 ? "" : ",") + ("m" + std::to_string(n)) + "=" + local(members_[n].peer);
    }
    std::vector<std::string> arguments{"etcd",
                                       "--name=" + name,
                                       "--data-dir=" + (folder_ / name).string(),
                                       "--listen-client-urls=" + client,
                                       "--advertise-client-urls=" + client,
                                       "--listen-peer-urls=" + local(members_[i].peer),
                                       "--initial-advertise-peer-urls=" + local(members_[i].peer),
                                       "--listen-metrics-urls=" + local(members_[i].metrics),
                                       "--initial-cluster=" + all,
                                       "--initial-cluster-state=new",
                                       "--heartbeat-interval=20",
                                       "--election-timeout=200",
                                       "--logger=zap",
                                       "--log-outputs=stderr"};
    arguments.insert(arguments.end(), options_.more.begin(), options_.more.end());
    return arguments;
  }

  Options options_;
  std::filesystem::path folder_;
  std::vector<Member> members_;
};

}  // namespace rtpool::test
