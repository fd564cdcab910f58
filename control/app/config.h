// What the program was asked to do: a command and its options, from the command line and the
// configuration file.
//
// Options are plain values with their defaults here; config.cc holds the one table of them
// (option.h). Everything is checked before anything is started. Errors have AppErrc::usage and a
// detail that is one whole line for people.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/app/log.h"
#include "control/app/option.h"
#include "pool/client.h"
#include "pool/tls_files.h"
#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/engine.h"

namespace rtpool::control {

enum class Command : std::uint8_t {
  registrar,
  relay,
  controller,
  serve,
  pool_list,
  pool_show,
  pool_watch,
  call_list,
  call_show,
  call_explain,
  drain,
  undrain,
  version,
  help
};

inline constexpr Endpoint loopback(std::uint16_t port) {
  return {IpAddress::v4(127, 0, 0, 1), port};
}

struct RegistrarOptions {
  Endpoint listen = loopback(7400);
  bool listen_given =
      false;  // a default may be replaced by a free port where `serve` finds it busy
  std::string store = "memory";
  Duration heartbeat_interval = std::chrono::milliseconds(50);
  std::uint32_t missed_heartbeats = 3;
  Duration fence = std::chrono::milliseconds(20);
  Duration settle_time = std::chrono::seconds(1);
  std::uint32_t flap_returns = 2;
  Duration flap_hold = std::chrono::seconds(60);
  Duration flap_quiet = std::chrono::seconds(60);
  std::shared_ptr<const pool::TlsContext> tls;  // none: plaintext; so in the others
};

struct RelayOptions {
  std::string id;  // never empty after parse_command_line(): the host's name by default
  std::string pool = "media";
  std::vector<std::string> registrars{"127.0.0.1:7400"};
  Endpoint listen = loopback(7410);
  bool listen_given = false;
  std::string advertise;  // what controllers connect to; empty: the listen address
  std::string policy = "least-used-degradation";
  std::uint32_t weight = 1;
  std::uint32_t priority = 0;
  std::string zone;
  EngineOptions engine;  // media_addresses never empty after parse_command_line()
  std::shared_ptr<const pool::TlsContext> tls;
};

struct ControllerOptions {
  std::string pool = "media";
  std::vector<std::string> registrars{"127.0.0.1:7400"};
  Endpoint ng = loopback(2223);
  std::string zone;
  Duration setup_timeout = std::chrono::minutes(3);
  Duration media_timeout = std::chrono::minutes(5);
  Duration max_call_duration = std::chrono::hours(12);
  std::uint32_t max_calls = 10'000;
  std::shared_ptr<const pool::TlsContext> tls;
};

// Of the operator's commands.
struct ClientOptions {
  std::string subject;  // POOL, CALL-ID or NAME, whichever the command takes
  std::string http = "127.0.0.1:7480";
  std::string pool;   // empty: all
  std::string relay;  // empty: all
  std::vector<std::string> registrars{"127.0.0.1:7400"};
  std::uint32_t limit = 10'000;  // calls listed
  std::optional<Endpoint> from;  // of the imagined packet; set after parse_command_line()
  std::uint16_t to_port = 0;     // 0: any
  bool wait = false;             // until a drained relay has no calls
  Duration timeout{};            // of that; 0: as long as it takes
  bool json = false;
  std::shared_ptr<const pool::TlsContext> tls;
};

struct Options {
  Command command = Command::help;
  std::string help;  // the text to print, for Command::help
  std::string config_file;
  LogOptions log;
  bool log_level_by_flag = false;  // then the file's does not count
  std::optional<Endpoint> http = loopback(7480);
  bool insecure = false;
  pool::TlsFiles tls_files;  // all empty: no TLS; opened by main
  bool media_address_defaulted = false;
  RegistrarOptions registrar;
  RelayOptions relay;
  ControllerOptions controller;
  ClientOptions client;
};

// `arguments` without the program's name. Reads the configuration file where one is named.
Result<Options> parse_command_line(const std::vector<std::string>& arguments);

// Reads the log level again from the configuration file, if there is one and it names one (SIGHUP).
// An error leaves everything as it is.
Result<Severity> reload_log_level(const Options& options);

// The options that the command has, over `options`: for printing what is in force.
std::vector<Option> option_table(Options& options, Command command);

// The commands that ask a running fleet, print and end.
bool is_operator_command(Command command);

std::string_view to_string(Command command);

}  // namespace rtpool::control
