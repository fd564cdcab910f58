#!/usr/bin/python3
"""A relay at its limits refuses new calls and lets those that stand be.

packets: with --max-packets-per-second and media in ten calls, three times as many calls are offered as there is room
for. Not more are taken than fit, each other one is refused with the words that proxies go on at, the standing calls
lose no packet, their re-INVITEs are served, memory stays, and when the offers end there is room within a second.
cpu: packets drive the relay beyond --max-cpu until it refuses; it takes calls again within a second of their end.
calls: calls that ring for a second and then talk are offered at three times what --max-cpu carries, as on a busy day.
pool: two relays of different size fill one after the other, and only when both are full is an offer refused.
"""

import argparse
import collections
import contextlib
import multiprocessing
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from support.fleet import Fleet
from support.ng_client import NgClient
from support.offers import OfferLoad, sdp
from support.rtp_endpoint import Media, RtpEndpoint, account, rtp_packet, sdp_endpoint
from support.rtpool_process import RtpoolServe

CALLS, ROOM = 10, 10  # with media all the time, and more that fit
HOLD = 0.5
RECOVERY = 1.0  # seconds until a relay with room takes calls again
WORST_REPLY = 0.250
SUPPORTS = ["load limit"]
# The relay itself refuses, or it is full as the pool has it.
CPU_TEXTS = ("CPU usage limit exceeded", "Load limit exceeded")
SILENCE = b"\xd5" * 160  # of A-law


class StandingCalls:
    """Calls of two telephones that talk all the time."""

    def __init__(self, ng, media, count):
        self.pairs, self.reinvited = [], 0
        for number in range(count):
            a, b = media.add(RtpEndpoint("127.0.0.1")), media.add(RtpEndpoint("127.0.0.1"))
            offered = ng.offer(self.name(number), "f", a.sdp())
            answered = ng.answer(self.name(number), "f", "t", b.sdp())
            a.call_sdp(answered["sdp"])
            b.call_sdp(offered["sdp"])
            self.pairs.append((a, b))

    @staticmethod
    def name(number):
        return f"standing-{number}"

    def reinvite(self, number, ng):
        """As a session refresh does it: the same addresses, a later version. Neither may be refused."""
        a, b = self.pairs[number]
        ng.offer(self.name(number), "f", a.sdp(version=2), to_tag="t", supports=SUPPORTS)
        ng.answer(self.name(number), "f", "t", b.sdp(version=2))
        self.reinvited += 1

    def check_whole(self):
        flows = [flow for a, b in self.pairs for flow in (account(a, b), account(b, a))]
        for flow in flows:
            assert flow.whole, f"a standing call was hurt: {flow}"
        return sum(flow.sent for flow in flows)


class Watch(threading.Thread):
    """Looks at the program once in a while: the most calls that the relay had, and its memory."""

    def __init__(self, rtpool):
        super().__init__(daemon=True)
        self.rtpool, self.calls, self.busy, self.memory_kib, self.done = rtpool, 0, 0, [], threading.Event()

    def run(self):
        while not self.done.wait(0.2):
            metrics = self.rtpool.metrics()
            self.calls = max(self.calls, metrics["rtpool_relay_calls"])
            self.busy = max(self.busy, metrics['rtpool_shard_busy{shard="0"}'])
            with open(f"/proc/{self.rtpool.pid}/status", encoding="ascii") as status:
                self.memory_kib.append(int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()

    def growth_kib(self):
        """From the most of the second quarter to the most of the last: caches are full by then."""
        quarter = len(self.memory_kib) // 4
        return max(self.memory_kib[-quarter:]) - max(self.memory_kib[quarter:2 * quarter])


def first_accepted(ng, within):
    """How long until an offer is taken."""
    began = time.monotonic()
    for attempt in range(int(within / 0.02) + 1):
        call = f"again-{began}-{attempt}"
        reply = ng.request("offer", check=False, call_id=call, from_tag="f", sdp=sdp(40000), supports=SUPPORTS)
        if reply["result"] == "ok":
            ng.delete(call, "f")
            return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"no offer was taken within {within} s: {reply}")


