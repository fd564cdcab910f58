"""Telephones for tests: paced RTP and RTCP with every packet accounted for.

An RtpEndpoint has an even/odd pair of UDP sockets, speaks PCMA (real audio: a chirp, a different one
for each endpoint) and notes every packet that it sends and hears, with SSRC, sequence number, payload
and source. A Media thread paces all endpoints of a test. account() then says what became of each
packet in one direction.

    with Media() as media:
        a = media.add(RtpEndpoint("127.0.0.1", name="A"))
        b = media.add(RtpEndpoint("127.0.0.1", name="B"))
        a.call(*b.rtp); b.call(*a.rtp)
        media.talk(2.0)
    flow = account(a, b)
    assert flow.whole, flow
"""

import collections
import dataclasses
import functools
import heapq
import math
import os
import re
import selectors
import socket
import struct
import threading
import time

from support.namespaces import inside

PCMA = 8
SAMPLES = 160  # 20 ms at 8000 Hz


def _alaw(sample):
    """G.711 A-law of one 16-bit sample."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = (sample if sample >= 0 else -sample - 1) >> 4
    segment = max(magnitude.bit_length() - 4, 0)
    return (sign | segment << 4 | (magnitude >> max(segment - 1, 0)) & 0x0F) ^ 0x55


@functools.lru_cache(maxsize=64)
def chirp(low_hz, high_hz):
    """One second of A-law audio that rises from one pitch to another, cut into 20 ms payloads: each
    sounds different, so that a swapped or repeated one is noticed."""
    phase, audio = 0.0, bytearray()
    for n in range(8000):
        phase += 2 * math.pi * (low_hz + (high_hz - low_hz) * n / 8000) / 8000
        audio.append(_alaw(int(12000 * math.sin(phase))))
    return [bytes(audio[at:at + SAMPLES]) for at in range(0, 8000, SAMPLES)]


def rtp_packet(ssrc, sequence, timestamp, payload, payload_type=PCMA, marker=False):
    return struct.pack("!BBHII", 0x80, marker << 7 | payload_type, sequence & 0xFFFF,
                       timestamp & 0xFFFFFFFF, ssrc) + payload


def sdp_endpoint(sdp, media=0):
    """(address, port) of one m= line of an SDP, the c= line of its own or of the session."""
    parts = re.split(r"(?m)^(?=m=)", sdp)
    section = parts[media + 1]
    line = re.search(r"(?m)^c=IN IP[46] (\S+)", section) or re.search(r"(?m)^c=IN IP[46] (\S+)",
                                                                      parts[0])
    return line[1], int(re.match(r"m=\S+ (\d+)", section)[1])


def sdp_rtcp_port(sdp, media=0):
    """The port of a=rtcp, or RTP's port + 1."""
    section = re.split(r"(?m)^(?=m=)", sdp)[media + 1]
    line = re.search(r"(?m)^a=rtcp:(\d+)", section)
    return int(line[1]) if line else sdp_endpoint(sdp, media)[1] + 1


@dataclasses.dataclass
class Heard:
    """What one endpoint heard of one SSRC."""
    sequences: list = dataclasses.field(default_factory=list)  # extended, in order of arrival
    payloads: dict = dataclasses.field(default_factory=dict)   # extended sequence: payload
    times: dict = dataclasses.field(default_factory=dict)      # extended sequence: monotonic time
    highest: int = -1


