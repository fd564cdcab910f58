#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/load/versus.h"
#include "bench/load/versus_report.h"
#include "bench/main/commands.h"

namespace rtpool::bench {
namespace {

struct VersusArguments {
  VersusOptions options;
  std::vector<std::string> opponents{"rtpengine"};
  std::vector<std::string> only;
  std::string json, svg;
  bool saturate = false, find_limit = false, separate_rtcp = false;
};

// Those that take part, without those that can't here, each with a sentence.
std::vector<Contender> choose(const VersusArguments& arguments) {
  std::vector<std::string> wanted = arguments.only;
  if (wanted.empty()) {
    wanted = arguments.opponents;
    wanted.insert(wanted.end(), {"rtpool", "epoll"});
    if (!arguments.options.relay.baseline_rtpool.empty()) wanted.emplace_back("baseline");
  }
  std::vector<Contender> chosen;
  for (const Contender contender : all_contenders()) {
    if (std::ranges::find(wanted, name_of(contender)) == wanted.end()) continue;
    const std::string why = missing(contender, arguments.options.relay);
    if (why.empty()) {
      chosen.push_back(contender);
    } else {
      std::cerr << "rtpool-bench: " << name_of(contender) << " is left out: " << why << '\n';
    }
  }
  return chosen;
}

int run(VersusArguments& arguments) {
  VersusOptions& options = arguments.options;
  options.contenders = choose(arguments);
  options.rtcp_mux = !arguments.separate_rtcp;
  if (arguments.saturate) options.load = LoadKind::saturate;
  if (arguments.find_limit) options.load = LoadKind::find_limit;
  options.most_calls = std::max(options.most_calls, options.calls);
  if (options.contenders.empty()) {
    std::cerr << "rtpool-bench: no relay is left to measure\n";
    return kUsage;
  }
  std::vector<Round> rounds;
  {
    ProgressLine line;
    rounds = run_versus(options, [&line](const std::string& what) { line.show(what); });
  }
  std::cout << versus_table(options, rounds);
  const Machine machine = this_machine();
  bool written = true;
  if (!arguments.json.empty()) {
    written = write_file(arguments.json, versus_json(options, rounds, machine).dump(2) + "\n");
  }
  if (!arguments.svg.empty()) {
    written = write_file(arguments.svg, versus_svg(options, rounds, machine)) && written;
  }
  const bool whole = std::ranges::all_of(
      rounds, [](const Round& round) { return round.lost == 0 && round.sent > 0; });
  return whole && written ? 0 : kProblem;
}

void add_options(CLI::App& command, VersusArguments& arguments) {
  VersusOptions& options = arguments.options;
  command
      .add_option("opponent", arguments.opponents,
                  "whom to compare with, beside rtpool's own plain epoll engine: " +
                      std::string(name_of(Contender::rtpengine)))
      ->check(CLI::IsMember({name_of(Contender::rtpengine)}));
  command.add_option("--only", arguments.only, "measure these alone, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember(contender_names()));
  command
      .add_option("--calls", options.calls,
                  "calls of two telephones; each telephone sends 50 packets/s")
      ->capture_default_str()
      ->check(CLI::Range(1U, 9000U));
  command.add_option("--seconds", options.seconds, "how long is counted in each round")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  command
      .add_option("--warm-up", options.warm_up,
                  "seconds of media before the count, in which relays learn addresses")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 60.0));
  command.add_option("--rounds", options.rounds, "rounds of all in turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command.add_option("--load-core", options.load_core, "core of the load generator; -1: the last")
      ->capture_default_str()
      ->check(CLI::Range(-1, 1023));
  command.add_flag("--separate-rtcp", arguments.separate_rtcp, "no rtcp-mux: two ports a party");
  auto* saturate = command.add_flag("--saturate", arguments.saturate,
                                    "send as fast as the relay forwards, not 50 packets/s");
  command.add_option("--in-flight", options.in_flight, "packets of each stream under --saturate")
      ->capture_default_str()
      ->check(CLI::Range(1U, 64U));
  command
      .add_flag("--find-limit", arguments.find_limit,
                "find the most calls that lose no packet, from --calls on")
      ->excludes(saturate);
  command.add_option("--most-calls", options.most_calls, "that --find-limit tries")
      ->capture_default_str()
      ->check(CLI::Range(1U, 9000U));
  command.add_option("--json", arguments.json, "write every round and the summary to this file");
  command.add_option("--svg", arguments.svg, "draw the result into this file");
  add_relay_options(command, options.relay);
}

}  // namespace

Command add_versus(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "versus",
      "Starts relays in turn on loopback, sends the same calls and media through each, and "
      "compares what a packet costs, how long it takes and whether it arrives. Exit status 0 only "
      "if no packet was lost.\n"
      "Example: rtpool-bench versus rtpengine --calls 400 --seconds 10 --rounds 5");
  auto arguments = std::make_shared<VersusArguments>();
  add_options(*command, *arguments);
  return [arguments] { return run(*arguments); };
}

}  // namespace rtpool::bench
