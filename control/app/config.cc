#include "control/app/config.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <set>

#include "control/app/command_text.h"
#include "control/app/errc.h"
#include "relay/base/assert.h"

namespace rtpool::control {
namespace {

using enum Command;

Error usage(std::string sentence) {
  return {AppErrc::usage, std::move(sentence)};
}

std::string general_help() {
  std::string out =
      "rtpool: a fleet of RTP relays that SIP proxies use by pool name.\n\n"
      "Usage: rtpool COMMAND [OPTIONS]\n\nCommands:\n";
  for (const CommandText& text : command_texts()) {
    std::string line = "  " + std::string(text.words);
    line.resize(16, ' ');
    out += line + std::string(text.summary) + "\n";
  }
  return out +
         "\n`rtpool COMMAND --help` explains a command and its options. A first try on one "
         "machine:\n\n"
         "  rtpool serve\n";
}

std::string command_help(const Options& defaults, Command command) {
  Options scratch = defaults;
  const CommandText& text = text_of(command);
  std::string out = "rtpool " + std::string(text.words) +
                    (text.argument.empty() ? "" : " " + std::string(text.argument)) + ": " +
                    std::string(text.summary) + "\n\n";
  out += std::string(text.teach) + "\n";
  const auto table = option_table(scratch, command);
  if (table.empty()) return out;
  out += "Options:\n" + describe_options(table);
  if (is_operator_command(command)) return out;
  return out +
         "  --config FILE\n"
         "      A TOML file with the same names as keys, such as media-ports = \"20000-29999\"; "
         "options given here\n"
         "      win over it. Example: --config /etc/rtpool.toml\n"
         "  --help\n      This text.\n\n"
         "SIGTERM and SIGINT end it cleanly, SIGHUP reads log-level and the TLS files again.\n";
}

// Unique among the relays of one host as far as can be told before a port is bound.
std::string default_id(const RelayOptions& relay) {
  std::array<char, 256> host{};
  std::string id = ::gethostname(host.data(), host.size() - 1) == 0 ? host.data() : "relay";
  for (char& c : id) {
    if (!parse_name(std::string_view(&c, 1))) c = '-';
  }
  if (id.empty()) id = "relay";
  id = id.substr(0, 50);
  if (relay.listen.port == 0) return id + "-p" + std::to_string(::getpid());
  return relay.listen.port == 7410 ? id : id + "-" + std::to_string(relay.listen.port);
}

// Without TLS nothing leaves this host unless that is said.
Result<void> check_exposure(const Options& o) {
  if (o.insecure) return {};
  const auto exposed = [](const std::string& what) {
    return usage(what +
                 " is not loopback, and nothing is encrypted without TLS; give --tls-certificate, "
                 "--tls-key and --tls-authority, or say --insecure on a trusted network");
  };
  const std::string prefix = o.command == serve ? "registrar-" : "";
  if ((o.command == registrar || o.command == serve) && !o.registrar.listen.address.is_loopback())
    return exposed("--" + prefix + "listen " + o.registrar.listen.to_string());
  if ((o.command == relay || o.command == serve) && !o.relay.listen.address.is_loopback())
    return exposed(std::string(o.command == serve ? "--relay-listen " : "--listen ") +
                   o.relay.listen.to_string());
  if (o.command == relay || o.command == controller) {
    for (const auto& target : o.relay.registrars) {
      if (!is_loopback_target(target)) return exposed("--registrar " + target);
    }
  }
  const bool is_role =
      o.command == registrar || o.command == relay || o.command == controller || o.command == serve;
  if (is_role && o.http && !o.http->address.is_loopback())
    return exposed("--http " + o.http->to_string());
  return {};
}

Result<void> check_tls(const Options& o) {
  const auto& files = o.tls_files;
  if (files == pool::TlsFiles{}) return check_exposure(o);
  for (const auto& [flag, value] : {std::pair{"--tls-certificate", &files.certificate},
                                    {"--tls-key", &files.key},
                                    {"--tls-authority", &files.authority}}) {
    if (value->empty())
      return usage(std::string(flag) +
                   " is missing: --tls-certificate, --tls-key and --tls-authority go together");
  }
  if (o.insecure)
    return usage("--insecure and TLS contradict each other: leave out --insecure or --tls-...");
  return {};
}

// What a value alone can't show to be wrong.
Result<void> check_together(Options& o) {
  const bool is_relay = o.command == relay || o.command == serve;
  if (is_relay) {
    auto& addresses = o.relay.engine.media_addresses;
    if (addresses.empty() && o.command == relay)
      return usage(
          "--media-address is required: an address of this host that parties can send media to, "
          "such as 192.0.2.10");
    if (addresses.empty()) {
      addresses.push_back({"default", IpAddress::v4(127, 0, 0, 1), IpAddress::v4(127, 0, 0, 1)});
      o.media_address_defaulted = true;
    }
    if (addresses.size() > 32) return usage("--media-address is given more than 32 times");
    std::set<std::pair<std::string, IpFamily>> seen;
    for (const auto& a : addresses) {
      if (!seen.insert({a.name, a.local.family}).second)
        return usage("--media-address \"" + format_media_address(a) +
                     "\": there is another address of that name and IP version; give one of them "
                     "another NAME/");
    }
    if (o.relay.listen.address.is_unspecified() && o.relay.advertise.empty())
      return usage("--listen " + o.relay.listen.to_string() +
                   " needs --advertise HOST:PORT, which is what controllers connect to");
    if (o.relay.id.empty()) o.relay.id = default_id(o.relay);
  }
  if (o.command == call_explain && !o.client.from)
    return usage(
        "--from is required: where the imagined packet comes from, such as "
        "--from 203.0.113.5:4000");
  if (o.command == drain && o.client.timeout > Duration{} && !o.client.wait)
    return usage("--timeout is for --wait; without it nothing is waited for");
  return check_tls(o);
}

std::vector<std::string_view> names_of_other_commands(Command command) {
  Options scratch;
  std::vector<std::string_view> names;
  for (const Command other : {registrar, relay, controller, serve}) {
    if (other == command) continue;
    for (const Option& option : option_table(scratch, other)) names.push_back(option.name);
  }
  return names;
}

// Flags and their values as CLI11 takes them apart, before any is interpreted.
struct RawCommand {
  CLI::App* app = nullptr;
  std::string config;
  bool help = false;
  std::vector<std::vector<std::string>> values;  // by option of the table
  std::vector<Option> table;
};

Error unknown_argument(const std::string& argument, Command command,
                       const std::vector<Option>& table) {
  const std::string place = "`rtpool " + std::string(to_string(command)) + "`";
  if (argument.rfind("--", 0) != 0) {
    const std::string what(text_of(command).argument);
    return usage("unexpected \"" + argument + "\"; " + place + " takes " +
                 (what.empty() ? "only --options" : "one " + what + " and --options"));
  }
  const std::string name = argument.substr(2, argument.find('=') - 2);
  const auto others = names_of_other_commands(command);
  if (std::find(others.begin(), others.end(), name) != others.end())
    return usage("--" + name + " is no option of " + place);
  std::vector<std::string_view> names{"config", "help"};
  for (const Option& option : table) names.push_back(option.name);
  const auto near = nearest(name, names);
  return usage("unknown option --" + name +
               (near.empty() ? "; " + place.substr(0, place.size() - 1) + " --help` lists them all"
                             : "; did you mean --" + std::string(near) + "?"));
}

// The word that some commands are about. Options are not mistaken for it.
Result<void> take_argument(Options& options, std::vector<std::string>& extras) {
  const CommandText& text = text_of(options.command);
  if (text.argument.empty()) return {};
  // What follows "--" is no option, whatever it looks like.
  const auto end_of_options = std::find(extras.begin(), extras.end(), "--");
  const auto word = end_of_options != extras.end()
                        ? extras.erase(end_of_options)
                        : std::find_if(extras.begin(), extras.end(), [](const std::string& extra) {
                            return extra.rfind("--", 0) != 0;
                          });
  const std::string usage_line =
      "`rtpool " + std::string(text.words) + " " + std::string(text.argument) + "`";
  if (word == extras.end() || word->empty())
    return usage(std::string(text.argument) + " is missing: " + usage_line);
  if (options.command == drain || options.command == undrain || options.command == pool_show ||
      options.command == pool_watch) {
    if (auto name = parse_name(*word); !name)
      return usage(std::string(text.argument) + " \"" + *word + "\" " + name.error().detail);
  } else if (word->size() > media::kMaxCallKeyBytes) {
    return usage("CALL-ID has " + std::to_string(word->size()) + " bytes; at most " +
                 std::to_string(media::kMaxCallKeyBytes) + " can be one");
  }
  options.client.subject = *word;
  extras.erase(word);
  return {};
}

Error unknown_command(const std::vector<std::string>& arguments) {
  std::string typed = arguments.front();
  if (arguments.size() > 1 && arguments[1].rfind('-', 0) != 0) typed += " " + arguments[1];
  std::vector<std::string_view> words;
  for (const CommandText& text : command_texts()) words.push_back(text.words);
  auto near = nearest(typed, words);
  if (near.empty()) near = nearest(arguments.front(), words);
  return usage("unknown command \"" + typed + "\"; " +
               (near.empty() ? "`rtpool --help` lists them"
                             : "did you mean `rtpool " + std::string(near) + "`?"));
}

// CLI11 writes its own sentences for what does not fit the declared options; the two that can
// happen here are put in this program's words.
Error from_cli(const CLI::ParseError& wrong) {
  std::string what = wrong.what();
  std::replace(what.begin(), what.end(), '\n', ' ');
  if (const auto colon = what.find(": 1 required"); colon != std::string::npos)
    return usage(what.substr(0, colon) + " needs a value");
  return usage(std::move(what));
}

void declare(RawCommand& raw, Command command) {
  raw.app->set_help_flag();
  raw.app->allow_extras();
  raw.app->add_flag("--help,-h", raw.help);
  if (command != version && !is_operator_command(command))
    raw.app->add_option("--config", raw.config);
  raw.values.resize(raw.table.size());
  for (std::size_t i = 0; i < raw.table.size(); ++i) {
    const std::string flag = "--" + std::string(raw.table[i].name);
    if (raw.table[i].value_name.empty()) {
      raw.app->add_flag_callback(flag, [&raw, i] { raw.values[i] = {"true"}; });
    } else {
      raw.app->add_option(flag, raw.values[i])->allow_extra_args(false);
    }
  }
}

Result<Options> finish(Options options, RawCommand& raw) {
  std::vector<GivenValue> from_flags;
  std::vector<GivenValue> from_file;
  for (std::size_t i = 0; i < raw.table.size(); ++i) {
    for (const auto& text : raw.values[i])
      from_flags.push_back({std::string(raw.table[i].name), text, ""});
    options.log_level_by_flag |= raw.table[i].name == "log-level" && !raw.values[i].empty();
  }
  const auto table = option_table(options, options.command);
  if (!raw.config.empty()) {
    auto read = read_config_file(raw.config, table, to_string(options.command),
                                 names_of_other_commands(options.command));
    if (!read) return read.error();
    from_file = std::move(*read);
    options.config_file = raw.config;
  }
  if (auto applied = apply_values(table, from_file, from_flags); !applied) return applied.error();
  if (auto checked = check_together(options); !checked) return checked.error();
  return options;
}

Options defaults() {
  Options options;
  options.relay.engine.shards = 0;  // the table knows the number of cores
  return options;
}

}  // namespace

bool is_operator_command(Command command) {
  switch (command) {
    case pool_list:
    case pool_show:
    case pool_watch:
    case call_list:
    case call_show:
    case call_explain:
    case drain:
    case undrain:
      return true;
    case registrar:
    case relay:
    case controller:
    case serve:
    case version:
    case help:
      return false;
  }
  return false;
}

std::string_view to_string(Command command) {
  for (const CommandText& text : command_texts()) {
    if (text.command == command) return text.words;
  }
  return "help";
}

Result<Options> parse_command_line(const std::vector<std::string>& arguments) {
  Options options = defaults();
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" ||
      arguments[0] == "help") {
    options.help = general_help();
    return options;
  }
  std::size_t words = 1;
  options.command = arguments[0] == "--version" ? version : help;
  for (const CommandText& text : command_texts()) {
    const auto space = text.words.find(' ');
    const bool two = space != std::string_view::npos;
    if (arguments[0] != text.words.substr(0, space)) continue;
    if (two && (arguments.size() < 2 || arguments[1] != text.words.substr(space + 1))) continue;
    options.command = text.command;
    words = two ? 2 : 1;
  }
  if (options.command == help) return unknown_command(arguments);

