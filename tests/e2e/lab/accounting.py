"""What became of every packet of a run, told from the capture alone.

The SIP in the capture says which ports the relay gave to which call; the RTP in it says who sent what
to whom; the NG exchange says what the relay itself counted. Nothing may be left over: a datagram that
is none of these is a stray, and RTP that goes from phone to phone went around the relay.
"""

import re
import socket
import struct
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from support import ng_client


@dataclass
class Flow:
    """One direction of one call: what went into the relay and what came out of it."""

    into: list = field(default_factory=list)  # Datagrams
    out: list = field(default_factory=list)

    def sent(self):
        return len(self.into)

    def heard(self):
        return len(self.out)

    def lost(self):
        return sum((Counter(map(_identity, self.into)) - Counter(map(_identity, self.out))).values())

    def invented(self):
        """Packets that came out changed, twice, or that nobody sent."""
        return sum((Counter(map(_identity, self.out)) - Counter(map(_identity, self.into))).values())

    def in_order(self):
        return list(map(_identity, self.into)) == list(map(_identity, self.out))

    def audio_heard(self):
        """In the order of the RTP sequence numbers, as a phone plays it; the phones of a forked call
        speak one after the other."""
        talkers = list(dict.fromkeys(d.source for d in self.into))
        turn = {_identity(d): talkers.index(d.source) for d in self.into}
        heard = sorted(self.out, key=lambda d: (turn.get(_identity(d), 0), d.payload[2:4]))
        return b"".join(d.payload[12:] for d in heard)

    def delays(self):
        went_in = {_identity(d): d.at for d in self.into}
        return [d.at - went_in[_identity(d)] for d in self.out if _identity(d) in went_in]


@dataclass
class Call:
    call_id: str
    caller: str  # address
    callees: set = field(default_factory=set)
    caller_ports: set = field(default_factory=set)  # the relay's ports that the caller was told
    callee_ports: set = field(default_factory=set)
    up: Flow = field(default_factory=Flow)  # caller to callee
    down: Flow = field(default_factory=Flow)
    established: bool = False
    invites: int = 0  # INVITEs that the caller sent, the first and the re-INVITEs
    counted: int | None = None  # RTP packets by the relay's own count, from its reply to `delete`
    deletes: int = 0


@dataclass
class Report:
    calls: dict
    around: list
    strays: list
    refused: list  # ICMP errors about media: somebody sent to a closed port
    ng_seconds: dict  # command -> [seconds]
    ng_errors: list
    foreign_sdp: list  # SDPs that told a phone another address than the relay's


def account(datagrams, proxy, ng, media_address, phones):
    """`proxy` and `ng` are (address, port); `phones` is the set of the phones' addresses."""
    report = Report({}, [], [], [], defaultdict(list), [], [])
    ng_asked, rest = {}, []
    for datagram in datagrams:
        ends = (datagram.source, datagram.target)
        if datagram.is_icmp:
            quoted = datagram.payload[8:]  # the datagram that was refused, from its IP header on
            if media_address in (socket.inet_ntoa(quoted[12:16]), socket.inet_ntoa(quoted[16:20])):
                report.refused.append(datagram)
        elif ng in ends:
            _note_ng(report, ng_asked, datagram, ng)
        elif proxy in ends:
            _note_sip(report, datagram, proxy, media_address, phones)
        else:
            rest.append(datagram)
    by_caller_port = {(c.caller, p): c for c in report.calls.values() for p in c.caller_ports}
    by_callee_port = {(a, p): c for c in report.calls.values() for p in c.callee_ports for a in c.callees}
    for datagram in rest:
        _note_media(report, datagram, media_address, phones, by_caller_port, by_callee_port)
    return report


def most_at_once(calls):
    """The largest number of calls that had media at the same moment."""
    edges = []
    for call in calls:
        times = [d.at for flow in (call.up, call.down) for d in flow.into]
        if times:
            edges += [(min(times), 1), (max(times), -1)]
    now = most = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most


def _identity(datagram):
    return datagram.payload  # header, with sequence number and SSRC, and audio


def _note_media(report, datagram, media_address, phones, by_caller_port, by_callee_port):
    source, target = datagram.source, datagram.target
    if source[0] in phones and target[0] in phones:
        report.around.append(datagram)
        return
    if target[0] == media_address:
        if call := by_caller_port.get((source[0], target[1])):
            call.up.into.append(datagram)
            return
        if call := by_callee_port.get((source[0], target[1])):
            call.down.into.append(datagram)
            return
    if source[0] == media_address:
        if call := by_callee_port.get((target[0], source[1])):
            call.up.out.append(datagram)
            return
        if call := by_caller_port.get((target[0], source[1])):
            call.down.out.append(datagram)
            return
    report.strays.append(datagram)


def _note_sip(report, datagram, proxy, media_address, phones):
    message = datagram.payload.decode("utf-8", "replace")
    found = re.search(r"^Call-ID:\s*(\S+)", message, re.MULTILINE | re.IGNORECASE)
    if not found:
        return
    from_proxy = datagram.source == proxy
    phone = datagram.target[0] if from_proxy else datagram.source[0]
    if phone not in phones:
        return
    is_invite = message.startswith("INVITE ")
    if is_invite and not from_proxy and found.group(1) not in report.calls:
        report.calls[found.group(1)] = Call(found.group(1), phone)
    call = report.calls.get(found.group(1))
    if call is None:
        return
    if is_invite and not from_proxy:
        call.invites += 1
    if is_invite and from_proxy and phone != call.caller:
        call.callees.add(phone)
    if from_proxy and re.match(r"SIP/2.0 200 ", message) and re.search(r"^CSeq:\s*\d+ INVITE", message, re.M):
        call.established = True
    if from_proxy and "\nm=audio " in message:
        address = re.search(r"^c=IN IP4 (\S+)", message, re.MULTILINE).group(1)
        port = int(re.search(r"^m=audio (\d+)", message, re.MULTILINE).group(1))
        if address != media_address:
            report.foreign_sdp.append(f"{call.call_id}: {phone} was told {address}:{port}")
        (call.caller_ports if phone == call.caller else call.callee_ports).add(port)


def _note_ng(report, asked, datagram, ng):
    cookie, _, body = datagram.payload.partition(b" ")
    message = ng_client.decode(body)
    if datagram.target == ng:
        asked.setdefault(cookie, (datagram.at, message))
        return
    if cookie not in asked:
        report.ng_errors.append(f"a reply that nobody asked for: {datagram.payload[:80]!r}")
        return
    when, request = asked[cookie]
    report.ng_seconds[request["command"]].append(datagram.at - when)
    if message.get("result") not in ("ok", "pong"):
        report.ng_errors.append(f"{request['command']}: {message.get('error-reason', message)}")
    call = report.calls.get(request.get("call-id"))
    if call and request["command"] == "delete":
        call.deletes += 1
        if "totals" in message:
            call.counted = max(call.counted or 0, int(message["totals"]["RTP"]["packets"]))


def rtp_faults(flow):
    """Packets into the relay that are no RTP of payload type 8 and 20 ms: the phones are at fault."""
    return sum(1 for d in flow.into
               if len(d.payload) != 172 or struct.unpack_from("!H", d.payload)[0] & 0xFF7F != 0x8008)
