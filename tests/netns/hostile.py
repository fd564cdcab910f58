"""4,000 mutated NG requests and 3,000 hostile datagrams do not disturb a standing call.

The call runs all the while. Hostile datagrams come from its telephones' own sockets, from other ports of
their hosts, and from a stranger. Afterwards the relay is alive and answers at once, each packet of the call
has arrived and nothing else was heard, what was dropped is counted, memory has not grown by more than a
stated bound, and after the calls that mutated offers made are deleted, only the standing call is left.
"""

import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from netns.lab import RELAY, Call, Public, Relay, both_ways, inside, main
from netns.mutations import foreign_datagram, malformed_datagram, ng_datagram
from support.namespaces import processor_seconds, resident_bytes
from support.rtp_endpoint import Media, RtpEndpoint

A, B, STRANGER = "203.0.113.21", "203.0.113.41", "203.0.113.66"
NG_REQUESTS, DATAGRAMS = 4_000, 3_000
WARM_UP = 600
PORTS = (30000, 33999)
# Replies are kept for retransmitted requests, within a limit of their own; beyond these, arenas and slabs.
MEBIBYTE = 1 << 20
GROWTH_ALLOWED, GROWTH_ALLOWED_ASAN = 16 * MEBIBYTE, 128 * MEBIBYTE
ANSWER_WITHIN = 1.0  # the proxies' patience before they try again, on a machine that may be busy


class NgAttack:
    """Sends hostile requests, some at a time, and takes what answers there are."""

    def __init__(self, relay, seed):
        self.random, self.relay = random.Random(seed), relay
        self.client = relay.client()
        self.client.socket.setblocking(False)
        self.sent = self.answers = 0
        self.slowest = 0.0

    def run(self, count):
        for number in range(count):
            self.sent += 1
            try:
                self.client.socket.send(ng_datagram(self.random, self.sent))
            except OSError:
                pass
            time.sleep(0.001)
            self._take_answers()
            if number % 100 == 99:
                began = time.monotonic()
                assert self.relay.alive(), f"no answer to a ping after {self.sent} hostile requests"
                self.slowest = max(self.slowest, time.monotonic() - began)
        self._take_answers()

    def _take_answers(self):
        while True:
            try:
                self.client.socket.recv(65536)
                self.answers += 1
            except OSError:
                return


class MediaAttack:
    """Hostile datagrams at the four media ports of a call."""

    def __init__(self, call, stranger_namespace, seed):
        self.random, self.call = random.Random(seed), call
        self.others = {who: socket_at(who.namespace, who.address) for who in (call.caller, call.callee)}
        self.stranger = socket_at(stranger_namespace, STRANGER)
        self.sent = self.refused_by_kernel = 0

    def run(self, count):
        for _ in range(count):
            who = self.random.choice((self.call.caller, self.call.callee))
            rtp = self.random.random() < 0.7
            target = who.remote if rtp else who.remote_rtcp
            kind = self.random.randrange(3)
            if kind == 0:
                out = who.rtp_socket if rtp else who.rtcp_socket
                datagram = malformed_datagram(self.random, who.ssrc)
            else:
                out = self.others[who] if kind == 1 else self.stranger
                datagram = foreign_datagram(self.random, self.random.getrandbits(32) if kind == 1
                                            else who.ssrc)
            try:
                out.sendto(datagram, target)
                self.sent += 1
            except OSError:
                self.refused_by_kernel += 1
            time.sleep(0.0015)

    def close(self):
        for each in (*self.others.values(), self.stranger):
            each.close()


def socket_at(namespace, address):
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    made.bind((address, 0))
    return made


def delete_leftovers(relay, standing):
    """Deletes the calls that some mutated offers did make; gives how many there were."""
    made = 0
    for _ in range(20):
        others = [call_id for call_id in relay.ng.list() if call_id != standing]
        if not others:
            break
        made += len(others)
        for call_id in others:
            relay.ng.request("delete", call_id=call_id, delete_delay=0, check=False)
    return made


