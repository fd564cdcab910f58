#!/usr/bin/python3
"""Real calls: sipp phones that speak PCMA, Debian's Kamailio with its rtpengine module, and a relay.

Thirty-odd calls at once: plain ones, ones put on hold and taken back (re-INVITE), ones with an
announcement before the answer (183), ones to a person with two phones (forking), ones to a phone
that sends back what it hears and hangs up itself, ones given up while they ring (CANCEL). Everything on the
wire is captured, and afterwards every packet is accounted for: what each phone said is what the other
one heard, through the relay and in order; the relay's own counts agree; nothing went around it; nothing
is left behind.

    tests/e2e/kamailio_calls.py --binary build/release/rtpool
    tests/e2e/kamailio_calls.py --relay rtpengine          # the same against Debian's rtpengine

Needs root (for dumpcap), kamailio, kamailio-extra-modules, sip-tester and wireshark-common.
"""

import argparse
import os
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import accounting, capture, processes, speech  # noqa: E402
from support.ng_client import NgClient  # noqa: E402


@dataclass
class Group:
    """Calls of one kind: who calls, who is called, and what each of them says."""

    name: str
    calls: int
    caller: str
    callees: tuple
    says: tuple = ()  # clips, by the caller
    answers: tuple = ()  # clips, by the callee or callees
    invites: int = 1
    echo: bool = False


def groups(scale):
    return [
        Group("talk", 12 * scale, "caller_talk", ("callee_talk",), ("caller",), ("callee",)),
        Group("hold, resume", 6 * scale, "caller_hold", ("callee_hold",), ("short", "music", "short"),
              ("reply", "reply"), invites=3),
        Group("early media", 5 * scale, "caller_talk", ("callee_early",), ("caller",), ("early", "callee")),
        Group("two phones", 4 * scale, "caller_talk", ("callee_announce", "callee_late"), ("caller",),
              ("early", "callee")),
        Group("echo", 4 * scale, "caller_echo", ("callee_echo",), ("caller",), ("caller",), echo=True),
        Group("given up", 5 * scale, "caller_cancel", ("callee_ring",)),
        Group("given up, two", 2 * scale, "caller_cancel_two", ("callee_ring", "callee_ring")),
    ]