class RtpEndpoint:
    """One telephone. Sockets are opened here (in `namespace`, if given) on `port` or a free even one."""

    _count = 0

    def __init__(self, address, port=0, *, name=None, namespace=None, ssrc=None, audio=None,
                 interval=0.02, rtcp_interval=1.0):
        RtpEndpoint._count += 1
        number = RtpEndpoint._count
        self.name = name or f"endpoint-{number}"
        self.address, self.namespace = address, namespace
        self.interval, self.rtcp_interval = interval, rtcp_interval
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.ssrc = ssrc if ssrc is not None else struct.unpack("!I", os.urandom(4))[0]
        self.audio = audio or chirp(300 + 37 * (number % 50), 3000 - 29 * (number % 47))
        self.remote = self.remote_rtcp = None
        self.talking = False
        self.first = self.sequence = struct.unpack("!H", os.urandom(2))[0]
        self.timestamp = struct.unpack("!I", os.urandom(4))[0]
        self.sent = {}                                        # extended sequence: (payload, time)
        self.heard = collections.defaultdict(Heard)           # by SSRC
        self.sources = collections.Counter()                  # of RTP, (address, port)
        self.rtcp_sent = self.rtcp_heard = 0
        self.rtcp_sources = collections.Counter()
        self.garbage = []                                     # (source, bytes) that are no RTP
        self.send_errors = 0
        self.rtp_socket = self.rtcp_socket = None
        self.replaced = []
        self.bind(port)

    # -- addresses ------------------------------------------------------------------------------
    def bind(self, port=0):
        """Opens the sockets on a pair of ports. Called again, the telephone has moved: it sends from
        the new pair from now on, and still hears the old one."""
        if self.rtp_socket:
            self.replaced += [self.rtp_socket, self.rtcp_socket]
        with inside(self.namespace):
            for _ in range(200):
                rtp = self._socket(port)
                if rtp.getsockname()[1] % 2 == 0:
                    try:
                        self.rtcp_socket = self._socket(rtp.getsockname()[1] + 1)
                        self.rtp_socket = rtp
                        return
                    except OSError:
                        if port:
                            raise
                rtp.close()
        raise OSError("no free even/odd pair of UDP ports")

    def _socket(self, port):
        made = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            made.bind((self.address, port))
        except OSError:
            made.close()
            raise
        made.setblocking(False)
        return made

    @property
    def rtp(self):
        return self.rtp_socket.getsockname()[:2]

    @property
    def rtcp(self):
        return self.rtcp_socket.getsockname()[:2]

    def call(self, address, port, rtcp_port=None):
        """Sends to this endpoint from now on."""
        self.remote = (address, port)
        self.remote_rtcp = (address, rtcp_port or port + 1)
        self.talking = True

    def call_sdp(self, sdp, media=0):
        self.call(*sdp_endpoint(sdp, media), sdp_rtcp_port(sdp, media))

    def sdp(self, *, version=1, attributes=(), address=None):
        kind = "IP6" if self.family == socket.AF_INET6 else "IP4"
        address = address or self.address
        lines = ["v=0", f"o={self.name} 1 {version} IN {kind} {address}", "s=-",
                 f"c=IN {kind} {address}", "t=0 0", f"m=audio {self.rtp[1]} RTP/AVP {PCMA}",
                 f"a=rtpmap:{PCMA} PCMA/8000", "a=ptime:20", *attributes]
        return "".join(line + "\r\n" for line in lines)

    # -- media ----------------------------------------------------------------------------------
    def send(self):
        """One packet of audio."""
        payload = self.audio[self.sequence % len(self.audio)]
        packet = rtp_packet(self.ssrc, self.sequence, self.timestamp, payload,
                            marker=self.sequence == self.first)
        self._send(self.rtp_socket, packet, self.remote)
        self.sent[self.sequence] = (payload, time.monotonic())
        self.sequence += 1
        self.timestamp += SAMPLES

    def send_rtcp(self):
        """A compound of sender report and CNAME (RFC 3550, 6.4.1 and 6.5)."""
        now = time.time() + 2208988800
        report = struct.pack("!BBHIIIIII", 0x80, 200, 6, self.ssrc, int(now) & 0xFFFFFFFF,
                             int(now % 1 * 2**32), self.timestamp & 0xFFFFFFFF, len(self.sent),
                             len(self.sent) * SAMPLES)
        cname = self.name.encode()[:255]
        item = bytes((1, len(cname))) + cname
        item += bytes(4 - len(item) % 4)
        chunk = struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, self.ssrc) + item
        self._send(self.rtcp_socket, report + chunk, self.remote_rtcp)
        self.rtcp_sent += 1

    def _send(self, out, packet, to):
        try:
            out.sendto(packet, to)
        except OSError:  # an ICMP error of an earlier packet, or no route: the packet is lost
            self.send_errors += 1

    def receive(self, ready):
        """Takes everything that waits in a socket of ours."""
        while True:
            try:
                packet, source = ready.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:  # ICMP error
                continue
            self._heard(packet, source[:2], ready)

    def _heard(self, packet, source, ready):
        if len(packet) >= 8 and 192 <= packet[1] <= 223:
            self.rtcp_heard += 1
            self.rtcp_sources[source] += 1
            return
        if len(packet) < 12 or packet[0] >> 6 != 2 or ready.getsockname()[1] % 2:
            self.garbage.append((source, packet))
            return
        sequence, _, ssrc = struct.unpack("!HII", packet[2:12])
        self.sources[source] += 1
        heard = self.heard[ssrc]
        if heard.highest >= 0:  # extend over wraps: the nearest to the highest so far
            sequence += round((heard.highest - sequence) / 65536) * 65536
        heard.highest = max(heard.highest, sequence)
        heard.sequences.append(sequence)
        heard.payloads.setdefault(sequence, packet[12:])
        heard.times.setdefault(sequence, time.monotonic())

    def heard_from(self, ssrc):
        return len(self.heard[ssrc].sequences) if ssrc in self.heard else 0

    def close(self):
        for each in [self.rtp_socket, self.rtcp_socket, *self.replaced]:
            each.close()


