"""Strangers spray RTP at the relay's whole port range: they hear nothing, and nobody hears them.

Two of them, one in the telephones' own /24 and one from elsewhere, send to every media port: before the
call, between offer and answer, while the relay learns, and throughout the call (CVE-2025-53399,
CVE-2017-14114). They send foreign SSRCs, and they also know what a wiretapper would: the SSRC of the
telephone and the sequence number it is about to send. Both listen all the time.
"""

import os
import random
import selectors
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from netns.lab import RELAY, Call, Public, Relay, both_ways, inside, main
from support.rtp_endpoint import Media, RtpEndpoint, rtp_packet

A, B, NEIGHBOUR, ELSEWHERE = "203.0.113.21", "203.0.113.41", "203.0.113.66", "198.51.100.66"
PORTS = (30000, 30199)
ROUNDS_PER_SECOND = 12
SPRAYED_AUDIO = b"\xd5" * 160  # silence, which no telephone here sends


class Stranger(threading.Thread):
    """Sends to every port of the range, round after round, and counts what it receives."""

    def __init__(self, namespace, address, seed):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        with inside(namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.ssrc = self.random.getrandbits(32)
        self.known = []       # telephones whose SSRC and sequence it has found out
        self.sent, self.received = 0, []
        self._over = threading.Event()

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.socket, selectors.EVENT_READ)
        sequence = self.random.getrandbits(16)
        while not self._over.is_set():
            began = time.monotonic()
            sequence += 1
            for port in range(PORTS[0], PORTS[1] + 1):
                self._send(port, self._packet(port, sequence))
            self._listen(selector, began + 1 / ROUNDS_PER_SECOND)
        self._listen(selector, time.monotonic() + 0.2)

    def _packet(self, port, sequence):
        if port % 2:  # an RTCP port: a sender report
            ssrc = self.random.choice(self.known).ssrc if self.known else self.ssrc
            return struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, 1, 2, 3, 4, 5)
        if self.known and self.random.random() < 0.7:
            phone = self.random.choice(self.known)
            return rtp_packet(phone.ssrc, phone.sequence + self.random.randrange(3),
                              phone.timestamp, SPRAYED_AUDIO)
        return rtp_packet(self.ssrc, sequence, sequence * 160, SPRAYED_AUDIO)

    def _send(self, port, packet):
        try:
            self.socket.sendto(packet, (RELAY, port))
            self.sent += 1
        except OSError:  # a full queue, or an ICMP error of a port without a call
            pass

    def _listen(self, selector, until):
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                return
            try:
                self.received.append(self.socket.recvfrom(65536))
            except OSError:
                pass

    def finish(self):
        self._over.set()
        self.join(5)
        self.socket.close()


def audible(phone, other):
    """Packets that a telephone heard and the other one did not send: sprayed audio or other SSRCs."""
    foreign = sum(len(h.sequences) for ssrc, h in phone.heard.items() if ssrc != other.ssrc)
    sprayed = sum(payload == SPRAYED_AUDIO for h in phone.heard.values()
                  for payload in h.payloads.values())
    return foreign + sprayed + len(phone.garbage)


def sprayed_call(figures, relay, places, strangers, *, know, story):
    with Media() as media:
        a = media.add(RtpEndpoint(A, name="A", namespace=places[0]))
        b = media.add(RtpEndpoint(B, name="B", namespace=places[1]))
        call = Call(relay, a, b, caller_from=A, callee_from=B)
        media.talk(0.5)                   # sprayed before the call,
        call.offer()
        media.talk(0.7)                   # while it rings,
        if know:                          # (by somebody who sees A's and B's packets)
            for stranger in strangers:
                stranger.known = [a, b]
        call.answer()
        media.talk(0.3)                   # after the answer, before the telephones' first packets,
        call.talk()
        media.talk(4.0)                   # and while they talk.
        media.hush()
        final = call.end()
        for stranger in strangers:
            stranger.known = []
        for flow in both_ways(call):
            figures.add(f"{story}: {flow.sender} -> {flow.receiver}",
                        f"{flow.sent} sent, {flow.lost} lost, latency p50 {flow.latency_ms_p50} ms, "
                        f"max {flow.latency_ms_max} ms")
            figures.check(flow.whole, f"{story}: media is whole", flow)
            figures.check({address for address, _ in flow.sources} == {RELAY},
                          f"{story}: media comes from the relay", flow.sources)
        for phone, other in ((a, b), (b, a)):
            figures.check(audible(phone, other) == 0, f"{story}: {phone.name} hears no stranger",
                          audible(phone, other))
            figures.check(set(phone.rtcp_sources) <= {phone.remote_rtcp} and
                          phone.rtcp_heard == other.rtcp_sent,
                          f"{story}: {phone.name} hears the other's RTCP alone",
                          f"{phone.rtcp_heard} of {other.rtcp_sent} from {phone.rtcp_sources}")
        return final


def test(net, arguments, figures):
    figures.add("seed", arguments.seed)
    public = Public(net)
    places = [public.place("a", A), public.place("b", B)]
    neighbour = public.place("neighbour", NEIGHBOUR)
    elsewhere = public.place("elsewhere", ELSEWHERE)
    public.build()
    with Relay(net, public.relay, arguments, ports=PORTS) as relay:
        strangers = [Stranger(neighbour, NEIGHBOUR, arguments.seed),
                     Stranger(elsewhere, ELSEWHERE, arguments.seed + 1)]
        for stranger in strangers:
            stranger.start()
        try:
            sprayed_call(figures, relay, places, strangers, know=False, story="blind spray")
            sprayed_call(figures, relay, places, strangers, know=True, story="SSRC and sequence known")
        finally:
            for stranger in strangers:
                stranger.finish()
        for stranger, name in zip(strangers, ("neighbour", "elsewhere")):
            figures.add(f"{name}", f"{stranger.sent} packets sent, {len(stranger.received)} received")
            figures.check(not stranger.received, f"{name} receives nothing",
                          [source for _, source in stranger.received[:3]])
            figures.check(stranger.sent > 10_000, f"{name} did spray", stranger.sent)
        drops = {reason: count for reason, count in relay.drops().items() if count}
        figures.add("drops", drops)
        if relay.kind == "rtpool":
            refused = drops.get("source_refused", 0) + drops.get("no_peer", 0)
            figures.check(refused > 200, "the sprayed packets are dropped and counted", drops)


if __name__ == "__main__":
    main(test, __doc__.splitlines()[0])
