#include "control/app/command_text.h"

#include <algorithm>
#include <array>

#include "relay/base/assert.h"

namespace rtpool::control {
namespace {

using enum Command;

constexpr std::array<CommandText, 13> kCommands{{
    {serve, "serve", "",
     "registrar, relay and controller in one process, for a laptop or a small site",
     "Runs all three roles in one process. Other relays may join its pool at the registrar's "
     "address.\n"
     "Point the rtpengine module of Kamailio or OpenSIPS at the address of --ng, and give "
     "the address\n"
     "that the parties can send media to:\n\n"
     "  rtpool serve --media-address 192.0.2.10\n"},
    {registrar, "registrar", "",
     "keeps the pool: knows which relays are alive and how loaded they are",
     "Relays register here and controllers learn here which relays there are. Start it first:\n\n"
     "  rtpool registrar --listen 10.0.0.1:7400 --insecure\n"},
    {relay, "relay", "", "forwards media; joins a pool",
     "Receives and forwards the parties' media and registers itself in a pool:\n\n"
     "  rtpool relay --registrar 10.0.0.1:7400 --listen 10.0.0.5:7410 --insecure --media-address "
     "192.0.2.10\n"},
    {controller, "controller", "",
     "speaks the NG protocol to the SIP proxy beside it; takes relays from a pool",
     "Runs beside each SIP proxy, answers its rtpengine module and rewrites the SDP:\n\n"
     "  rtpool controller --registrar 10.0.0.1:7400 --insecure\n"},
    {pool_list, "pool list", "", "the pools: relays by state, calls, and whether registrars agree",
     "Asks all the registrars named at once; one that is dead holds it up for 0.3 s at most. One "
     "line a pool:\n\n"
     "  rtpool pool list --registrar 10.0.0.1:7400,10.0.0.2:7400\n"
     "  rtpool pool list --json | jq '.pools[] | select(.panic)'\n\n"
     "Exit status: 0, 1 where no registrar answers, 2 for a wrong command line, 3 where --pool "
     "names none.\n"},
    {pool_show, "pool show", "POOL", "a pool's relays, as its registrars see them",
     "One line a relay: what new calls it may have (STATE), what it has, where it is, when it was "
     "heard last.\n"
     "STATE is up; suspect: silent or cut off; damped: came back too often and is the last "
     "resort;\n"
     "drained: gets no new calls; full. What registrars see differently is listed below the "
     "table.\n\n"
     "  rtpool pool show media --registrar 10.0.0.1:7400,10.0.0.2:7400\n"
     "  rtpool pool show media --json | jq -r '.relays[] | select(.state != \"up\") | .id'\n\n"
     "Exit status: 0, 1 where no registrar answers, 2 for a wrong command line, 3 where there is "
     "no such pool.\n"},
    {pool_watch, "pool watch", "POOL", "the same, live: who joins, leaves, dies, is drained",
     "On a terminal the table, drawn anew as things change; elsewhere a line for each change, so "
     "that it can be\n"
     "kept or piped; with --json an object a line. Ends with Ctrl-C and status 0.\n\n"
     "  rtpool pool watch media\n"
     "  rtpool pool watch media --json | jq -r 'select(.event == \"died\") | .relay'\n\n"
     "Exit status: 0 when ended by SIGINT or SIGTERM, 2 for a wrong command line. Registrars that "
     "do not answer\nare waited for.\n"},
    {call_list, "call list", "", "the calls of a controller, with both parties' packets and loss",
     "Asks the controller beside the proxy, which knows the calls that it set up:\n\n"
     "  rtpool call list\n"
     "  rtpool call list --relay relay-7 --limit 100\n"
     "  rtpool call list --json | jq '.calls[] | select(.age_seconds > 3600) | .call_id'\n\n"
     "Exit status: 0, 1 where the controller does not answer, 2 for a wrong command line.\n"},
    {call_show, "call show", "CALL-ID",
     "one call: both sides, addresses, latches, counters, drops by reason",
     "Asks the relay that has the call, which the registrars know the way to, and the controller "
     "at --http for the\n"
     "parties' names; where that one does not know the call, the table does without them.\n\n"
     "  rtpool call show 4a1b@10.0.0.9\n"
     "  rtpool call show 4a1b@10.0.0.9 --json | jq .calls[0].drops\n\n"
     "Exit status: 0, 1 where nobody answers, 2 for a wrong command line, 3 where no relay that "
     "answers has the call.\n"},
    {call_explain, "call explain", "CALL-ID",
     "where a packet from somewhere would go, or why it would be dropped",
     "The relay puts an imagined packet through the code that forwards, over a copy of the call: "
     "nothing is sent,\n"
     "learned or counted. One line for each port that it could arrive at: where it leaves and to "
     "whom, or why it\n"
     "would be dropped and what would make it pass.\n\n"
     "  rtpool call explain 4a1b@10.0.0.9 --from 203.0.113.5:4000\n"
     "  rtpool call explain 4a1b@10.0.0.9 --from 203.0.113.5:4000 --to 30012\n\n"
     "Exit status: 0 (dropped or not), 1 where nobody answers, 2 for a wrong command line, 3 "
     "where no relay that\nanswers has the call.\n"},
    {drain, "drain", "NAME", "no new calls for a relay; those it has stay",
     "Tells every registrar named and waits until they show it (2 s at most). The relay keeps it "
     "in mind while it\n"
     "runs, whatever becomes of the registrars. With --wait it returns when the relay has no call "
     "left, which is\nthe time to stop it:\n\n"
     "  rtpool drain relay-7 --wait --timeout 2h && ssh relay-7 systemctl stop rtpool-relay\n\n"
     "Exit status: 0, 1 where no registrar answers, 2 for a wrong command line, 3 where there is "
     "no such relay, a\nregistrar was not reached, or --timeout ran out.\n"},
    {undrain, "undrain", "NAME", "new calls for a drained relay again",
     "Tells every registrar named and waits until they show it (2 s at most):\n\n"
     "  rtpool undrain relay-7 --registrar 10.0.0.1:7400,10.0.0.2:7400\n\n"
     "Exit status: 0, 1 where no registrar answers, 2 for a wrong command line, 3 where there is "
     "no such relay or a\nregistrar was not reached.\n"},
    {version, "version", "", "prints the version", ""},
}};

}  // namespace

std::span<const CommandText> command_texts() {
  return kCommands;
}

const CommandText& text_of(Command command) {
  const auto* found =
      std::find_if(kCommands.begin(), kCommands.end(),
                   [&](const CommandText& text) { return text.command == command; });
  RTPOOL_ASSERT(found != kCommands.end());
  return *found;
}

}  // namespace rtpool::control
