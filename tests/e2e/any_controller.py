#!/usr/bin/python3
"""Any controller serves any call: offered at one, answered at another, deleted at a third.

Three controllers, two relays, one registrar with the store that all share.
  1. One call with media: the telephones' packets pass, a re-INVITE goes to yet another controller, the delete's
     statistics are right although its controller saw nothing of the call before.
  2. Many calls whose every request goes to a random controller: none fails, statistics name both sides.
  3. A controller is killed between offer and answer: the others go on.
  4. A relay is killed under a call: the next re-INVITE, at another controller, moves it to a live relay with new
     ports, and what is known of the other side is kept.
  5. Nothing is left: no call at any controller, no port at any relay, no record in the store.
"""

import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from support.fleet import Fleet
from support.ng_client import NgClient
from support.offers import OfferLoad, sdp
from support.rtp_endpoint import rtp_packet, sdp_endpoint

import socket

PACKETS = 50


def phone():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(2)
    return made


def one_call(clients):
    first, second, third = clients
    a, b = phone(), phone()
    source = {"received_from": ["IP4", "127.0.0.1"]}
    offered = first.offer("one-call", "alice", sdp(a.getsockname()[1]), **source)
    answered = second.answer("one-call", "alice", "bob", sdp(b.getsockname()[1]), **source)
    to_b, to_a = sdp_endpoint(offered["sdp"]), sdp_endpoint(answered["sdp"])
    talk(a, to_a, b, to_b, 0)
    # The re-INVITE reaches the controller that has not seen the call yet.
    again = third.offer("one-call", "alice", sdp(a.getsockname()[1]), to_tag="bob", **source)
    assert sdp_endpoint(again["sdp"]) == to_b, "the other side keeps its ports"
    first.answer("one-call", "alice", "bob", sdp(b.getsockname()[1]), **source)
    talk(a, to_a, b, to_b, PACKETS)
    report = second.delete("one-call", "alice", to_tag="bob")
    assert set(report["tags"]) == {"alice", "bob"}, report["tags"].keys()
    for tag in ("alice", "bob"):
        heard = report["tags"][tag]["medias"][0]["streams"][0]["stats"]["packets"]
        assert heard == 2 * PACKETS, f"{tag}: {heard} packets of {2 * PACKETS} in the statistics"
    assert report["totals"]["RTP"]["packets"] == 4 * PACKETS, report["totals"]
    print(f"offer at 1, answer at 2, re-INVITE at 3 and 1, delete at 2: {4 * PACKETS} packets passed and counted")


def talk(a, to_a, b, to_b, start):
    """`to_a` is where alice sends: the ports in the answer that she got."""
    for n in range(start, start + PACKETS):
        for sender, target, receiver, ssrc in ((a, to_a, b, 1), (b, to_b, a, 2)):
            packet = rtp_packet(ssrc, n, 160 * n, bytes(160))
            sender.sendto(packet, target)
            assert receiver.recv(2048) == packet


def many_calls(fleet, seconds, rate):
    choice = random.Random(7)
    places = {}

    def place(call, command):
        return places.setdefault((call, command), choice.randrange(3))

    with OfferLoad([c.ng for c in fleet.controllers], rate, hold=0.2, place=place) as load:
        load.run(seconds)
        print(load.summary())
        for command in ("offer", "answer", "delete"):
            assert not load.failures(command), (command, load.failures(command)[:2])
        for reply in load.replies:
            if reply.command == "delete":
                assert set(reply.text["tags"]) == {"f", "t"}, reply.text
        assert len({places[0, "offer"], *(p for p in places.values())}) == 3


def controller_dies(fleet, clients):
    clients[0].offer("orphan", "alice", sdp(40000))
    fleet.kill(fleet.controllers[0])
    clients[1].answer("orphan", "alice", "bob", sdp(40002))
    report = clients[2].delete("orphan", "alice", to_tag="bob")
    assert set(report["tags"]) == {"alice", "bob"}
    print("a call whose controller was killed is answered and deleted at the others")


def relay_dies(fleet, clients):
    a, b = phone(), phone()
    source = {"received_from": ["IP4", "127.0.0.1"]}
    offered = clients[1].offer("moved", "alice", sdp(a.getsockname()[1]), **source)
    clients[1].answer("moved", "alice", "bob", sdp(b.getsockname()[1]), **source)
    dead = fleet.relay_of(offered["sdp"])
    fleet.kill(fleet.relays[dead])
    began = time.monotonic()
    again = clients[2].offer("moved", "alice", sdp(a.getsockname()[1]), to_tag="bob", **source)
    took = time.monotonic() - began
    assert fleet.relay_of(again["sdp"]) != dead
    fleet.forget_relay(dead)
    answered = clients[1].answer("moved", "alice", "bob", sdp(b.getsockname()[1]), **source)
    talk(a, sdp_endpoint(answered["sdp"]), b, sdp_endpoint(again["sdp"]), 0)
    report = clients[1].delete("moved", "alice", to_tag="bob")
    assert report["totals"]["RTP"]["packets"] == 2 * PACKETS, report["totals"]
    print(f"a re-INVITE moved the call from the dead relay in {took * 1000:.1f} ms; media pass again")


def nothing_left(fleet):
    deadline = time.monotonic() + 5

    def waits_for_zero(what, read):
        while (value := read()) != 0:
            assert time.monotonic() < deadline, f"{what}: {value} left"
            time.sleep(0.05)

    for index, controller in enumerate(fleet.controllers[1:], 2):
        waits_for_zero(f"calls at controller {index}", lambda c=controller: c.metric("rtpool_calls"))
        waits_for_zero(f"unsaved calls at controller {index}", lambda c=controller: c.metric("rtpool_calls_unsaved"))
    for name, relay in fleet.relays.items():  # those that live
        waits_for_zero(f"ports of {name}", lambda r=relay: r.metrics()['rtpool_ports{state="leased"}'])
    waits_for_zero("records", lambda: fleet.registrars[0].metrics()["rtpool_registrar_records"])
    print("nothing is left: no call, no port, no record")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rate", type=float, default=60)
    options = parser.parse_args()
    with Fleet(options.binary) as fleet:
        for name in ("r1", "r2"):
            fleet.add_relay(name)
        for _ in range(3):
            fleet.add_controller()
        fleet.wait_ready()
        clients = [NgClient(*controller.ng) for controller in fleet.controllers]
        one_call(clients)
        many_calls(fleet, options.seconds, options.rate)
        controller_dies(fleet, clients)
        relay_dies(fleet, clients)
        nothing_left(fleet)
        for client in clients:
            client.close()


if __name__ == "__main__":
    main()