def settled_memory(relay, standing):
    delete_leftovers(relay, standing)
    time.sleep(1.2)
    return resident_bytes(relay.pid)


def check_drops(figures, relay, before, attack):
    after = relay.drops()
    new = {r: n - before.get(r, 0) for r, n in after.items() if n > before.get(r, 0)}
    figures.add("datagrams dropped", new)
    if relay.kind == "rtpool":
        figures.check(sum(new.values()) == attack, "every hostile datagram is dropped and counted",
                      f"{sum(new.values())} of {attack}")


def attack_call(figures, relay, arguments, call, media, stranger):
    ng = NgAttack(relay, arguments.seed)
    datagrams = MediaAttack(call, stranger, arguments.seed + 1)
    media.talk(0.5)
    ng.run(WARM_UP)
    datagrams.run(WARM_UP)
    memory = settled_memory(relay, call.call_id)
    drops, warm = relay.drops(), datagrams.sent
    spent = processor_seconds(relay.pid)
    ng.run(NG_REQUESTS)
    spent = processor_seconds(relay.pid) - spent
    datagrams.run(DATAGRAMS)
    figures.add("NG requests", f"{ng.sent} sent, {ng.answers} answered, slowest ping among them "
                f"{ng.slowest * 1e3:.1f} ms")
    figures.add("hostile datagrams", f"{datagrams.sent} sent")
    figures.add("processor time", f"{spent / NG_REQUESTS * 1e3:.2f} ms for each hostile NG request")
    figures.check(datagrams.refused_by_kernel == 0, "all were sent", datagrams.refused_by_kernel)
    figures.check(ng.slowest < ANSWER_WITHIN, "answers come at once", ng.slowest)
    figures.check(relay.alive(), "the relay is alive")
    made = delete_leftovers(relay, call.call_id)
    grown = settled_memory(relay, call.call_id) - memory
    bound = GROWTH_ALLOWED_ASAN if relay.sanitized else GROWTH_ALLOWED
    figures.add("memory", f"{memory / MEBIBYTE:.1f} MiB before, {grown / MEBIBYTE:+.1f} MiB after "
                f"(allowed {bound // MEBIBYTE}); {made} calls came of mutated offers")
    figures.check(grown <= bound, "memory is flat", grown)
    time.sleep(1.0)  # counters may be a second old
    check_drops(figures, relay, drops, datagrams.sent - warm)
    figures.check(relay.ng.list() == [call.call_id], "only the standing call is left", relay.ng.list())
    datagrams.close()
    ng.client.close()


def test(net, arguments, figures):
    figures.add("seed", arguments.seed)
    public = Public(net)
    home_a, home_b = public.place("a", A), public.place("b", B)
    stranger = public.place("stranger", STRANGER)
    public.build()
    env = {"ASAN_OPTIONS": "quarantine_size_mb=8:malloc_context_size=5"}
    with Relay(net, public.relay, arguments, ports=PORTS, env=env) as relay, Media() as media:
        a = media.add(RtpEndpoint(A, name="A", namespace=home_a))
        b = media.add(RtpEndpoint(B, name="B", namespace=home_b))
        call = Call(relay, a, b, caller_from=A, callee_from=B)
        with call.standing(media):
            attack_call(figures, relay, arguments, call, media, stranger)
        for flow in both_ways(call):
            figures.add(f"{flow.sender} -> {flow.receiver}", f"{flow.sent} sent, {flow.lost} lost")
            figures.check(flow.whole, "the standing call is whole", flow)
            figures.check({address for address, _ in flow.sources} == {RELAY},
                          "its media comes from the relay", flow.sources)
        figures.check(not a.garbage and not b.garbage, "no hostile datagram came through",
                      [d[:20] for _, d in (a.garbage + b.garbage)[:5]])
        figures.check((a.rtcp_heard, b.rtcp_heard) == (b.rtcp_sent, a.rtcp_sent), "RTCP is whole",
                      (a.rtcp_heard, b.rtcp_sent, b.rtcp_heard, a.rtcp_sent))


if __name__ == "__main__":
    main(test, __doc__.splitlines()[0])
