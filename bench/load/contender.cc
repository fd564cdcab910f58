#include "bench/load/contender.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <stdexcept>

#include "bench/load/calls.h"
#include "bench/load/ng_client.h"
#include "bench/load/telephones.h"
#include "bench/net.h"

namespace rtpool::bench {
namespace {

const IpAddress kControlAddress = IpAddress::v4(127, 0, 0, 1);
const char* const kMediaAddress = "127.0.0.2";
constexpr unsigned kLowestPort = 4096, kHighestPort = 63999;
constexpr std::size_t kHelpBytes = 1 << 16;
constexpr std::int64_t kReadyNs = 15'000'000'000;

// A UDP or TCP port that is free now; another process may take it before the relay does, which
// then says so.
std::uint16_t free_port(int kind) {
  const int probe = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
  sockaddr_storage storage{};
  const socklen_t length = Endpoint{kControlAddress, 0}.to_sockaddr(storage);
  const bool bound = probe >= 0 && bind(probe, reinterpret_cast<sockaddr*>(&storage), length) == 0;
  const std::uint16_t port = bound ? bound_port(probe) : 0;
  if (probe >= 0) close(probe);
  if (port == 0) throw std::runtime_error("no free port on 127.0.0.1");
  return port;
}

std::string here(std::uint16_t port) {
  return Endpoint{kControlAddress, port}.to_string();
}

bool runs(const std::vector<std::string>& command, std::string& output) {
  try {
    Process process(command, -1);
    while (process.running()) usleep(2000);
    output = process.output_tail(kHelpBytes);
    return true;
  } catch (const std::exception& error) {
    output = error.what();
    return false;
  }
}

// Whether this build has an option; older ones, to compare with, may not.
bool has_option(const std::string& program, const std::string& option) {
  std::string help;
  return runs({program, "relay", "--help"}, help) && help.find(option + " ") != std::string::npos;
}

std::vector<std::string> rtpool_command(Contender contender, const ContenderOptions& options,
                                        const Endpoint& ng) {
  std::vector<std::string> command{
      contender == Contender::baseline ? options.baseline_rtpool : options.rtpool,
      "serve",
      "--ng=" + ng.to_string(),
      "--http=" + here(free_port(SOCK_STREAM)),
      "--relay-listen=127.0.0.1:0",
      "--registrar-listen=127.0.0.1:0",
      std::string("--media-address=") + kMediaAddress,
      "--media-ports=" + std::to_string(kLowestPort) + "-" + std::to_string(kHighestPort),
      "--shards=" + std::to_string(options.threads),
      "--max-calls=" + std::to_string(options.calls),
      "--port-rest=" + std::to_string(options.port_rest_ms) + "ms"};
  if (contender == Contender::epoll) {
    command.insert(command.end(), {"--io=epoll", "--batch-window=0"});
    if (has_option(command.front(), "--connected-sends")) {
      command.emplace_back("--connected-sends=off");
    }
  } else if (has_option(command.front(), "--io")) {
    command.emplace_back("--io=uring");  // never measured as something else
  }
  const auto& added = options.rtpool_arguments;
  // What a relay carries at its end can't be measured on one that refuses calls before it; builds
  // to compare with may not know the option.
  const bool limited = std::ranges::any_of(
      added, [](const std::string& argument) { return argument.starts_with("--max-cpu"); });
  if (!limited && contender != Contender::baseline) command.emplace_back("--max-cpu=0");
  command.insert(command.end(), added.begin(), added.end());
  return command;
}

std::vector<std::string> rtpengine_command(const ContenderOptions& options, const Endpoint& ng) {
  // Its configuration file is left out: Debian's asks for the kernel module.
  std::vector<std::string> command{options.rtpengine,
                                   "--config-file=none",
                                   "--table=-1",
                                   "--foreground",
                                   "--log-stderr",
                                   std::string("--interface=") + kMediaAddress,
                                   "--listen-ng=" + ng.to_string(),
                                   "--port-min=" + std::to_string(kLowestPort),
                                   "--port-max=" + std::to_string(kHighestPort),
                                   "--num-threads=" + std::to_string(options.threads)};
  command.insert(command.end(), options.rtpengine_arguments.begin(),
                 options.rtpengine_arguments.end());
  return command;
}

}  // namespace

const char* name_of(Contender contender) {
  constexpr std::array<const char*, 4> kNames{"rtpool", "epoll", "baseline", "rtpengine"};
  return kNames[static_cast<std::size_t>(contender)];
}

const std::vector<Contender>& all_contenders() {
  static const std::vector<Contender> kAll{Contender::rtpool, Contender::epoll, Contender::baseline,
                                           Contender::rtpengine};
  return kAll;
}

std::vector<std::string> contender_names() {
  std::vector<std::string> names;
  for (const Contender contender : all_contenders()) names.emplace_back(name_of(contender));
  return names;
}

Contender contender_of(const std::string& name) {
  for (const Contender contender : all_contenders()) {
    if (name == name_of(contender)) return contender;
  }
  throw std::runtime_error("no relay is called '" + name + "'");
}

std::string beside_this_program(const std::string& name) {
  std::error_code unknown;
  return (std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path() / name).string();
}

std::string missing(Contender contender, const ContenderOptions& options) {
  std::string output;
  if (contender == Contender::rtpengine) {
    if (runs({options.rtpengine, "--version"}, output)) return "";
    return output + " (Debian: deploy/install-deps bench)";
  }
  const std::string& program =
      contender == Contender::baseline ? options.baseline_rtpool : options.rtpool;
  if (!runs({program, "relay", "--help"}, output)) return output;
  if (contender == Contender::epoll && !has_option(program, "--io")) {
    return program + " has no option --io";
  }
  return "";
}

RunningRelay::RunningRelay(Contender contender, const ContenderOptions& options)
    : contender_(contender), ng_{kControlAddress, free_port(SOCK_DGRAM)} {
  const auto command = contender == Contender::rtpengine ? rtpengine_command(options, ng_)
                                                         : rtpool_command(contender, options, ng_);
  process_ = std::make_unique<Process>(command, options.core);
  wait_until_ready();
}

// It is ready when it agrees to a call, not when it answers a ping: its own relay may have to
// join its pool first.
void RunningRelay::wait_until_ready() {
  const std::int64_t until = wall_ns() + kReadyNs;
  Telephones telephones({.calls = 1});
  std::string problem = "it does not answer on " + ng_.to_string();
  while (process_->running() && wall_ns() < until) {
    NgClient ng(ng_, ng::Encoding::bencode, static_cast<std::uint64_t>(wall_ns()));
    const auto pong = ng.ask(ng::Value::dictionary({{"command", "ping"}}), 100'000'000);
    if (!pong.timed_out) {
      Calls calls(ng, telephones, static_cast<std::uint64_t>(wall_ns()), true);
      if (calls.set_up(0, 1, 1) && calls.tear_down(0, 1, 1)) return;
      problem = calls.problem();
    }
    usleep(20'000);
  }
  if (!process_->running()) problem = "it ended";
  throw std::runtime_error(std::string(name_of(contender_)) + " did not become ready: " + problem +
                           "\n" + process_->output_tail());
}

}  // namespace rtpool::bench
