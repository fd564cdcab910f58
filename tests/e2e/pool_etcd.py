#!/usr/bin/python3
"""Three registrars on three etcd nodes, all real: whatever of them dies, no new call fails.

Calls come at a steady rate to two controllers, their requests to either of them at random, while
  1. a registrar is killed, and started again;
  2. the leader of etcd is killed, and started again;
  3. all of etcd is stopped for ten seconds, a relay joins and one dies meanwhile;
  4. all registrars are killed, and started again: the whole pool is back.
Every offer succeeds each time and every reply comes within 250 ms. With the store away, a call is known to the
controller that began it, so then each call stays at one; before and after, its requests go anywhere.
"""

import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from support.etcd_cluster import EtcdCluster
from support.fleet import Fleet
from support.offers import OfferLoad

WORST_REPLY = 0.250


class Trial:
    def __init__(self, fleet, etcd, options):
        self.fleet, self.etcd, self.options = fleet, etcd, options
        self.choice = random.Random(11)
        self.limit = WORST_REPLY * (4 if options.slow else 1)

    def load(self, seconds, at, scattered):
        places = {}

        def place(call, command):
            key = (call, command) if scattered else call
            return places.setdefault(key, self.choice.randrange(len(self.fleet.controllers)))

        with OfferLoad([c.ng for c in self.fleet.controllers], self.options.rate, hold=0.5, place=place) as load:
            return load.run(seconds, at)

    def show(self, what, load, orphaned=()):
        print(f"{what}\n  " + load.summary().replace("\n", "\n  "), flush=True)
        assert not load.failures("offer"), load.failures("offer")[:3]
        lost = [r for r in load.failures("answer") + load.failures("delete") if r.call not in orphaned]
        assert not lost, lost[:3]
        assert load.slowest() < self.limit, f"{load.slowest() * 1000:.0f} ms"

    def registrar_dies(self):
        registrar = self.fleet.registrars[0]
        kept = []
        load = self.load(6, {1.5: lambda: self.fleet.kill(registrar),
                             3: lambda: kept.append(self.etcd.count("record/")),
                             4: lambda: self.fleet.restart_registrar(0)}, scattered=True)
        assert kept[0] > 0, "no call record was seen in etcd"
        self.show("a registrar is killed, and is back", load)

    def leader_dies(self):
        leader = self.etcd.leader()
        load = self.load(8, {1.5: lambda: self.etcd.kill(leader),
                             5: lambda: self.etcd.start(leader)}, scattered=False)
        self.show("the leader of etcd is killed, and is back", load)

    def no_etcd(self):
        fleet, times = self.fleet, {}
        calls_of = {}

        def kill_relay():
            times["killed"] = fleet.kill(fleet.relays["r1"])

        load = self.load(14, {1: self.etcd.stop_all, 4: kill_relay, 11: self.etcd.start_all}, scattered=False)
        for reply in load.replies:
            if reply.command == "offer" and reply.ok:
                calls_of[reply.call] = fleet.relay_of(reply.text["sdp"])
        self.show("all of etcd is stopped for ten seconds, a relay dies meanwhile", load,
                  orphaned={call for call, relay in calls_of.items() if relay == "r1"})
        late = [reply for reply in load.replies if reply.command == "offer" and
                reply.sent > times["killed"] + 0.02 and calls_of.get(reply.call) == "r1"]
        assert not late, "the dead relay was handed out"

    def all_registrars_die(self):
        fleet = self.fleet

        def kill_all():
            for registrar in fleet.registrars:
                fleet.kill(registrar)

        def start_all():
            for index in range(len(fleet.registrars)):
                fleet.restart_registrar(index)

        load = self.load(7, {1: kill_all, 4: start_all}, scattered=False)
        self.show("all registrars are killed, and are back: calls from the cached view", load)
        fleet.wait_ready()

    def nothing_left(self):
        deadline = time.monotonic() + 10
        for controller in self.fleet.controllers:
            for metric in ("rtpool_calls", "rtpool_calls_unsaved"):
                while (value := controller.metric(metric)) != 0:
                    assert time.monotonic() < deadline, f"{metric} is {value}"
                    time.sleep(0.05)
        while (records := self.etcd.count("record/")) != 0:
            assert time.monotonic() < deadline, f"{records} records are left in etcd"
            time.sleep(0.1)
        print("nothing is left: no call at a controller, no record in etcd")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--slow", action="store_true", help="a sanitizer's build: replies may take longer")
    options = parser.parse_args()
    with EtcdCluster(3) as etcd, Fleet(options.binary, registrars=3, store=etcd.url) as fleet:
        for name in ("r1", "r2", "r3"):
            fleet.add_relay(name)
        for _ in range(2):
            fleet.add_controller()
        fleet.wait_ready()
        trial = Trial(fleet, etcd, options)
        trial.registrar_dies()
        trial.leader_dies()
        trial.no_etcd()
        trial.all_registrars_die()
        trial.nothing_left()


if __name__ == "__main__":
    main()
