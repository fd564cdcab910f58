#!/usr/bin/python3
"""How soon a relay that is killed or frozen is in no answer any more, measured many times.

Three relays; offers come quickly. Again and again one of the relays is killed (SIGKILL) or frozen (SIGSTOP) and a
new one takes its place. For each: when the last reply to a proxy named it, when the controller was last given it by
the pool (its log says which relay an offer asked in vain), and whether any offer failed.

  pool_failover.py --binary build/release/rtpool --times 100    the figures of the README
"""

import argparse
import datetime
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from support.fleet import Fleet
from support.offers import OfferLoad

KILLED_WITHIN, FROZEN_WITHIN, WORST_REPLY = 0.020, 0.200, 0.250
RELAY_DEADLINE = 0.080


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def asked_in_vain(controller, relay):
    """Unix times at which an offer had begun to ask a relay that did not answer: the line comes after the deadline."""
    for line in controller.stderr.splitlines():
        if found := re.match(rf"(\S+)Z warning offer: relay {relay}: (relay did not answer in time)?", line):
            when = datetime.datetime.fromisoformat(found[1] + "+00:00").timestamp()
            yield when - (RELAY_DEADLINE if found[2] else 0)


def one(fleet, controller, rate, freeze, number):
    at = {}

    def strike():  # at the relay that is in use just now
        last = next(reply for reply in reversed(load.replies) if reply.command == "offer" and reply.ok)
        at["victim"] = fleet.relay_of(last.text["sdp"])
        relay = fleet.relays[at["victim"]]
        at["wall"] = time.time()
        at["time"] = fleet.freeze(relay) if freeze else fleet.kill(relay)

    with OfferLoad([controller.ng], rate, hold=0.05) as load:
        load.run(0.7, {0.15: strike})
    victim = at["victim"]
    if freeze:
        fleet.kill(fleet.relays[victim])
    assert not load.failures("offer"), load.failures("offer")[:3]
    offers = [reply for reply in load.replies if reply.command == "offer"]
    named = [reply.sent + reply.took - at["time"] for reply in offers if fleet.relay_of(reply.text["sdp"]) == victim]
    asked = [when - at["wall"] for when in asked_in_vain(controller, victim)]
    fleet.forget_relay(victim)
    fleet.add_relay(number)
    return max([0.0, *named]), max([0.0, *asked]), max(reply.took for reply in load.replies)


def measure(fleet, controller, options, freeze):
    rounds = []
    for number in range(options.times):
        fleet.wait_ready()
        rounds.append(one(fleet, controller, options.rate, freeze, f"{'f' if freeze else 'k'}{number}"))
    fleet.wait_ready()
    what = "SIGSTOP" if freeze else "SIGKILL"
    named, asked, took = zip(*rounds)
    for name, values in ((f"{what} to the last reply that names the relay", named),
                         (f"{what} to the last time that an offer asked it", asked),
                         ("slowest reply", took)):
        print(f"{name}: p50 {quantile(values, 0.5) * 1000:.1f} ms, p99 {quantile(values, 0.99) * 1000:.1f} ms, "
              f"max {max(values) * 1000:.1f} ms ({len(values)} times)", flush=True)
    factor = 4 if options.slow else 1
    limit = (FROZEN_WITHIN if freeze else KILLED_WITHIN) * factor
    assert quantile(named, 0.99) < limit and quantile(asked, 0.99) < limit, (max(named), max(asked))
    assert max(took) < WORST_REPLY * factor


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--times", type=int, default=8)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--slow", action="store_true", help="a sanitizer's build: replies may take longer")
    options = parser.parse_args()
    with Fleet(options.binary) as fleet:
        for name in ("r1", "r2", "r3"):
            fleet.add_relay(name)
        controller = fleet.add_controller()
        for freeze in (False, True):
            measure(fleet, controller, options, freeze)


if __name__ == "__main__":
    main()