@dataclasses.dataclass
class Flow:
    """What became of the packets of one direction."""
    sender: str
    receiver: str
    sent: int
    received: int        # different ones
    lost: int
    duplicated: int
    reordered: int
    altered: int         # other audio than was sent
    foreign: int         # packets of other SSRCs that the receiver heard
    sources: list        # where the receiver heard it from
    lost_sequences: list = dataclasses.field(repr=False, default_factory=list)
    latency_ms_p50: float = 0.0
    latency_ms_max: float = 0.0

    @property
    def whole(self):
        """Each packet came, once, in order, unaltered, and nothing else did."""
        return self.sent > 0 and not (self.lost or self.duplicated or self.reordered or
                                      self.altered or self.foreign)


def account(sender, receiver, *, since=0.0, until=math.inf):
    """The packets that `sender` sent in [since, until) (monotonic time), as `receiver` heard them."""
    sent = {s: p for s, (p, at) in sender.sent.items() if since <= at < until}
    heard = receiver.heard.get(sender.ssrc, Heard())
    # The receiver extends from the first number it heard; the sender from its first.
    shift = 0
    if heard.sequences:
        shift = round((sender.first - heard.sequences[0]) / 65536) * 65536
        while heard.sequences[0] + shift < sender.first:
            shift += 65536
    arrived = [s + shift for s in heard.sequences if s + shift in sent]
    unique = set(arrived)
    lost = sorted(set(sent) - unique)
    highest, reordered = -1, 0
    for sequence in arrived:
        reordered += sequence < highest
        highest = max(highest, sequence)
    altered = sum(heard.payloads[s - shift] != sent[s] for s in unique)
    delays = sorted(heard.times[s - shift] - sender.sent[s][1] for s in unique) or [0.0]
    return Flow(sender.name, receiver.name, len(sent), len(unique), len(lost),
                len(arrived) - len(unique), reordered, altered,
                sum(len(h.sequences) for ssrc, h in receiver.heard.items() if ssrc != sender.ssrc),
                sorted(receiver.sources), lost,
                round(delays[len(delays) // 2] * 1e3, 2), round(delays[-1] * 1e3, 2))


class Media:
    """The thread that paces and hears for all endpoints given to it, and closes them at the end."""

    def __init__(self):
        self._endpoints, self._known, self._due = [], set(), []
        self._selector = selectors.DefaultSelector()
        self._lock = threading.RLock()
        self._stop = False
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop = True
        self._thread.join(5)
        for endpoint in self._endpoints:
            endpoint.close()
        self._selector.close()

    def add(self, endpoint):
        with self._lock:
            self._endpoints.append(endpoint)
            self._watch(endpoint)
            start = time.monotonic() + endpoint.interval * (len(self._endpoints) % 10) / 10
            heapq.heappush(self._due, (start, id(endpoint), "rtp", endpoint))
            heapq.heappush(self._due, (start + 0.1, id(endpoint) + 1, "rtcp", endpoint))
        return endpoint

    def remove(self, endpoint):
        """Closes the endpoint; what it noted stays readable."""
        with self._lock:
            self._endpoints.remove(endpoint)
            self._due = [entry for entry in self._due if entry[3] is not endpoint]
            heapq.heapify(self._due)
            for each in [endpoint.rtp_socket, endpoint.rtcp_socket, *endpoint.replaced]:
                self._selector.unregister(each)
                self._known.discard(each)
            endpoint.close()

    def rebind(self, endpoint, port=0):
        """The endpoint moves to other ports (see RtpEndpoint.bind)."""
        with self._lock:
            endpoint.bind(port)
            self._watch(endpoint)

    def _watch(self, endpoint):
        for each in (endpoint.rtp_socket, endpoint.rtcp_socket):
            if each not in self._known:
                self._known.add(each)
                self._selector.register(each, selectors.EVENT_READ, endpoint)

    def talk(self, seconds):
        """Lets time pass."""
        self._thread.join(seconds)
        self.check()

    def hush(self, *endpoints, drain=0.3):
        """Those (all, if none is named) stop talking; waits until what is under way has come."""
        for endpoint in endpoints or list(self._endpoints):
            endpoint.talking = False
        self.talk(drain)

    def check(self):
        if self._failure:
            raise self._failure

    def _run(self):
        try:
            while not self._stop:
                with self._lock:
                    wait = self._send_due()
                for key, _ in self._selector.select(min(max(wait, 0), 0.02)):
                    with self._lock:
                        if key.fileobj in self._known:
                            key.data.receive(key.fileobj)
        except Exception as failure:  # pylint: disable=broad-except
            self._failure = failure

    def _send_due(self):
        while self._due:
            when, order, kind, endpoint = self._due[0]
            now = time.monotonic()
            if when > now:
                return when - now
            heapq.heappop(self._due)
            interval = endpoint.interval if kind == "rtp" else endpoint.rtcp_interval
            if endpoint.talking:
                (endpoint.send if kind == "rtp" else endpoint.send_rtcp)()
            # A thread that was held up goes on from now instead of sending a burst.
            following = when + interval if when + interval > now - 0.1 else now + interval
            heapq.heappush(self._due, (following, order, kind, endpoint))
        return 0.02
