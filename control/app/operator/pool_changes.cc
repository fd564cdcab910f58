#include "control/app/operator/pool_changes.h"

#include <map>

#include "control/app/operator/terminal.h"
#include "control/app/roles/pool_json.h"

namespace rtpool::control {
namespace {

using pool::PoolElement;
using View = pool::PoolUserClient::View;

std::map<std::string, const PoolElement*> by_name(const View& view) {
  std::map<std::string, const PoolElement*> names;
  for (const PoolElement& element : view.elements) names[element.name] = &element;
  return names;
}

// What can be told of one relay that was there and is.
void compare(const PoolElement& was, const PoolElement& is, std::vector<PoolChange>& out) {
  const auto tell = [&](const char* event, const std::string& text) {
    out.push_back({event, is, is.name + " " + text});
  };
  const auto turned = [&](bool before, bool now, const char* on, const std::string& on_text,
                          const char* off, const std::string& off_text) {
    if (before != now) tell(now ? on : off, now ? on_text : off_text);
  };
  if (was.epoch != is.epoch)
    tell("restarted", "registered anew, with epoch " + std::to_string(is.epoch));
  if (was.endpoint != is.endpoint) tell("moved", "is now at " + is.endpoint);
  turned(was.suspect, is.suspect, "suspect", "is suspect: silent or cut off", "heard",
         "is heard again");
  turned(was.drained, is.drained, "drained", "is drained: no new calls", "undrained",
         "takes new calls again");
  turned(was.damped, is.damped, "damped", "is damped: it came back too often", "undamped",
         "gets calls as others do again");
  turned(was.full(), is.full(), "full", "is full, with " + counted(is.calls, "call"), "room",
         "has room again");
}

}  // namespace

std::vector<PoolChange> changes_between(const View& before, const View& after) {
  std::vector<PoolChange> out;
  const auto tell = [&](const char* event, std::string text) {
    out.push_back({event, PoolElement{}, std::move(text)});
  };
  if (before.registrars_in_contact != after.registrars_in_contact)
    tell("contact", std::to_string(after.registrars_in_contact) + " of " +
                        std::to_string(after.registrars) + " registrars are in contact" +
                        (after.registrars_in_contact == 0 ? "; the last view is kept" : ""));
  if (before.panic != after.panic)
    tell(after.panic ? "panic" : "calm",
         after.panic ? "more than half of the relays fell silent at once; none is being removed"
                     : "the panic is over");
  if (before.ever_filled && after.ever_filled && before.policy != after.policy)
    tell("policy", "the policy is " + std::string(pool::name_of(after.policy)));
  auto was = by_name(before);
  for (const auto& [name, is] : by_name(after)) {
    const auto found = was.find(name);
    if (found != was.end()) {
      compare(*found->second, *is, out);
      was.erase(found);
      continue;
    }
    out.push_back(
        {"joined", *is,
         name + " joined from " + is->endpoint + ", with epoch " + std::to_string(is->epoch)});
  }
  const bool all_in_contact = after.registrars_in_contact == after.registrars;
  for (const auto& [name, gone] : was) {
    const std::string with = ", with " + counted(gone->calls, "call");
    if (gone->suspect) {
      out.push_back({"died", *gone, name + " died" + with});
    } else if (all_in_contact) {
      out.push_back({"left", *gone, name + " left the pool" + with});
    } else {
      out.push_back({"gone", *gone, name + " is gone" + with});
    }
  }
  return out;
}

}  // namespace rtpool::control
