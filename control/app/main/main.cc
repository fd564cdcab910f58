// The program `rtpool`: reads the command line and runs what it says. Exceptions of starting up end
// here.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "control/app/config.h"
#include "control/app/operator/commands.h"
#include "control/app/roles/program.h"
#include "control/app/version.h"
#include "pool/tls_context.h"

namespace {

using rtpool::control::Command;

constexpr int kUsageStatus = 2;

// The command's words for the beginning of an error's line: `rtpool serve: …`.
std::string name_of(const std::vector<std::string>& arguments) {
  std::string name = "rtpool";
  for (std::size_t i = 0; i < 2 && i < arguments.size(); ++i) {
    const bool second = i == 1 && arguments[0] != "pool" && arguments[0] != "call";
    if (arguments[i].rfind('-', 0) == 0 || arguments[i].size() >= 20 || second) break;
    name += " " + arguments[i];
  }
  return name;
}

// The operator's commands; the roles open theirs when they start.
rtpool::Result<void> open_client_tls(rtpool::control::Options& options) {
  const bool is_client = rtpool::control::is_operator_command(options.command);
  if (!is_client || options.tls_files == rtpool::pool::TlsFiles{}) return {};
  auto opened = rtpool::pool::TlsContext::open({.files = options.tls_files});
  if (!opened) return opened.error();
  options.client.tls = std::move(*opened);
  return {};
}

int run(const std::vector<std::string>& arguments) {
  auto options = rtpool::control::parse_command_line(arguments);
  if (!options) {
    std::fprintf(stderr, "%s: %s\n", name_of(arguments).c_str(), options.error().detail.c_str());
    return kUsageStatus;
  }
  if (auto opened = open_client_tls(*options); !opened) {
    std::fprintf(stderr, "%s: %s\n", name_of(arguments).c_str(), opened.error().detail.c_str());
    return 1;
  }
  switch (options->command) {
    case Command::help:
      std::printf("%s", options->help.c_str());
      return 0;
    case Command::version:
      std::printf("rtpool %s\n", rtpool::control::kVersion);
      return 0;
    case Command::pool_list:
    case Command::pool_show:
    case Command::pool_watch:
    case Command::call_list:
    case Command::call_show:
    case Command::call_explain:
    case Command::drain:
    case Command::undrain:
      return rtpool::control::run_operator_command(options->command, options->client);
    case Command::registrar:
    case Command::relay:
    case Command::controller:
    case Command::serve:
      return rtpool::control::run_program(std::move(*options));
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  // gRPC writes lines of its own to stderr for errors that are reported anyway; they would break
  // the log's format.
  ::setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    return run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "rtpool: %s\n", wrong.what());
    return 1;
  }
}
