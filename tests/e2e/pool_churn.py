#!/usr/bin/python3
"""Relays die, freeze and join while calls come at a steady rate, and no new call notices.

Three relays, one registrar, one controller. One relay is killed (SIGKILL), one is frozen (SIGSTOP), one is started
anew, and the frozen one comes back. Every offer succeeds, every reply comes within 250 ms, the dead one is in no
answer later than 20 ms after its death and the frozen one in none after 200 ms, the new one gets calls within a
second of its start, the one that comes back too. Nothing is restarted or told.
"""

import argparse
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from support.fleet import Fleet
from support.offers import OfferLoad

WORST_REPLY, KILLED_WITHIN, FROZEN_WITHIN, USED_WITHIN = 0.250, 0.020, 0.200, 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--slow", action="store_true", help="a sanitizer's build: replies may take longer")
    options = parser.parse_args()
    times = {}
    with Fleet(options.binary) as fleet, OfferLoadOn(fleet, options) as load:
        def kill():
            times["killed"] = fleet.kill(fleet.relays["r1"])

        def freeze():
            times["frozen"] = fleet.freeze(fleet.relays["r2"])

        def join():
            times["joined"] = time.monotonic()
            fleet.add_relay("r4")

        def thaw():
            times["thawed"] = time.monotonic()
            fleet.relays["r2"].send_signal(signal.SIGCONT)

        load.run(options.seconds, at={options.seconds * share: action for share, action in
                                      ((0.2, kill), (0.4, freeze), (0.6, join), (0.8, thaw))})
        check(fleet, load, times, options.slow)


def OfferLoadOn(fleet, options):  # pylint: disable=invalid-name
    for name in ("r1", "r2", "r3"):
        fleet.add_relay(name)
    controller = fleet.add_controller()
    fleet.wait_ready()
    return OfferLoad([controller.ng], options.rate, hold=1.0)


def check(fleet, load, times, slow):
    print(load.summary())
    named = [(reply.sent + reply.took, fleet.relay_of(reply.text["sdp"])) for reply in load.replies
             if reply.command == "offer" and reply.ok]
    last = lambda relay, until: max((at for at, name in named if name == relay and at < until), default=0)
    first = lambda relay, since: min((at for at, name in named if name == relay and at > since), default=1e9)
    killed = last("r1", 1e9) - times["killed"]
    frozen = last("r2", times["thawed"]) - times["frozen"]
    joined = first("r4", 0) - times["joined"]
    thawed = first("r2", times["thawed"]) - times["thawed"]
    print(f"last answer with the killed relay {killed * 1000:.1f} ms after its death (below 0: before), "
          f"with the frozen one {frozen * 1000:.1f} ms")
    print(f"first answer with the new relay {joined * 1000:.0f} ms after its start, "
          f"with the thawed one {thawed * 1000:.0f} ms")
    per_relay = {name: sum(n == name for _, n in named) for name in fleet.relays}
    print("offers by relay:", per_relay)
    # An answer whose relay died since its offer can only fail: the caller's ports are gone with it.
    orphaned = {reply.call for reply in load.replies if reply.command == "offer" and reply.ok and
                fleet.relay_of(reply.text["sdp"]) in ("r1", "r2")}
    lost = [reply for reply in load.failures("answer") if reply.call not in orphaned]
    assert not load.failures("offer"), load.failures("offer")[:3]
    assert not lost, lost[:3]
    assert len(load.failures("answer")) <= 2, load.failures("answer")
    assert not load.failures("delete"), load.failures("delete")[:3]
    factor = 4 if slow else 1
    assert load.slowest() < WORST_REPLY * factor, f"{load.slowest() * 1000:.0f} ms"
    assert killed < KILLED_WITHIN * factor and frozen < FROZEN_WITHIN * factor, (killed, frozen)
    assert joined < USED_WITHIN * factor and thawed < USED_WITHIN * factor, (joined, thawed)
    controller = fleet.controllers[0]
    deadline = time.monotonic() + 8
    while controller.metric("rtpool_calls") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert controller.metric("rtpool_calls") == 0, "calls are left behind"
    for name in ("r2", "r3", "r4"):
        while (leased := fleet.relays[name].metrics()['rtpool_ports{state="leased"}']) > 0:
            assert time.monotonic() < deadline, f"{name} still leases {leased} ports"
            time.sleep(0.05)


if __name__ == "__main__":
    main()
