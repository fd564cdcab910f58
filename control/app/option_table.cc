// The one table of options: what each is called, takes, means and defaults to, and which commands
// have it.

#include <array>

#include "control/app/config.h"
#include "control/app/errc.h"
#include "control/app/option_parts.h"
#include "pool/etcd_url.h"

namespace rtpool::control {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// As pool/pool_element.h spells them; the default first.
constexpr std::array<std::string_view, 10> kPolicies{"least-used-degradation",
                                                     "least-used",
                                                     "round-robin",
                                                     "random",
                                                     "weighted-round-robin",
                                                     "weighted-random",
                                                     "priority",
                                                     "priority-least-used",
                                                     "randomized-least-used",
                                                     "srv"};

Result<std::string> parse_policy(std::string_view text) {
  std::string list;
  for (const auto word : kPolicies) {
    if (text == word) return std::string(text);
    list.append(list.empty() ? "" : ", ").append(word);
  }
  return Error(AppErrc::usage, "is no policy; write one of " + list);
}

Result<std::string> parse_path(std::string_view text) {
  if (!text.empty()) return std::string(text);
  return Error(AppErrc::usage, "is empty; write the path of a file");
}

Result<Endpoint> parse_source(std::string_view text) {
  const auto endpoint = Endpoint::parse(text);
  if (endpoint && endpoint->port != 0) return *endpoint;
  return Error(AppErrc::usage,
               "is no IP:PORT; write an address and a port, such as 203.0.113.5:4000 or "
               "[2001:db8::5]:4000");
}

Result<std::string> parse_store(std::string_view text) {
  if (text == "memory") return std::string(text);
  if (!text.starts_with("etcd:")) {
    return Error(AppErrc::usage,
                 "is no store; write memory, or " + std::string(pool::kEtcdUrlForm));
  }
  if (auto url = pool::parse_etcd_url(text); !url) return Error(AppErrc::usage, url.error().detail);
  return std::string(text);
}

// A listening address that is recorded as given, so that its being busy is an error.
Option listen_option(std::string_view name, std::string_view help, std::string_view example,
                     Endpoint& value, bool& given) {
  return {.name = name,
          .value_name = "HOST:PORT",
          .help = help,
          .example = example,
          .set = setter(parse_listen,
                        [&value, &given](Endpoint endpoint) {
                          value = endpoint;
                          given = true;
                        }),
          .show = [&value] { return value.to_string(); }};
}

using enum Command;

const std::vector<Command>& operator_commands() {
  static const std::vector<Command> all{pool_list, pool_show,    pool_watch, call_list,
                                        call_show, call_explain, drain,      undrain};
  return all;
}

void add_common(Options& o, std::vector<Row>& rows) {
  const std::vector<Command> roles{registrar, relay, controller, serve};
  rows.push_back(
      {roles,
       {.name = "http",
        .value_name = "HOST:PORT|off",
        .help =
            "Where HTTP is served: the dashboard on /, /metrics for Prometheus, /healthz, /readyz "
            "and "
            "JSON under /api. With TLS it takes an operator's certificate for most of that.",
        .example = "127.0.0.1:9480",
        .set = setter(parse_listen_or_off, [&o](std::optional<Endpoint> e) { o.http = e; }),
        .show = [&o] { return o.http ? o.http->to_string() : "off"; }}});
  rows.push_back(
      {roles,
       {.name = "log-format",
        .value_name = "text|json",
        .help = "Log lines on stderr for people, or one JSON object a line for programs.",
        .example = "json",
        .set = setter(one_of({"text", "json"}),
                      [&o](const std::string& s) {
                        o.log.format = s == "json" ? LogFormat::json : LogFormat::text;
                      }),
        .show = [&o] { return std::string(to_string(o.log.format)); }}});
  rows.push_back(
      {roles,
       {.name = "log-level",
        .value_name = "LEVEL",
        .help = "The least that is logged: debug, info, warning, error or off. Read again from the "
                "configuration file on SIGHUP.",
        .example = "debug",
        .set = setter(one_of({"debug", "info", "warning", "error", "off"}),
                      [&o](const std::string& s) {
                        for (const auto level : {Severity::debug, Severity::info, Severity::warning,
                                                 Severity::error, Severity::off}) {
                          if (to_string(level) == s) o.log.level = level;
                        }
                      }),
        .show = [&o] { return std::string(to_string(o.log.level)); }}});
  rows.push_back(
      {roles,
       switch_option("insecure",
                     "Allows gRPC and HTTP without TLS on addresses other than loopback. Only on a "
                     "network where every host is trusted.",
                     o.insecure)});
}

void add_tls(Options& o, std::vector<Row>& rows) {
  const auto file = [&](std::string_view name, std::string_view help, std::string_view example,
                        std::string& value) {
    std::vector<Command> commands = operator_commands();
    commands.insert(commands.end(), {registrar, relay, controller, serve});
    rows.push_back({std::move(commands),
                    {.name = name,
                     .value_name = "FILE",
                     .help = help,
                     .example = example,
                     .set = setter(parse_path, [&value](const std::string& s) { value = s; }),
                     .show = [&value] { return value; }}});
  };
  file("tls-certificate",
       "This process's certificate (PEM, intermediate ones after it), for mutual TLS on gRPC and "
       "HTTP. Its subject alternative names hold this host's name or address, and "
       "urn:rtpool:ROLE for each role. Goes with the next two; all are read again when they "
       "change.",
       "/etc/rtpool/tls/relay-7.pem", o.tls_files.certificate);
  file("tls-key", "The certificate's key (PEM, without a pass phrase).",
       "/etc/rtpool/tls/relay-7.key", o.tls_files.key);
  file("tls-authority", "Certificates (PEM) of which one must have signed every peer's.",
       "/etc/rtpool/tls/authority.pem", o.tls_files.authority);
}

void add_pool(Options& o, std::vector<Row>& rows) {
  rows.push_back(
      {{relay, controller, serve},
       {.name = "pool",
        .value_name = "NAME",
        .help = "The pool that relays join and that controllers take them from.",
        .example = "media-west",
        .set = setter(parse_name,
                      [&o](const std::string& s) { o.relay.pool = o.controller.pool = s; }),
        .show = [&o] { return o.relay.pool; }}});
  rows.push_back(
      {{relay, controller, pool_list, pool_show, pool_watch, call_show, call_explain, drain,
        undrain},
       {.name = "registrar",
        .value_name = "HOST:PORT[,...]",
        .help = "The pool's registrars, one to five with commas between. All of them are used.",
        .example = "10.0.0.1:7400,10.0.0.2:7400",
        .set = setter(parse_targets,
                      [&o](const std::vector<std::string>& list) {
                        o.relay.registrars = o.controller.registrars = o.client.registrars = list;
                      }),
        .show = [&o] { return join(o.relay.registrars); }}});
  rows.push_back(
      {{registrar},
       listen_option("listen", "Where relays and controllers find this registrar (gRPC).",
                     "10.0.0.1:7400", o.registrar.listen, o.registrar.listen_given)});
  rows.push_back(
      {{serve},
       listen_option("registrar-listen",
                     "Where the registrar listens (gRPC). While this is not given and the default "
                     "is busy, a free loopback port is taken and logged.",
                     "127.0.0.1:8400", o.registrar.listen, o.registrar.listen_given)});
  rows.push_back(
      {{registrar, serve},
       {.name = "store",
        .value_name = "STORE",
        .help =
            "Where pool definitions, epochs and call records are kept: memory, which is for one "
            "registrar, or an etcd cluster that several share, "
            "etcd://HOST:PORT[,HOST:PORT,...][?prefix=/rtpool/][&user=NAME&password-file=PATH]"
            "[&ca=PATH[&cert=PATH&key=PATH]].",
        .example = "etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379",
        .set = setter(parse_store, [&o](const std::string& s) { o.registrar.store = s; }),
        .show = [&o] { return o.registrar.store; }}});
  rows.push_back(
      {{registrar, serve},
       duration_option(
           "heartbeat-interval",
           "How often a relay reports its load to each registrar. The relays learn it from the "
           "registrar.",
           "20ms", o.registrar.heartbeat_interval, milliseconds(10), seconds(1), false)});
  const auto count = [](std::string_view name, std::string_view help, std::string_view example,
                        std::uint32_t& value, std::uint64_t least, std::uint64_t most) {
    return Option{
        .name = name,
        .value_name = "NUMBER",
        .help = help,
        .example = example,
        .set = setter(number_within(least, most),
                      [&value](std::uint64_t n) { value = static_cast<std::uint32_t>(n); }),
        .show = [&value] { return std::to_string(value); }};
  };
  auto& r = o.registrar;
  const std::vector<Option> timers{
      count("missed-heartbeats", "A relay that misses so many in a row is taken out of the pool.",
            "5", r.missed_heartbeats, 2, 20),
      duration_option("fence",
                      "How long a relay whose stream ended may take to be back on another one "
                      "before it counts as dead. Until then it is the last resort.",
                      "50ms", r.fence, milliseconds(5), seconds(5), false),
      duration_option("settle-time",
                      "How long after its start a registrar says that relays may not be back yet, "
                      "so that controllers keep those they know.",
                      "2s", r.settle_time, milliseconds(100), std::chrono::minutes(1), false),
      count("flap-returns",
            "A relay that died gets calls at once when it is back, so many times; after that it "
            "is damped: the last resort for a second, then for twice as long each time.",
            "5", r.flap_returns, 1, 1'000),
      duration_option("flap-hold", "The longest that a relay is damped.", "5m", r.flap_hold,
                      seconds(1), hours(1), false),
      duration_option("flap-quiet", "After so long without dying its past is forgotten.", "10m",
                      r.flap_quiet, seconds(1), hours(24), false)};
  for (const Option& option : timers) rows.push_back({{registrar, serve}, option});
}

void add_relay(Options& o, std::vector<Row>& rows) {
  rows.push_back({{relay, serve},
                  {.name = "id",
                   .value_name = "NAME",
                   .help = "The relay's name in its pool, and unique there. By default the host's "
                           "name, with the port "
                           "of --listen where that is not the default one.",
                   .example = "relay-7",
                   .set = setter(parse_name, [&o](const std::string& s) { o.relay.id = s; }),
                   .show = [&o] { return o.relay.id; }}});
  rows.push_back({{relay},
                  listen_option("listen", "Where controllers ask this relay for ports (gRPC).",
                                "10.0.0.5:7410", o.relay.listen, o.relay.listen_given)});
  rows.push_back(
      {{serve},
       listen_option("relay-listen",
                     "Where the relay listens (gRPC). While this is not given and the default is "
                     "busy, a free loopback port is taken and logged.",
                     "127.0.0.1:8410", o.relay.listen, o.relay.listen_given)});
  rows.push_back(
      {{relay},
       {.name = "advertise",
        .value_name = "HOST:PORT",
        .help = "What controllers connect to, where it is not what --listen says.",
        .example = "relay-7.example.net:7410",
        .set = setter(parse_target, [&o](const std::string& s) { o.relay.advertise = s; }),
        .show = [&o] { return o.relay.advertise; }}});
  rows.push_back(
      {{relay, serve},
       {.name = "policy",
        .value_name = "POLICY",
        .help =
            "How a relay is chosen for a new call (RFC 5356). least-used-degradation: the least "
            "loaded, counting what was handed out since its last report; least-used; round-robin; "
            "random; "
            "weighted-round-robin and weighted-random: by --weight; priority: the highest "
            "--priority; "
            "priority-least-used; randomized-least-used; srv: the lowest --priority, by --weight "
            "among equals (RFC 2782). All relays of a pool need the same.",
        .example = "round-robin",
        .set = setter(parse_policy, [&o](const std::string& s) { o.relay.policy = s; }),
        .show = [&o] { return o.relay.policy; }}});
  const auto amount = [](std::string_view name, std::string_view help, std::string_view example,
                         std::uint32_t& value) {
    return Option{
        .name = name,
        .value_name = "NUMBER",
        .help = help,
        .example = example,
        .set = setter(number_within(0, 65535),
                      [&value](std::uint64_t n) { value = static_cast<std::uint32_t>(n); }),
        .show = [&value] { return std::to_string(value); }};
  };
  rows.push_back(
      {{relay},
       amount("weight",
              "The share of calls under the weighted policies; 0 makes it the last resort.", "10",
              o.relay.weight)});
  rows.push_back({{relay},
                  amount("priority",
                         "The higher one is taken first under --policy priority, the lower one "
                         "under srv.",
                         "1", o.relay.priority)});
  rows.push_back(
      {{relay, controller, serve},
       {.name = "zone",
        .value_name = "NAME",
        .help = "Where this process stands. Controllers prefer relays of their own zone.",
        .example = "rack-3",
        .set = setter(parse_name,
                      [&o](const std::string& s) { o.relay.zone = o.controller.zone = s; }),
        .show = [&o] { return o.relay.zone; }}});
}

void add_controller(Options& o, std::vector<Row>& rows) {
  auto& c = o.controller;
  rows.push_back({{controller, serve},
                  {.name = "ng",
                   .value_name = "HOST:PORT",
                   .help = "Where the SIP proxy's rtpengine module sends its requests (UDP). It "
                           "has no authentication: "
                           "keep it where only the proxy reaches it.",
                   .example = "127.0.0.1:22222",
                   .set = setter(parse_listen, [&c](Endpoint e) { c.ng = e; }),
                   .show = [&c] { return c.ng.to_string(); }}});
  rows.push_back(
      {{controller, serve},
       duration_option("setup-timeout",
                       "A call whose offer is not answered for so long ends; 0 is never.", "2m",
                       c.setup_timeout, seconds(1), hours(24), true)});
  rows.push_back(
      {{controller, serve},
       duration_option("media-timeout",
                       "A call that no party has sent anything to for so long ends; 0 is never.",
                       "60s", c.media_timeout, seconds(1), hours(24), true)});
  rows.push_back(
      {{controller, serve},
       duration_option("max-call-duration", "A call that stands for so long ends; 0 is never.",
                       "4h", c.max_call_duration, seconds(1), hours(24 * 30), true)});
  rows.push_back(
      {{relay, controller, serve},
       {.name = "max-calls",
        .value_name = "NUMBER",
        .help = "Calls at one time; more are refused, so that the proxy tries its next node.",
        .example = "2000",
        .set = setter(number_within(1, 1'000'000),
                      [&o](std::uint64_t n) {
                        o.controller.max_calls = o.relay.engine.max_calls =
                            static_cast<std::uint32_t>(n);
                      }),
        .show = [&c] { return std::to_string(c.max_calls); }}});
  add_limits(o, rows);
}

void add_call_client(Options& o, std::vector<Row>& rows) {
  auto& c = o.client;
  rows.push_back({{call_list, call_show, call_explain},
                  {.name = "http",
                   .value_name = "HOST:PORT",
                   .help = "The HTTP address of the controller (or of `rtpool serve`).",
                   .example = "127.0.0.1:9480",
                   .set = setter(parse_target, [&c](const std::string& s) { c.http = s; }),
                   .show = [&c] { return c.http; }}});
  rows.push_back({{call_list, call_show, call_explain},
                  {.name = "relay",
                   .value_name = "NAME",
                   .help = "Only this relay.",
                   .example = "relay-7",
                   .set = setter(parse_name, [&c](const std::string& s) { c.relay = s; }),
                   .show = [&c] { return c.relay; }}});
  rows.push_back(
      {{call_list},
       {.name = "limit",
        .value_name = "NUMBER",
        .help = "The most calls to list.",
        .example = "100",
        .set = setter(number_within(1, 1'000'000),
                      [&c](std::uint64_t n) { c.limit = static_cast<std::uint32_t>(n); }),
        .show = [&c] { return std::to_string(c.limit); }}});
  rows.push_back({{call_explain},
                  {.name = "from",
                   .value_name = "IP:PORT",
                   .help = "Where the imagined packet comes from, as the relay would see it.",
                   .example = "203.0.113.5:4000",
                   .required = true,
                   .set = setter(parse_source, [&c](Endpoint e) { c.from = e; }),
                   .show = [&c] { return c.from ? c.from->to_string() : ""; }}});
  rows.push_back(
      {{call_explain},
       {.name = "to",
        .value_name = "PORT",
        .help = "The relay's port that it is sent to, as bound or as advertised; without "
                "it every port of the call is tried.",
        .example = "30012",
        .set = setter(number_within(1, 65535),
                      [&c](std::uint64_t n) { c.to_port = static_cast<std::uint16_t>(n); }),
        .show = [&c] { return c.to_port == 0 ? "" : std::to_string(c.to_port); }}});
}

void add_client(Options& o, std::vector<Row>& rows) {
  auto& c = o.client;
  add_call_client(o, rows);
  rows.push_back({{pool_list, drain, undrain},
                  {.name = "pool",
                   .value_name = "NAME",
                   .help = "Only this pool.",
                   .example = "media",
                   .set = setter(parse_name, [&c](const std::string& s) { c.pool = s; }),
                   .show = [&c] { return c.pool; }}});
  rows.push_back({{drain},
                  switch_option("wait",
                                "Returns when the relay has no call left, or is gone, instead of "
                                "as soon as it is drained.",
                                c.wait)});
  rows.push_back({{drain},
                  duration_option("timeout", "How long --wait waits; 0 is for as long as it takes.",
                                  "2h", c.timeout, seconds(1), hours(24 * 30), true)});
  rows.push_back(
      {operator_commands(), switch_option("json", "Prints JSON, for programs.", c.json)});
}

}  // namespace

std::vector<Option> option_table(Options& options, Command command) {
  std::vector<Row> rows;
  add_controller(options, rows);
  add_media(options, rows);
  add_relay(options, rows);
  add_pool(options, rows);
  add_client(options, rows);
  add_common(options, rows);
  add_tls(options, rows);
  if (options.relay.engine.shards == 0) options.relay.engine.shards = default_shards();
  std::vector<Option> table;
  for (Row& row : rows) {
    for (const Command owner : row.commands) {
      if (owner == command) table.push_back(std::move(row.option));
    }
  }
  for (Option& option : table) {
    if (command == relay && option.name == "media-address") option.required = true;
  }
  return table;
}

}  // namespace rtpool::control
