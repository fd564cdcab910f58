// registrar-bench: what one registrar bears over gRPC on this machine, client and server sharing
// its cores. The registrar runs in a process of its own, which this program starts, and so do the
// elements that only stay.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/registrar/load.h"
#include "pool/registrar_service.h"
#include "pool/tls_context.h"

namespace rtpool::bench {
namespace {

struct Arguments {
  double seconds = 5;
  unsigned in_flight = 64;
  bool json = false;
  std::string tls;  // a folder; empty: plaintext
};

// The certificate of FOLDER, which holds every role; none for an empty name.
std::shared_ptr<const pool::TlsContext> open_tls(const std::string& folder) {
  if (folder.empty()) return nullptr;
  pool::TlsContext::Options options;
  options.files = {.certificate = folder + "/bench.pem",
                   .key = folder + "/bench.key",
                   .authority = folder + "/authority.pem"};
  auto opened = pool::TlsContext::open(std::move(options));
  if (!opened) throw std::runtime_error("--tls: " + opened.error().message());
  return *opened;
}

// This program again, in a child process that ends with this one: gRPC does not survive a fork, and
// what clients cost each other is not the registrar's.
class Child {
 public:
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // `arguments`: what it is, and what that takes; the descriptor to report on comes last.
  explicit Child(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
    arguments.insert(arguments.begin(), "registrar-bench");
    arguments.push_back(std::to_string(ends[1]));
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execv("/proc/self/exe", argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    in_ = ends[0];
  }
  ~Child() {
    kill();
    ::close(in_);
  }
  // The next number that it reports.
  [[nodiscard]] std::uint32_t next() const {
    std::uint32_t number = 0;
    if (::read(in_, &number, sizeof number) != sizeof number) {
      throw std::runtime_error("a child process did not start");
    }
    return number;
  }
  void kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int in_ = -1;
};

void tell(int out, std::uint32_t number) {
  if (::write(out, &number, sizeof number) != sizeof number) ::_exit(1);
}

constexpr std::string_view kServe = "--serve", kPopulate = "--populate";

// --serve TLS OUT: a registrar that expects a heartbeat a second.
[[noreturn]] void serve(const std::string& tls, int out) {
  pool::RegistrarServer::Options options;
  options.listen = "127.0.0.1:0";
  options.core.heartbeat_interval = std::chrono::seconds(1);
  options.tls = open_tls(tls);
  auto server = pool::RegistrarServer::start(std::move(options));
  if (!server) ::_exit(1);
  tell(out, (*server)->port());
  for (;;) ::pause();
}

// --populate TLS REGISTRAR POOLS ELEMENTS OUT: says how many are registered, and keeps them so.
[[noreturn]] void populate(char** argv) {
  const int out = std::atoi(argv[6]);
  Population population({.registrar = argv[3], .tls = open_tls(argv[2])},
                        {.pools = static_cast<unsigned>(std::atoi(argv[4])),
                         .elements = static_cast<unsigned>(std::atoi(argv[5]))});
  unsigned registered = 0;
  population.wait_registered(60, &registered);
  tell(out, registered);
  for (;;) ::pause();
}

class OwnRegistrar {
 public:
  explicit OwnRegistrar(const Arguments& arguments) : child_({std::string(kServe), arguments.tls}) {
    target_.registrar = "127.0.0.1:" + std::to_string(child_.next());
    target_.tls = open_tls(arguments.tls);
  }
  [[nodiscard]] const LoadTarget& target() const { return target_; }

 private:
  Child child_;
  LoadTarget target_;
};

class OwnPopulation {
 public:
  OwnPopulation(const Arguments& arguments, const LoadTarget& target, unsigned pools,
                unsigned elements)
      : child_({std::string(kPopulate), arguments.tls, target.registrar, std::to_string(pools),
                std::to_string(elements)}),
        registered_(child_.next()) {}
  [[nodiscard]] unsigned registered() const { return registered_; }
  void kill() { child_.kill(); }

 private:
  Child child_;
  unsigned registered_;
};

struct Row {
  std::string what;
  std::string goal;
  LoadResult result;
  std::optional<double> value;  // instead of the rate
  std::string unit = "/s";
};

struct Report {
  std::vector<Row> rows;
  bool json = false;

