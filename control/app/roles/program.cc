#include "control/app/roles/program.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "control/app/errc.h"
#include "control/app/http_server.h"
#include "control/app/log.h"
#include "control/app/roles/controller_role.h"
#include "control/app/roles/http_routes.h"
#include "control/app/roles/pool_log.h"
#include "control/app/roles/registrar_role.h"
#include "control/app/roles/relay_role.h"
#include "control/app/roles/tls_role.h"
#include "control/app/version.h"

namespace rtpool::control {
namespace {

struct Program {
  explicit Program(Options o) : options(std::move(o)) {}

  Options options;
  // In the order of starting.
  std::unique_ptr<RegistrarRole> registrar;
  std::unique_ptr<RelayRole> relay;
  std::unique_ptr<ControllerRole> controller;
  std::shared_ptr<pool::TlsContext> tls;
  std::unique_ptr<HttpServer> http;
  std::unique_ptr<TlsRole> tls_role;

  Result<void> start_tls();
  Result<void> start_registrar();
  Result<void> start_relay();
  Result<void> start_controller();
  Result<void> start_http();
  Result<void> start();
  bool stop();
};

bool is_single_process(const Options& options) {
  return options.command == Command::serve;
}

// Starts with the listening address as it is; where that is a default which somebody else has, with
// a free port.
template <class Start>
auto start_listening(const char* what, Endpoint& listen, bool may_move, Start start) {
  auto started = start();
  if (started || !may_move) return started;
  const Endpoint busy = listen;
  listen.port = 0;
  auto again = start();
  if (again) {
    log(Severity::warning, "the default address is busy; a free port is used instead",
        {{"service", what}, {"default", busy.to_string()}});
  }
  return again ? std::move(again) : std::move(started);
}

Result<void> Program::start_tls() {
  if (options.tls_files == pool::TlsFiles{}) return {};
  auto opened = open_tls(options);
  if (!opened) return opened.error();
  tls = std::move(*opened);
  options.registrar.tls = options.relay.tls = options.controller.tls = tls;
  return {};
}

Result<void> Program::start_registrar() {
  auto& o = options.registrar;
  auto started =
      start_listening("registrar", o.listen, is_single_process(options) && !o.listen_given,
                      [&] { return RegistrarRole::start(o); });
  if (!started) return started.error();
  registrar = std::move(*started);
  o.listen.port = registrar->port();
  log(Severity::info, "registrar listens", {{"listen", o.listen.to_string()}, {"store", o.store}});
  if (is_single_process(options)) {
    Endpoint reach = o.listen;
    if (reach.address.is_unspecified()) {
      reach.address =
          reach.address.is_v4() ? IpAddress::v4(127, 0, 0, 1) : *IpAddress::parse("::1");
    }
    options.relay.registrars = options.controller.registrars = {reach.to_string()};
  }
  return {};
}

Result<void> Program::start_relay() {
  auto& o = options.relay;
  if (options.media_address_defaulted) {
    log(Severity::warning, "no --media-address is given: media is received on loopback only",
        {{"media_address", "127.0.0.1"}});
  }
  auto started = start_listening("relay", o.listen, is_single_process(options) && !o.listen_given,
                                 [&] { return RelayRole::start(o); });
  if (!started) return started.error();
  relay = std::move(*started);
  return {};
}

Result<void> Program::start_controller() {
  auto started = ControllerRole::start(options.controller,
                                       {.registrar = registrar.get(), .relay = relay.get()});
  if (!started) return started.error();
  controller = std::move(*started);
  return {};
}

Result<void> Program::start_http() {
  if (!options.http) return {};
  http = std::make_unique<HttpServer>(tls, pool_log("http"));
  std::vector<Role*> roles;
  if (controller) roles.push_back(controller.get());  // knows calls and pool best
  if (registrar) roles.push_back(registrar.get());
  if (relay) roles.push_back(relay.get());
  if (tls) {
    tls_role = std::make_unique<TlsRole>(tls, *http);
    roles.push_back(tls_role.get());
  }
  add_routes(*http, std::string(to_string(options.command)), roles);
  const auto bound = http->start(*options.http);
  if (!bound) return bound.error();
  log(Severity::info, "HTTP listens", {{"listen", bound->to_string()}});
  return {};
}

Result<void> Program::start() {
  const bool all = is_single_process(options);
  const Command command = options.command;
  if (auto started = start_tls(); !started) return started;
  if (all || command == Command::registrar) {
    if (auto started = start_registrar(); !started) return started;
  }
  if (all || command == Command::relay) {
    if (auto started = start_relay(); !started) return started;
  }
  if (all || command == Command::controller) {
    if (auto started = start_controller(); !started) return started;
  }
  return start_http();
}

// False when a client of HTTP holds on to a thread, so that nothing may be destroyed.
bool Program::stop() {
  const bool http_ended = http == nullptr || http->stop();
  if (relay) relay->leave();
  if (controller) controller->stop();
  if (relay) relay->stop();
  if (registrar) registrar->stop();
  return http_ended;
}

// Law 3: every limit is known at start.
void print_options(Options& options) {
  std::string line;
  for (const Option& option : option_table(options, options.command)) {
    const std::string value = option.show();
    if (value.empty()) continue;
    line += (line.empty() ? "" : " ") + std::string(option.name) + "=" + value;
  }
  log(Severity::info, "options in force",
      {{"version", kVersion}, {"pid", static_cast<int>(::getpid())}, {"options", line}});
}

void reload(Program& program) {
  Options& options = program.options;
  // It says in the log what became of it.
  if (program.tls) static_cast<void>(program.tls->reload());
  const auto level = reload_log_level(options);
  if (!level) {
    log(Severity::error, "the configuration file was not read again: nothing is changed",
        {{"reason", level.error().detail}});
    return;
  }
  options.log.level = *level;
  set_log_severity(*level);
  log(Severity::info, "read again", {{"log_level", to_string(*level)}});
}

int run_until_signal(Program& program, boost::asio::io_context& io, boost::asio::signal_set& ends,
                     boost::asio::signal_set& reloads) {
  int received = 0;
  std::function<void()> wait_for_reload = [&] {
    reloads.async_wait([&](const boost::system::error_code& cancelled, int) {
      if (cancelled) return;
      reload(program);
      wait_for_reload();
    });
  };
  wait_for_reload();
  ends.async_wait([&](const boost::system::error_code&, int number) {
    received = number;
    io.stop();
  });
  io.run();
  return received;
}

int fail(const Options& options, const Error& error) {
  flush_log();
  const std::string what = error.detail.empty() ? error.message() : error.detail;
  std::fprintf(stderr, "rtpool %s: %s\n", std::string(to_string(options.command)).c_str(),
               what.c_str());
  return 1;
}

}  // namespace

int run_program(Options options) {
  start_log(options.log);
  std::signal(SIGPIPE, SIG_IGN);
  boost::asio::io_context io;
  boost::asio::signal_set ends(io, SIGINT, SIGTERM);
  boost::asio::signal_set reloads(io, SIGHUP);
  Program program(std::move(options));
  print_options(program.options);
  if (auto started = program.start(); !started) {
    if (!program.stop()) std::_Exit(fail(program.options, started.error()));
    return fail(program.options, started.error());
  }
  log(Severity::info, "started", {{"role", to_string(program.options.command)}});
  const int number = run_until_signal(program, io, ends, reloads);
  log(Severity::info, "ending", {{"signal", number == SIGINT ? "SIGINT" : "SIGTERM"}});
  ends.clear();
  for (const int again : {SIGINT, SIGTERM}) std::signal(again, [](int) { ::_exit(1); });
  const bool all_ended = program.stop();
  log(Severity::info, "ended");
  flush_log();
  // A client of HTTP that neither finishes nor leaves has a thread that may not see destructors
  // run.
  if (!all_ended) std::_Exit(0);
  return 0;
}

}  // namespace rtpool::control