def wait_for(what, condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def refusals(load):
    """(result, text): how often."""
    failed = load.failures("offer")
    return collections.Counter((r.text.get("result"), r.text.get("message") or r.text.get("error-reason"))
                               for r in failed)


def packets(options):
    limit = (CALLS + ROOM) * 102  # two reports a second for each call beside its hundred packets
    with RtpoolServe(options.binary, "--max-packets-per-second", str(limit), "--max-cpu", "0", "--shards", "1",
                     "--port-rest", "200ms", "--log-level", "warning") as rtpool, \
         NgClient(*rtpool.ng) as ng, Media() as media, Watch(rtpool) as watch:
        standing = StandingCalls(ng, media, CALLS)
        media.talk(1.5)
        with OfferLoad([rtpool.ng], rate=3 * ROOM / HOLD, hold=HOLD) as load:
            apart = [threading.Thread(target=reinvite_apart, args=(rtpool, standing, n)) for n in range(3)]
            load.run(options.seconds, {options.seconds * share: thread.start
                                       for thread, share in zip(apart, (0.3, 0.5, 0.7))})
        # It takes calls again at once, and a proxy that does not know `load limit` gets what it knows.
        recovery = first_accepted(ng, RECOVERY)
        unaware = fill_without_support(ng)
        media.hush()
        sent = standing.check_whole()
        counts = rtpool.metrics()
        refused = refusals(load)
        log_lines = rtpool.stderr.count("new calls are refused")

    print(load.summary())
    slow = sorted(reply.took for reply in load.failures("offer"))
    print(f"refused offers: p50 {slow[len(slow) // 2] * 1000:.1f} ms, p99 {slow[int(len(slow) * 0.99)] * 1000:.1f} ms")
    print(f"packets: {sent} packets of {CALLS} standing calls, none lost; at most {watch.calls:.0f} calls of "
          f"{CALLS + ROOM}; refused: {dict(refused)}; again after {recovery * 1000:.0f} ms; memory "
          f"{watch.memory_kib[-1]} KiB, grown by {watch.growth_kib()} KiB; {log_lines} lines in the log")
    offers = len(load.took("offer"))
    assert set(refused) <= {("load limit", "Load limit exceeded")}, refused
    assert sum(refused.values()) > offers * 0.4, "three times what fits was offered"
    assert offers - sum(refused.values()) > offers * 0.15, "what fits was not taken"
    assert not load.failures("answer") and not [r for r in load.failures("delete") if r.text.get("result") != "ok"]
    assert watch.calls <= CALLS + ROOM, watch.calls
    assert standing.reinvited == 3, "a re-INVITE of a standing call was refused"
    assert load.slowest() < WORST_REPLY * (4 if options.slow else 1), load.slowest()
    assert unaware == {"error-reason": "Parallel session limit reached", "result": "error"}, unaware
    assert counts['rtpool_relay_calls_refused_total{reason="packets"}'] > 0
    assert 1 <= log_lines <= 2 + options.seconds / 5, f"{log_lines} lines in the log"
    assert options.seconds < 30 or watch.growth_kib() < 4096, watch.memory_kib


def reinvite_apart(rtpool, standing, number):
    """In a thread of its own, with a client of its own: the offers go on meanwhile."""
    with NgClient(*rtpool.ng) as ng:
        standing.reinvite(number, ng)


def fill_without_support(ng):
    for number in range(2 * ROOM):
        reply = ng.request("offer", check=False, call_id=f"old-{number}", from_tag="f", sdp=sdp(40000))
        if reply["result"] != "ok":
            return reply
    raise AssertionError("an offer beyond the limit was taken")


class Packets:
    """Audio through many calls, from a process of its own, which says nothing of what arrives: callers share a socket,
    and so do callees. Each call has 100 packets a second times `pace`."""

    def __init__(self):
        self.sockets = []
        for _ in range(2):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind(("127.0.0.1", 0))
            self.sockets.append(made)
        self.ports = tuple(made.getsockname()[1] for made in self.sockets)
        self.pace = multiprocessing.Value("d", 1.0)
        self._told, tell = multiprocessing.Pipe(duplex=False)
        self._tell = tell
        self._process = multiprocessing.get_context("fork").Process(target=self._run, daemon=True)

    def begin(self, call, caller_to, callee_to, after=0.0):
        """Both parties of a call send to these ports of the relay, from some time on."""
        self._tell.send((time.monotonic() + after, call, (caller_to, callee_to)))

    def end(self, call):
        self._tell.send((time.monotonic(), call, None))

    def _run(self):
        began, owed, number = time.monotonic(), 0.0, 0
        later, active, order = [], {}, []
        while True:
            time.sleep(0.001)
            while self._told.poll():
                later.append(self._told.recv())
            now = time.monotonic()
            for entry in [e for e in later if e[0] <= now]:
                later.remove(entry)
                _, call, ports = entry
                if ports is None:
                    active.pop(call, None)
                    later = [e for e in later if e[1] != call]
                else:
                    active[call] = ports
                order = list(active.items())
            owed = min(owed + (now - began) * 50 * self.pace.value * len(order), 3000)
            began = now
            while owed >= 1 and order:
                owed -= 1
                number += 1
                call, ports = order[number % len(order)]
                for side in (0, 1):
                    with contextlib.suppress(OSError):
                        self.sockets[side].sendto(rtp_packet(2 * call + side + 1, number // len(order), number, SILENCE),
                                                  ("127.0.0.1", ports[side]))

    def __enter__(self):
        self._process.start()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.join()
        for each in self.sockets:
            each.close()


def cpu(options):
    with RtpoolServe(options.binary, "--max-cpu", "10", "--shards", "1", "--log-level", "warning") as rtpool, \
         NgClient(*rtpool.ng) as ng, Media() as media, Packets() as packets_through:
        standing = StandingCalls(ng, media, 4)
        for number in range(20):
            offered = ng.offer(f"busy-{number}", "f", sdp(packets_through.ports[0]))
            answered = ng.answer(f"busy-{number}", "f", "t", sdp(packets_through.ports[1]))
            packets_through.begin(number, sdp_endpoint(answered["sdp"])[1], sdp_endpoint(offered["sdp"])[1])
        for pace in range(1, 40):
            packets_through.pace.value = pace
            media.talk(0.5)
            metrics = rtpool.metrics()
            busy = metrics['rtpool_shard_busy{shard="0"}']
            if metrics["rtpool_relay_load"] == 1:
                break
        else:
            raise AssertionError(f"{pace * 2000} packets a second do not keep a shard busy: {busy}")
        reply = ng.request("offer", check=False, call_id="refused", from_tag="f", sdp=sdp(40000), supports=SUPPORTS)
        assert reply["result"] == "load limit" and reply["message"] in CPU_TEXTS, reply
        standing.reinvite(0, ng)
        ng.delete(standing.name(3), "f")
        packets_through.pace.value = 0
        recovery = first_accepted(ng, RECOVERY + (2 if options.slow else 0.5))
        media.hush()
        standing.pairs.pop()
        sent = standing.check_whole()
    print(f"cpu: refused at {pace * 2000} packets a second with the shard {busy * 100:.1f} % busy; {sent} packets of "
          f"standing calls, none lost; again after {recovery * 1000:.0f} ms")


def calls(options):
    limit, rate, hold, ring = 10, 200, max(options.seconds / 6, 2.0), 1.0
    with RtpoolServe(options.binary, "--max-cpu", str(limit), "--shards", "1", "--log-level", "warning",
                     "--media-ports", "10000-29999", "--port-rest", "200ms") as rtpool, \
         NgClient(*rtpool.ng) as ng, Media() as media, Packets() as packets_through, Watch(rtpool) as watch:
        standing = StandingCalls(ng, media, CALLS)
        offered = {}

        def follow(reply):
            if reply.ok and reply.command == "offer":
                offered[reply.call] = sdp_endpoint(reply.text["sdp"])[1]
            elif reply.ok and reply.command == "answer":
                packets_through.begin(reply.call, sdp_endpoint(reply.text["sdp"])[1], offered[reply.call], after=ring)
            elif reply.command == "delete" and reply.call in offered:
                packets_through.end(reply.call)

        with OfferLoad([rtpool.ng], rate, hold=hold, ports=packets_through.ports, on_reply=follow) as load:
            load.run(options.seconds)
        recovery = first_accepted(ng, RECOVERY + ring)
        media.hush()
        sent = standing.check_whole()
        refused = refusals(load)
    taken = len(load.took("offer")) - sum(refused.values())
    print(load.summary())
    print(f"calls: {rate} offered a second for {hold:.1f} s each, {taken} taken, at most {watch.calls:.0f} at once; the "
          f"shard at most {watch.busy * 100:.1f} % busy of {limit} %; {sent} packets of standing calls, none lost; "
          f"refused: {dict(refused)}; again after {recovery * 1000:.0f} ms")
    assert taken > CALLS and refused and set(refused) <= {("load limit", text) for text in CPU_TEXTS}, refused
    assert not load.failures("answer")


def pool(options):
    with Fleet(options.binary) as fleet:
        fleet.add_relay("small", "--max-packets-per-second", "300")
        fleet.add_relay("large", "--max-bandwidth", "1M")
        controller = fleet.add_controller()
        fleet.wait_ready()
        with NgClient(*controller.ng) as ng:
            places, reply = collections.Counter(), None
            for number in range(20):
                reply = ng.request("offer", check=False, call_id=f"c-{number}", from_tag="f", sdp=sdp(40000),
                                   supports=SUPPORTS)
                if reply["result"] != "ok":
                    break
                places[fleet.relay_of(reply["sdp"])] += 1
            # Three calls of 100 packets and six of 160 kbit/s, as nothing else is known of them.
            assert places == {"small": 3, "large": 6}, places
            assert reply["result"] == "load limit", reply
            assert reply["message"] in ("Load limit exceeded", "Bandwidth limit exceeded"), reply
            # One end makes room at one relay; calls go there and nowhere else.
            for number in range(9):
                ng.delete(f"c-{number}", "f")
            recovery = first_accepted(ng, RECOVERY)
    print(f"pool: {dict(places)} calls, then {reply}; again after {recovery * 1000:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=60, help="how long calls are offered")
    parser.add_argument("--only", choices=("packets", "cpu", "calls", "pool"))
    parser.add_argument("--slow", action="store_true", help="a sanitizer's build: replies may take longer")
    options = parser.parse_args()
    for part in (pool, cpu, calls, packets):
        if options.only in (None, part.__name__):
            part(options)


if __name__ == "__main__":
    main()
