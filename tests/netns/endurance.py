"""2,000 calls are set up, talk a little and are torn down: ports, memory and files are as before.

The relay has done as much before, and has had time to forget the replies that it keeps for retransmitted requests:
so whatever is more at the end than at the beginning has leaked.

Four proxies do so at once, every fourth call is only offered and then deleted, and in each of the others both
telephones' first packets are sent and arrive. A call that stands all the while stays whole.
"""

import os
import queue
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from netns.lab import Call, Public, Relay, both_ways, inside, main, wait_for
from support.namespaces import open_files, processor_seconds, resident_bytes
from support.rtp_endpoint import Media, RtpEndpoint, rtp_packet, sdp_endpoint

A, B = "203.0.113.21", "203.0.113.41"
CALLS, PROXIES = 2_000, 4
REPLIES_KEPT_SECONDS = 31
PORTS = (20000, 39999)
MEBIBYTE = 1 << 20
GROWTH_ALLOWED, GROWTH_ALLOWED_ASAN = 2 * MEBIBYTE, 64 * MEBIBYTE
PACKETS = 3


class Proxy(threading.Thread):
    """Sets calls up and down, one after another, as long as there are numbers to take."""

    def __init__(self, relay, places, numbers):
        super().__init__(daemon=True)
        self.ng, self.numbers = relay.client(), numbers
        self.phones = [phone(place, address) for place, address in zip(places, (A, B))]
        self.failure, self.slowest = None, 0.0
        self.sent = self.heard = 0

    def run(self):
        try:
            while True:
                self._one_call(self.numbers.get_nowait())
        except queue.Empty:
            pass
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure
        self.ng.close()
        for each in self.phones:
            each.close()

    def _one_call(self, number):
        call_id, (a, b) = f"endurance-{number}", self.phones
        began = time.monotonic()
        offered = self.ng.offer(call_id, "f", sdp(a), received_from=["IP4", A])["sdp"]
        self.slowest = max(self.slowest, time.monotonic() - began)
        if number % 4:
            answered = self.ng.answer(call_id, "f", "t", sdp(b), received_from=["IP4", B])["sdp"]
            for n in range(PACKETS):
                self._pass(number, n, a, sdp_endpoint(answered), b)
                self._pass(number, n, b, sdp_endpoint(offered), a)
        self.ng.delete(call_id, "f")

    def _pass(self, number, n, sender, relay, receiver):
        packet = rtp_packet(number << 8 | (sender is self.phones[0]), n, 160 * n, bytes(160))
        sender.sendto(packet, relay)
        self.sent += 1
        while receiver.recv(2048) != packet:  # a late one of another call
            pass
        self.heard += 1


def phone(namespace, address):
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(5)
    return made


def sdp(bound):
    address, port = bound.getsockname()
    return (f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")


def run_calls(figures, relay, places, first, count):
    numbers = queue.Queue()
    for number in range(first, first + count):
        numbers.put(number)
    proxies = [Proxy(relay, places, numbers) for _ in range(PROXIES)]
    for proxy in proxies:
        proxy.start()
    for proxy in proxies:
        proxy.join(50)
    failures = [proxy.failure for proxy in proxies if proxy.failure] + \
               ["a proxy still waits" for proxy in proxies if proxy.is_alive()]
    figures.check(not failures, "every call was set up, heard and ended", failures)
    return sum(p.sent for p in proxies), sum(p.heard for p in proxies), max(p.slowest for p in proxies)


def resources(relay):
    metrics = relay.metrics()
    return {"files": open_files(relay.pid), "memory": resident_bytes(relay.pid),
            "kept replies": int(metrics.get("rtpool_ng_cache_entries", 0)),
            "leased": int(metrics.get('rtpool_ports{state="leased"}', 0))}


def idle(relay, standing):
    """Only the standing call is left, and its are the only ports that are leased."""
    return relay.ng.list() == [standing] and resources(relay)["leased"] <= 4


def settled(relay, call):
    wait_for(lambda: idle(relay, call.call_id), 10, "the calls' end")
    time.sleep(1.2)  # counters may be a second old
    return resources(relay)


def test(net, arguments, figures):
    public = Public(net)
    places = [public.place("a", A), public.place("b", B)]
    public.build()
    env = {"ASAN_OPTIONS": "quarantine_size_mb=8:malloc_context_size=5"}
    options = ("--log-level", "warning") if arguments.relay == "rtpool" else ()
    with Relay(net, public.relay, arguments, ports=PORTS, env=env, options=options) as relay, \
            Media() as media:
        a = media.add(RtpEndpoint(A, name="A", namespace=places[0]))
        b = media.add(RtpEndpoint(B, name="B", namespace=places[1]))
        call = Call(relay, a, b, caller_from=A, callee_from=B)
        with call.standing(media):
            run_calls(figures, relay, places, 0, CALLS)
            before = settled(relay, call)
            media.talk(REPLIES_KEPT_SECONDS)
            began, spent = time.monotonic(), processor_seconds(relay.pid)
            sent, heard, slowest = run_calls(figures, relay, places, CALLS, CALLS)
            seconds, spent = time.monotonic() - began, processor_seconds(relay.pid) - spent
            after = settled(relay, call)
        figures.add("calls", f"{CALLS} in {seconds:.1f} s, {spent / CALLS * 1e3:.2f} ms of processor time each, "
                    f"slowest offer {slowest * 1e3:.0f} ms")
        figures.add("packets", f"{sent} sent, {heard} heard")
        figures.check(heard == sent > CALLS, "every packet was heard", (sent, heard))
        for name, value in before.items():
            figures.add(name, f"{value} before, {after[name]} after")
        # A scrape of the metrics may still be closing; a leak would be one a call.
        figures.check(after["files"] <= before["files"] + 2, "files are flat", after["files"])
        figures.check(after["leased"] <= before["leased"], "ports are given back", after["leased"])
        grown = after["memory"] - before["memory"]
        bound = GROWTH_ALLOWED_ASAN if relay.sanitized else GROWTH_ALLOWED
        figures.add("memory grew by", f"{grown / MEBIBYTE:+.2f} MiB (allowed {bound // MEBIBYTE})")
        figures.check(grown <= bound, "memory is flat", grown)
        for flow in both_ways(call):
            figures.add(f"{flow.sender} -> {flow.receiver}", f"{flow.sent} sent, {flow.lost} lost")
            figures.check(flow.whole, "the standing call is whole", flow)


if __name__ == "__main__":
    main(test, __doc__.splitlines()[0])