  Options scratch = options;
  CLI::App app;
  RawCommand raw{.app = &app, .table = option_table(scratch, options.command)};
  declare(raw, options.command);
  // CLI11 takes arguments from the back, and drops a "--".
  const auto begin = arguments.begin() + static_cast<std::ptrdiff_t>(words);
  const auto end = std::find(begin, arguments.end(), "--");
  std::vector<std::string> rest(std::make_reverse_iterator(end), std::make_reverse_iterator(begin));
  try {
    app.parse(std::move(rest));
  } catch (const CLI::ParseError& wrong) {
    return from_cli(wrong);
  }
  if (raw.help) {
    options.help = command_help(options, options.command);
    options.command = help;
    return options;
  }
  auto extras = app.remaining();
  extras.insert(extras.end(), end, arguments.end());
  if (auto taken = take_argument(options, extras); !taken) return taken.error();
  if (!extras.empty()) return unknown_argument(extras.front(), options.command, raw.table);
  return finish(std::move(options), raw);
}

Result<Severity> reload_log_level(const Options& options) {
  if (options.config_file.empty() || options.log_level_by_flag) return options.log.level;
  Options fresh = options;
  const auto table = option_table(fresh, options.command);
  auto read = read_config_file(options.config_file, table, to_string(options.command),
                               names_of_other_commands(options.command));
  if (!read) return read.error();
  std::erase_if(*read, [](const GivenValue& given) { return given.name != "log-level"; });
  if (auto applied = apply_values(table, *read, {}); !applied) return applied.error();
  return fresh.log.level;
}

}  // namespace rtpool::control