class Lab:
    """One run: addresses, programs and what they left."""

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.prefix = processes.lab_network()
        self.proxy = (f"{self.prefix}.1", processes.SIP)
        self.ng = (f"{self.prefix}.2", processes.NG)
        self.media_address = f"{self.prefix}.3"
        self.groups = groups(arguments.scale)
        self.clips = speech.clips()
        self.running, self.faults = [], []

    def expect(self, good, what):
        if not good:
            self.faults.append(what)

    def run(self):
        for name, clip in self.clips.items():
            assert speech.loudness(clip) > 0.3, f"clip {name} is silence"
            with open(f"{self.folder}/{name}.alaw", "wb") as file:
                file.write(clip)
        try:
            self.start()
            self.call()
            self.check_nothing_is_left()
        finally:
            for process in reversed(self.running):
                process.kill()
            for name in ("relay", "kamailio"):
                if hasattr(self, name):
                    with open(f"{self.folder}/{name}.log", "w", encoding="utf-8") as log:
                        log.write(getattr(self, name).stderr)
        return self.judge()

    def start(self):
        kind = {"rtpool": processes.Rtpool, "rtpengine": processes.Rtpengine}[self.arguments.relay]
        self.relay = kind(self.arguments.binary, self.ng, self.media_address)
        self.running.append(self.relay)
        with NgClient(*self.ng) as client:
            client.ping()
        self.kamailio = processes.Kamailio(self.proxy[0], self.ng, f"{self.folder}/run")
        self.running.append(self.kamailio)
        self.wire = capture.Wire(f"{self.folder}/wire.pcap", f"{self.prefix}.0/24")
        self.running.append(self.wire)

    def call(self):
        phones, host = [], 10
        for number, group in enumerate(self.groups):
            for scenario in group.callees:
                address = f"{self.prefix}.{host}"
                host += 1
                phones.append((group, processes.Sipp(self.folder, scenario, address, group.calls,
                                                     echo=group.echo)))
                self.register(f"person{number}", address)
        time.sleep(0.5)  # the called phones listen by now
        for number, group in enumerate(self.groups):
            group.address = f"{self.prefix}.{host}"
            host += 1
            phones.append((group, processes.Sipp(self.folder, group.caller, group.address, group.calls,
                                                 remote=self.proxy, service=f"person{number}")))
        self.phones = {sipp.address for _, sipp in phones}
        deadline = time.monotonic() + 60
        try:
            for group, sipp in phones:
                self.expect(sipp.wait(deadline), f"{group.name}: {sipp.scenario} failed: {sipp.errors()[:1500]}")
        finally:
            for _, sipp in phones:
                sipp.stop()

    def register(self, user, address):
        """The proxy learns where a phone of this user is."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind((f"{self.prefix}.4", 0))
            phone.settimeout(2)
            here = "{}:{}".format(*phone.getsockname())
            phone.sendto(
                (f"REGISTER sip:{self.proxy[0]} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{address}\r\n"
                 f"Max-Forwards: 70\r\nFrom: <sip:{user}@{self.proxy[0]}>;tag={address}\r\n"
                 f"To: <sip:{user}@{self.proxy[0]}>\r\nCall-ID: register-{address}\r\nCSeq: 1 REGISTER\r\n"
                 f"Contact: <sip:{user}@{address}:{processes.SIP}>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n"
                 ).encode(), self.proxy)
            reply = phone.recv(65535)
            assert reply.startswith(b"SIP/2.0 200"), reply.decode()

    def check_nothing_is_left(self):
        deadline = time.monotonic() + 5
        with NgClient(*self.ng) as client:
            while (left := client.list()) and time.monotonic() < deadline:
                time.sleep(0.1)
        self.expect(not left, f"calls left on the relay: {left}")
        while (left := self.relay.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.expect(not left, f"left on the relay: {left}")
        self.missed = self.wire.stop()
        self.expect(self.missed == 0, f"the capture missed {self.missed} packets; run again")
        for program, name in ((self.kamailio, "Kamailio"), (self.relay, self.arguments.relay)):
            status = program.stop(timeout=20)
            self.expect(status == 0, f"{name} ended with status {status}")
            complaints = program.complaints()
            self.expect(not complaints, f"{name} complained: {complaints[:10]}")

    # -- afterwards -----------------------------------------------------------------------------
    def judge(self):
        report = accounting.account(capture.datagrams(self.wire.path), self.proxy, self.ng,
                                    self.media_address, self.phones)
        print(f"{'':16}{'calls':>6}{'said':>8}{'heard':>8}{'lost':>6}{'wrong':>6}{'by relay':>9}"
              f"{'around':>7}{'added p50/p99/max us':>24}")
        rows = [self.judge_group(group, report) for group in self.groups]
        self.print_row("all", [sum(column) for column in zip(*(r[0] for r in rows))], len(report.around),
                       [delay for r in rows for delay in r[1]])
        self.judge_whole(report)
        return not self.faults

    def judge_group(self, group, report):
        calls = [c for c in report.calls.values() if c.caller == group.address]
        self.expect(len(calls) == group.calls, f"{group.name}: {len(calls)} calls of {group.calls}")
        for call in calls:
            self.judge_call(group, call)
        flows = [flow for call in calls for flow in (call.up, call.down)]
        figures = [len(calls), *(sum(f(flow) for flow in flows) for f in (
            accounting.Flow.sent, accounting.Flow.heard, accounting.Flow.lost, accounting.Flow.invented)),
            sum(call.counted or 0 for call in calls)]
        delays = [delay for flow in flows for delay in flow.delays()]
        around = sum(d.source[0] == group.address or d.target[0] == group.address for d in report.around)
        self.print_row(group.name, figures, around, delays)
        return figures, delays

    def judge_call(self, group, call):
        who = f"{group.name}, {call.call_id}"
        if not self.arguments.slow:
            self.expect(call.invites == group.invites, f"{who}: {call.invites} INVITEs (retransmitted?)")
        self.expect(call.established == bool(group.says), f"{who}: established is {call.established}")
        self.expect(len(call.callees) == len(group.callees), f"{who}: it rang at {call.callees}")
        self.expect(call.deletes >= 1, f"{who}: the proxy never ended its media")
        for flow, words, direction in ((call.up, group.says, "caller to callee"),
                                       (call.down, group.answers, "callee to caller")):
            audio = b"".join(self.clips[word] for word in words)
            sent = len(audio) // speech.PACKET
            self.expect(flow.sent() == sent, f"{who}: {direction}: said {flow.sent()} packets of {sent}")
            self.expect(not accounting.rtp_faults(flow), f"{who}: {direction}: the phone sent no PCMA")
            self.expect(flow.lost() == 0, f"{who}: {direction}: lost {flow.lost()} of {flow.sent()}")
            self.expect(flow.invented() == 0, f"{who}: {direction}: {flow.invented()} packets nobody sent")
            if self.arguments.relay == "rtpool":  # rtpengine's threads overtake each other now and then
                self.expect(flow.in_order(), f"{who}: {direction}: heard in another order")
            self.expect(flow.audio_heard() == audio, f"{who}: {direction}: heard something else than was said")
        sent = call.up.sent() + call.down.sent()
        self.expect((call.counted or 0) == sent, f"{who}: the relay counted {call.counted} packets of {sent}")

    def print_row(self, name, figures, around, delays):
        calls, sent, heard, lost, wrong, counted = figures
        delays = sorted(delays) or [0]
        added = "/".join(f"{delays[int(len(delays) * share)] * 1e6:.0f}" for share in (0.5, 0.99)) + \
            f"/{delays[-1] * 1e6:.0f}"
        print(f"{name:16}{calls:6}{sent:8}{heard:8}{lost:6}{wrong:6}{counted:9}{around:7}{added:>24}")

    def judge_whole(self, report):
        self.expect(not report.around, f"{len(report.around)} datagrams went around the relay")
        self.expect(not report.strays, f"{len(report.strays)} strays, such as {report.strays[:2]}")
        self.expect(not report.refused, f"{len(report.refused)} ICMP errors, such as {report.refused[:2]}")
        self.expect(not report.foreign_sdp, f"SDP past the relay: {report.foreign_sdp[:3]}")
        self.expect(not report.ng_errors, f"NG errors: {report.ng_errors[:5]}")
        at_once = accounting.most_at_once(report.calls.values())
        self.expect(at_once >= 20, f"only {at_once} calls talked at once")
        print(f"\nat once: {at_once} calls talked; strays {len(report.strays)}, "
              f"ICMP errors {len(report.refused)}, missed by the capture {self.missed}")
        for command, seconds in sorted(report.ng_seconds.items()):
            seconds.sort()
            print(f"NG {command:8}{len(seconds):5} replies, p50 {seconds[len(seconds) // 2] * 1e3:.1f} ms, "
                  f"max {seconds[-1] * 1e3:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--relay", choices=("rtpool", "rtpengine"), default="rtpool")
    parser.add_argument("--binary", help="the relay's program (default: build/release/rtpool, or rtpengine)")
    parser.add_argument("--scale", type=int, default=1, help="how many times 38 calls (default 1)")
    parser.add_argument("--slow", action="store_true",
                        help="a sanitizer's build on a busy machine: SIP retransmissions are no fault")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the capture and all logs there")
    arguments = parser.parse_args()
    if arguments.relay == "rtpool" and not arguments.binary:
        arguments.binary = os.path.join(processes.REPOSITORY, "build", "release", "rtpool")
    folder = arguments.keep or tempfile.mkdtemp(prefix="rtpool-e2e-")
    os.makedirs(folder, exist_ok=True)
    lab = Lab(arguments, os.path.abspath(folder))
    try:
        good = lab.run()
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for fault in lab.faults[:25]:
        print(f"FAULT {fault}")
    print("every packet accounted for" if good else f"FAILED: {len(lab.faults)} faults")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
