// `rtpool call list`, `call show` and `call explain`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "control/app/operator/call_parties.h"
#include "control/app/operator/call_table.h"
#include "control/app/operator/commands.h"
#include "control/app/operator/explain_text.h"
#include "control/app/operator/registrars.h"
#include "control/app/operator/terminal.h"
#include "control/app/roles/role.h"
#include "control/calls/operator_client.h"

namespace rtpool::control {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kRelayPatience{1000};
constexpr std::size_t kRelaysAtOnce = 32;

struct NamedRelay {
  std::string name, pool, address;
};

// What the relays of all pools say of one call.
template <class Answer>
struct Answers {
  std::vector<std::pair<NamedRelay, Answer>> found;
  std::vector<std::string> silent;  // "relay-2 (10.0.0.2:7410): why"
  std::optional<int> failed;        // the exit status where nobody could be asked
};

std::vector<NamedRelay> relays_of(const Fleet& fleet, const std::string& only) {
  std::vector<NamedRelay> relays;
  std::set<std::string> seen;
  for (const SeenPool& pool : fleet.pools) {
    for (const SeenElement& element : pool.elements) {
      const auto& e = element.element;
      if ((only.empty() || e.name == only) && seen.insert(e.endpoint).second)
        relays.push_back({e.name, pool.pool, e.endpoint});
    }
  }
  return relays;
}

// Asks every relay: a registrar knows relays, not calls, and a controller knows only its own.
template <class Answer, class Ask>
Answers<Answer> ask_relays(const char* command, const ClientOptions& options, const Fleet& fleet,
                           Ask ask) {
  Answers<Answer> answers;
  if (fleet.answering() == 0) {
    answers.failed = fail(command, "no registrar answers: " + fleet.trouble());
    return answers;
  }
  const auto relays = relays_of(fleet, options.relay);
  if (relays.empty()) {
    answers.failed = fail(command,
                          options.relay.empty() ? "the registrars know no relay"
                                                : "no relay \"" + options.relay + "\"",
                          kNotFound);
    return answers;
  }
  std::vector<std::optional<Result<Answer>>> results(relays.size());
  in_parallel(relays.size(), kRelaysAtOnce, [&](std::size_t i) {
    results[i] = ask({.address = relays[i].address, .timeout = kRelayPatience, .tls = options.tls});
  });
  std::optional<Error> refused;
  for (std::size_t i = 0; i < relays.size(); ++i) {
    const Result<Answer>& result = *results[i];
    if (result) {
      answers.found.emplace_back(relays[i], *result);
    } else if (result.error().code == make_error_code(EngineErrc::invalid_spec)) {
      refused = result.error();
    } else if (result.error().code != make_error_code(EngineErrc::unknown_call)) {
      answers.silent.push_back(relays[i].name + " (" + relays[i].address +
                               "): " + sentence_of(result.error()));
    }
  }
  if (!answers.found.empty()) return answers;
  for (const auto& silent : answers.silent) warn(command, "does not answer: " + silent);
  if (refused) {
    answers.failed = fail(command, refused->detail, kWrongUsage);
  } else if (answers.silent.size() == relays.size()) {
    answers.failed = fail(command, "no relay answers");
  } else {
    answers.failed = fail(command,
                          "no relay that answers has a call \"" + options.subject + "\" (" +
                              counted(relays.size(), "relay") + " asked)",
                          kNotFound);
  }
  return answers;
}

// The registrars and the controller, at the same time.
std::pair<Fleet, KnownCall> ask_around(const ClientOptions& options) {
  Fleet fleet;
  KnownCall known;
  in_parallel(2, 2, [&](std::size_t i) {
    if (i == 0) fleet = merge(ask_registrars(options, ""));
    if (i == 1) known = parties_of(options, options.subject);
  });
  return {std::move(fleet), std::move(known)};
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
}

void print_names_note(const ClientOptions& options, const KnownCall& known) {
  if (known.known) return;
  print("The parties' names are not known: " +
        (known.error.empty() ? "the controller at " + options.http + " has no such call"
                             : printable(known.error)) +
        "\n");
}

json controller_json(const ClientOptions& options, const KnownCall& known) {
  return {{"http", options.http}, {"knows", known.known}, {"error", known.error}};
}

}  // namespace

int list_calls(const ClientOptions& options) {
  const auto all = calls_of(options);
  if (!all) return fail("call list", all.error().detail);
  print(options.json ? dump(*all) : call_list_text(*all, options.relay, colours_wanted()));
  return 0;
}

int show_call(const ClientOptions& options) {
  const auto [fleet, known] = ask_around(options);
  const auto answers = ask_relays<media::CallState>(
      "call show", options, fleet,
      [&](const RelayPlace& place) { return query_call(place, options.subject); });
  if (answers.failed) return *answers.failed;
  if (options.json) {
    json calls = json::array();
    for (const auto& [relay, state] : answers.found) {
      json call = call_state_json(state, known);
      call["relay"] = relay.name;
      call["pool"] = relay.pool;
      call["address"] = relay.address;
      calls.push_back(std::move(call));
    }
    print(dump({{"call_id", options.subject},
                {"calls", std::move(calls)},
                {"controller", controller_json(options, known)},
                {"silent", answers.silent}}));
    return 0;
  }
  for (const auto& [relay, state] : answers.found)
    print(call_state_text(state, known, relay.name + " (" + relay.address + ")", colours_wanted()));
  print_names_note(options, known);
  for (const auto& silent : answers.silent) warn("call show", "does not answer: " + silent);
  return 0;
}

int explain_call(const ClientOptions& options) {
  const RemoteEndpoint source{*options.from};
  const auto [fleet, known] = ask_around(options);
  using Told = std::vector<media::Explanation>;
  const auto answers =
      ask_relays<Told>("call explain", options, fleet, [&](const RelayPlace& place) {
        return explain_call(place, options.subject, source, options.to_port);
      });
  if (answers.failed) return *answers.failed;
  json relays = json::array();
  bool any = false;
  for (const auto& [relay, told] : answers.found) {
    any = any || !told.empty();
    if (!options.json) {
      print(explain_call_text(told, known, source, relay.name + " (" + relay.address + ")",
                              colours_wanted()));
      continue;
    }
    json ports = json::array();
    for (const auto& one : told) {
      json port = explanation_json(one, source);
      add_party(port, known, one.local, one.component);
      ports.push_back(std::move(port));
    }
    relays.push_back({{"relay", relay.name},
                      {"pool", relay.pool},
                      {"address", relay.address},
                      {"ports", std::move(ports)}});
  }
  if (options.json) {
    print(dump({{"call_id", options.subject},
                {"from", source.to_string()},
                {"to_port", options.to_port},
                {"relays", std::move(relays)},
                {"controller", controller_json(options, known)},
                {"silent", answers.silent}}));
  }
  if (any) return 0;
  return fail("call explain",
              options.to_port == 0
                  ? "the call has no port of the IP version of " + source.to_string()
                  : "the call has no port " + std::to_string(options.to_port) +
                        " of the IP version of " + source.to_string(),
              kNotFound);
}

}  // namespace rtpool::control
