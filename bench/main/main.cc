// rtpool-bench: telephones and load that measure a relay from outside, knowing nothing of it.
#include <sys/random.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/call_run.h"
#include "bench/call_table.h"
#include "bench/main/commands.h"

namespace rtpool::bench {
namespace {

constexpr Duration kRedrawEvery = std::chrono::milliseconds(250);

struct CallArguments {
  std::string proxy, address = "127.0.0.1", from = "alice", to = "bob";
  double seconds = 10;
  unsigned calls = 1;
  bool register_first = false, json = false;
};

void add_options(CLI::App& command, CallArguments& arguments) {
  command.add_option("--proxy", arguments.proxy, "SIP proxy, UDP, HOST:PORT")->required();
  command.add_option("--from", arguments.from, "the caller's user name")->capture_default_str();
  command.add_option("--to", arguments.to, "the callee's user name")->capture_default_str();
  command.add_option("--seconds", arguments.seconds, "how long they talk")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 86400.0));
  command.add_option("--address", arguments.address, "IP address of both telephones")
      ->capture_default_str();
  command.add_option("--calls", arguments.calls, "calls at once")
      ->capture_default_str()
      ->check(CLI::Range(1U, 4000U));
  command.add_flag("--register", arguments.register_first,
                   "register both first (otherwise only when the proxy answers 404 or 480)");
  command.add_flag("--json", arguments.json, "print the result as JSON and no table");
}

// What the arguments mean; or a sentence that says which one is wrong.
std::optional<CallOptions> interpret(const CallArguments& arguments, std::string& wrong) {
  CallOptions options;
  const auto proxy = Endpoint::parse(arguments.proxy);
  const auto address = IpAddress::parse(arguments.address);
  if (!proxy || proxy->port == 0) {
    wrong = "--proxy: '" + arguments.proxy + "' is not ADDRESS:PORT, as in 127.0.0.1:5060";
  } else if (!address) {
    wrong = "--address: '" + arguments.address + "' is not an IP address";
  } else if (address->family != proxy->address.family) {
    wrong = "--address and --proxy are of different IP versions";
  }
  if (!wrong.empty()) return std::nullopt;
  options.proxy = *proxy;
  options.address = *address;
  options.from = arguments.from;
  options.to = arguments.to;
  options.talk_time = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.seconds * 1e3));
  options.calls = arguments.calls;
  options.register_first = arguments.register_first;
  if (getentropy(&options.seed, sizeof options.seed) != 0) options.seed = 1;
  return options;
}

// Draws the table over the one before.
class LiveTable {
 public:
  explicit LiveTable(const CallOptions& options) : options_(options) {}
  void draw(const RunReport& report) {
    const std::string table = call_table(options_, report, {.colour = true});
    std::string out;
    if (lines_ > 0) out = "\033[" + std::to_string(lines_) + "A\r";
    for (const char c : table) out += c == '\n' ? std::string("\033[K\n") : std::string(1, c);
    lines_ = std::ranges::count(table, '\n');
    std::cout << out << std::flush;
  }

 private:
  const CallOptions& options_;
  std::ptrdiff_t lines_ = 0;
};

int run_call(const CallArguments& arguments) {
  std::string wrong;
  const auto options = interpret(arguments, wrong);
  if (!options) {
    std::cerr << "rtpool-bench: " << wrong << '\n';
    return kUsage;
  }
  std::signal(SIGINT, [](int) { CallRun::interrupt(); });
  std::signal(SIGTERM, [](int) { CallRun::interrupt(); });
  CallRun run(*options);
  LiveTable live(*options);
  const bool terminal = !arguments.json && isatty(STDOUT_FILENO) == 1;
  CallRun::Observer observer;
  if (terminal) observer = [&live](const RunReport& report) { live.draw(report); };
  const RunReport report = run.run(observer, kRedrawEvery);
  if (arguments.json) {
    std::cout << call_json(*options, report).dump(2) << '\n';
  } else if (terminal) {
    live.draw(report);
  } else {
    std::cout << call_table(*options, report, {});
  }
  const bool whole = report.whole();
  if (!arguments.json) {
    std::cout << '\n' << (whole ? "OK: " : "NOT OK: ") << verdict(report) << '\n';
  }
  return whole ? 0 : kProblem;
}

}  // namespace
}  // namespace rtpool::bench

int main(int argc, char** argv) {
  CLI::App app{"Telephones and load that measure a media relay from outside."};
  app.require_subcommand(1);
  rtpool::bench::CallArguments arguments;
  CLI::App* call = app.add_subcommand(
      "call",
      "Two telephones in this program call each other through a SIP proxy, play audio both ways "
      "and "
      "account for every packet. Exit status 0 only if all of it arrived, and from a relay.\n"
      "Example: rtpool-bench call --proxy 127.0.0.1:5060 --seconds 5");
  rtpool::bench::add_options(*call, arguments);
  const auto versus = rtpool::bench::add_versus(app);
  const auto setup = rtpool::bench::add_setup(app);
  const auto scale = rtpool::bench::add_scale(app);
  try {
    app.parse(argc, argv);
    if (app.got_subcommand("versus")) return versus();
    if (app.got_subcommand("setup")) return setup();
    if (app.got_subcommand("scale")) return scale();
    return rtpool::bench::run_call(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : rtpool::bench::kUsage;
  } catch (const std::exception& error) {
    std::cerr << "rtpool-bench: " << error.what() << '\n';
    return rtpool::bench::kProblem;
  }
}
