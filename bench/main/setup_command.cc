#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/load/setup_load.h"
#include "bench/main/commands.h"

namespace rtpool::bench {
namespace {

struct SetupArguments {
  SetupOptions options;
  std::string contender = "rtpool", json;
  bool separate_rtcp = false;
};

int run(SetupArguments& arguments) {
  SetupOptions& options = arguments.options;
  options.contender = contender_of(arguments.contender);
  options.rtcp_mux = !arguments.separate_rtcp;
  const std::string why = missing(options.contender, options.relay);
  if (!why.empty()) {
    std::cerr << "rtpool-bench: " << arguments.contender << " can't be measured: " << why << '\n';
    return kUsage;
  }
  SetupResult result;
  {
    ProgressLine line;
    result = run_setup(options, [&line](const std::string& what) { line.show(what); });
  }
  std::cout << setup_table(options, result);
  const bool written =
      arguments.json.empty() ||
      write_file(arguments.json, setup_json(options, result, this_machine()).dump(2) + "\n");
  return written && result.failed == 0 && result.over > 0 && result.media.lost() == 0 ? 0
                                                                                      : kProblem;
}

void add_options(CLI::App& command, SetupArguments& arguments) {
  SetupOptions& options = arguments.options;
  // At thousands of calls a second there are not ports enough to let each rest for seconds.
  options.relay.port_rest_ms = 100;
  command.add_option("--rate", options.rate, "calls begun a second, whatever the relay does")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 100000.0));
  auto* saturate = command.add_flag(
      "--saturate", options.saturate,
      "as many calls a second as the relay takes, --outstanding at a time, deleted at once");
  command.add_option("--outstanding", options.outstanding, "calls at a time under --saturate")
      ->capture_default_str()
      ->needs(saturate)
      ->check(CLI::Range(1U, 10000U));
  command.add_option("--seconds", options.seconds, "how long is counted")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  command.add_option("--hold", options.hold, "seconds from a call's answer to its delete")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  command
      .add_option("--calls", options.standing,
                  "calls that stand beside, with 50 packets/s from each of their telephones")
      ->capture_default_str()
      ->check(CLI::Range(0U, 4000U));
  command.add_option("--contender", arguments.contender, "the relay to measure")
      ->capture_default_str()
      ->check(CLI::IsMember(contender_names()));
  command
      .add_option("--port-rest-ms", options.relay.port_rest_ms,
                  "rtpool's --port-rest in milliseconds")
      ->capture_default_str()
      ->check(CLI::Range(100U, 60000U));
  command.add_option("--load-core", options.load_core, "core of the load generator; -1: the last")
      ->capture_default_str()
      ->check(CLI::Range(-1, 1023));
  command.add_flag("--separate-rtcp", arguments.separate_rtcp, "no rtcp-mux: two ports a party");
  command.add_option("--json", arguments.json, "write the result to this file");
  add_relay_options(command, options.relay);
}

}  // namespace

Command add_setup(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "setup",
      "Sets calls up and tears them down through NG against a relay that it starts: how long each "
      "reply takes, how many calls a second it takes, and what one costs. Exit status 0 only if "
      "no call failed.\n"
      "Example: rtpool-bench setup --rate 500 --seconds 10 --calls 400");
  auto arguments = std::make_shared<SetupArguments>();
  add_options(*command, *arguments);
  return [arguments] { return run(*arguments); };
}

}  // namespace rtpool::bench