  void add(Row row) {
    if (!json) print(row);
    rows.push_back(std::move(row));
  }
  static void print_head() {
    std::printf("%-62s %12s  %9s %9s %8s  %s\n", "what", "figure", "p50 us", "p99 us", "failed",
                "asked");
  }
  static void print(const Row& row) {
    char figure[32];
    std::snprintf(figure, sizeof figure, "%.0f %s", row.value.value_or(row.result.per_second()),
                  row.unit.c_str());
    std::printf("%-62s %12s  %9u %9u %8llu  %s\n", row.what.c_str(), figure,
                row.result.quantile_us(0.5), row.result.quantile_us(0.99),
                static_cast<unsigned long long>(row.result.failed), row.goal.c_str());
    if (row.result.failed > 0) {
      std::printf("    first failure: %s\n", row.result.first_error.c_str());
    }
    std::fflush(stdout);
  }
  [[nodiscard]] nlohmann::json to_json() const {
    auto all = nlohmann::json::array();
    for (const Row& row : rows) {
      all.push_back({{"what", row.what},
                     {"figure", row.value.value_or(row.result.per_second())},
                     {"unit", row.unit},
                     {"p50_us", row.result.quantile_us(0.5)},
                     {"p99_us", row.result.quantile_us(0.99)},
                     {"done", row.result.done},
                     {"failed", row.result.failed},
                     {"asked", row.goal}});
    }
    return all;
  }
};

void bench_resolve(const Arguments& arguments, Report& report) {
  const OwnRegistrar own(arguments);
  const LoadTarget& target = own.target();
  const OwnPopulation population(arguments, target, 1, 100);
  report.add({.what = "resolve, pool of 100, " + std::to_string(arguments.in_flight) + " at a time",
              .goal = arguments.tls.empty() ? ">= 30,000/s" : ">= 20,000/s",
              .result = resolve(target, 1, arguments.in_flight, 0, arguments.seconds)});
  report.add({.what = "resolve, pool of 100, one at a time",
              .result = resolve(target, 1, 1, 0, arguments.seconds)});
}

void bench_register(const Arguments& arguments, Report& report) {
  {
    const OwnRegistrar own(arguments);
    report.add({.what = "registration again, " + std::to_string(arguments.in_flight) + " streams",
                .goal = ">= 30,000/s",
                .result = renew(own.target(), arguments.in_flight, arguments.seconds)});
  }
  const OwnRegistrar own(arguments);
  report.add({.what = "registration of a new element on a new stream, 64 at a time",
              .result = register_new(own.target(), 64, arguments.seconds)});
}

void bench_watch(const Arguments& arguments, Report& report) {
  const OwnRegistrar own(arguments);
  report.add({.what = "order to drain -> view of each of 100 subscribers, 100 changes",
              .goal = "p99 <= 5,000 us",
              .result = watch(own.target(), 100, 100),
              .unit = "seen/s"});
}

void bench_hold(const Arguments& arguments, Report& report) {
  const OwnRegistrar own(arguments);
  const LoadTarget& target = own.target();
  const auto began = std::chrono::steady_clock::now();
  const auto since = [](auto then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
  };
  OwnPopulation population(arguments, target, 100, 10'000);
  Row filled{.what = "10,000 elements in 100 pools: all registered after",
             .value = since(began) * 1000,
             .unit = "ms"};
  filled.result.done = population.registered();
  filled.result.failed = 10'000 - population.registered();
  report.add(std::move(filled));
  const auto full = resolve(target, 100, arguments.in_flight, 0, arguments.seconds);
  report.add({.what = "  resolve at full load, a heartbeat a second from each", .result = full});
  report.add({.what = "  resolve at half that load",
              .goal = "p99 <= 1,000 us",
              .result = resolve(target, 100, 0, full.per_second() / 2, arguments.seconds)});
  Row held{.what = "  elements still there",
           .value = static_cast<double>(count_elements(target)),
           .unit = ""};
  held.result.failed = static_cast<std::uint64_t>(10'000 - *held.value);
  report.add(std::move(held));
  const auto dropped = std::chrono::steady_clock::now();
  population.kill();
  long left = count_elements(target);
  while (left != 0 && since(dropped) < 30) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    left = count_elements(target);
  }
  const double took = since(dropped);
  Row gone{.what = "  their process is killed: none is left after",
           .goal = "<= 1,000 ms",
           .value = took * 1000,
           .unit = "ms"};
  gone.result.failed = static_cast<std::uint64_t>(left < 0 ? 10'000 : left);
  report.add(std::move(gone));
}

}  // namespace
}  // namespace rtpool::bench

int main(int argc, char** argv) {
  using namespace rtpool::bench;  // NOLINT
  if (argc == 4 && argv[1] == kServe) serve(argv[2], std::atoi(argv[3]));
  if (argc == 7 && argv[1] == kPopulate) populate(argv);
  CLI::App app{
      "What one registrar bears over gRPC, client and server sharing this machine's cores.\n"
      "Example: registrar-bench resolve --seconds 5"};
  Arguments arguments;
  using Bench = void (*)(const Arguments&, Report&);
  const std::vector<std::pair<std::string, Bench>> benches{{"resolve", bench_resolve},
                                                           {"register", bench_register},
                                                           {"watch", bench_watch},
                                                           {"hold", bench_hold}};
  std::vector<std::string> wanted;
  app.add_option("what", wanted, "resolve, register, watch, hold; all of them when none is named")
      ->check(CLI::IsMember({"resolve", "register", "watch", "hold"}));
  app.add_option("--seconds", arguments.seconds, "of each measurement")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 600.0));
  app.add_option("--in-flight", arguments.in_flight, "requests at a time")
      ->capture_default_str()
      ->check(CLI::Range(1U, 10'000U));
  app.add_option(
      "--tls", arguments.tls,
      "mutual TLS with the certificate of this folder, as this makes it: make-certificates "
      "FOLDER bench=registrar,relay,controller,operator");
  app.add_flag("--json", arguments.json, "print the result as JSON and no table");
  CLI11_PARSE(app, argc, argv);
  Report report{.json = arguments.json};
  try {
    if (!report.json) Report::print_head();
    for (const auto& [name, bench] : benches) {
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end()) {
        bench(arguments, report);
      }
    }
  } catch (const std::exception& error) {
    std::cerr << "registrar-bench: " << error.what() << '\n';
    return 1;
  }
  if (report.json) std::cout << report.to_json().dump(2) << '\n';
  std::uint64_t failed = 0;
  for (const Row& row : report.rows) failed += row.result.failed;
  return failed == 0 ? 0 : 1;
}
