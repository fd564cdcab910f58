#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/load/scale_load.h"
#include "bench/main/commands.h"

namespace rtpool::bench {
namespace {

struct ScaleArguments {
  ScaleOptions options;
  std::string contender = "rtpool", json, svg, rtcp = "both";
};

int run(ScaleArguments& arguments) {
  ScaleOptions& options = arguments.options;
  options.contender = contender_of(arguments.contender);
  options.with_mux = arguments.rtcp != "separate";
  options.without_mux = arguments.rtcp != "mux";
  const std::string why = missing(options.contender, options.relay);
  if (!why.empty()) {
    std::cerr << "rtpool-bench: " << arguments.contender << " can't be measured: " << why << '\n';
    return kUsage;
  }
  ScaleResult result;
  {
    ProgressLine line;
    result = run_scale(options, [&line](const std::string& what) { line.show(what); });
  }
  std::cout << scale_table(result);
  const Machine machine = this_machine();
  bool written = true;
  if (!arguments.json.empty()) {
    written = write_file(arguments.json, scale_json(options, result, machine).dump(2) + "\n");
  }
  if (!arguments.svg.empty()) {
    written = write_file(arguments.svg, scale_svg(result, machine)) && written;
  }
  const bool whole = result.problem.empty() && std::ranges::all_of(result.steps, [](const auto& s) {
                       return s.sent > 0 && s.lost == 0 && s.rtcp_lost == 0;
                     });
  return whole && written ? 0 : kProblem;
}

void add_options(CLI::App& command, ScaleArguments& arguments) {
  ScaleOptions& options = arguments.options;
  command.add_option("--max", options.most, "the most calls")
      ->capture_default_str()
      ->check(CLI::Range(1U, 50'000U));
  command
      .add_option("--probe", options.probe,
                  "calls set up and torn down at each step, to see what one more costs")
      ->capture_default_str()
      ->check(CLI::Range(1U, 5000U));
  command
      .add_option("--packets-per-second", options.packets_per_second,
                  "of the sample of media at each step, all calls together")
      ->capture_default_str()
      ->check(CLI::Range(100.0, 100000.0));
  command.add_option("--rtcp", arguments.rtcp, "rtcp-mux, ports of its own for RTCP, or both runs")
      ->capture_default_str()
      ->check(CLI::IsMember({"mux", "separate", "both"}));
  command.add_option("--contender", arguments.contender, "the relay to measure")
      ->capture_default_str()
      ->check(CLI::IsMember(contender_names()));
  command.add_option("--load-core", options.load_core, "core of the load generator; -1: the last")
      ->capture_default_str()
      ->check(CLI::Range(-1, 1023));
  command.add_option("--json", arguments.json, "write the result to this file");
  command.add_option("--svg", arguments.svg, "draw the result into this file");
  add_relay_options(command, options.relay);
}

}  // namespace

Command add_scale(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "scale",
      "Grows one relay from 1 call to many, with media through every call at each step: what one "
      "more call costs to set up, and what each holds in memory. Exit status 0 only if every step "
      "was reached and nothing was lost.\n"
      "Example: rtpool-bench scale --max 10000");
  auto arguments = std::make_shared<ScaleArguments>();
  add_options(*command, *arguments);
  return [arguments] { return run(*arguments); };
}

}  // namespace rtpool::bench
