"""What the tests of this folder share: the relay in a namespace, calls through it, figures, the command line.

The public network is one switch: 203.0.113.0/24 and, for strangers from elsewhere, 198.51.100.0/24. The
relay's NG and HTTP are on the loopback of its own namespace; the test steps in to ask.
"""

import argparse
import contextlib
import ipaddress
import os
import random
import re
import subprocess
import sys
import time

from support.namespaces import NamespacesUnavailable, Topology, inside, stop_process, wait_for
from support.ng_client import NgClient, NgTimeout
from support.rtp_endpoint import account
from support.rtpool_process import RtpoolServe

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELAY, RELAY6 = "203.0.113.10", "2001:db8::10"
STREAMS_PER_CALL = 2


def parser(description):
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--binary", default=os.path.join(REPOSITORY, "build/release/rtpool"),
                      help="the rtpool to test, a sanitizer build for example (default: %(default)s)")
    made.add_argument("--relay", choices=("rtpool", "rtpengine"), default="rtpool",
                      help="rtpengine: Debian's, to compare with (it fails some of this)")
    made.add_argument("--io", choices=("uring", "epoll", "auto"), default="auto",
                      help="what rtpool forwards media by (default: %(default)s)")
    made.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32),
                      help="of what is drawn at random (printed, so that a run can be repeated)")
    return made


def main(test, description, extra=None):
    """Runs a test function (net, arguments, figures); prints its figures and ends the process."""
    options = parser(description)
    if extra:
        extra(options)
    arguments = options.parse_args()
    figures = Figures()
    began = time.monotonic()
    name = os.path.basename(sys.argv[0]).removesuffix(".py")
    try:
        with Topology(name) as net:
            test(net, arguments, figures)
    except NamespacesUnavailable as reason:
        sys.exit(f"{name}: {reason}")
    finally:
        figures.add("seconds", round(time.monotonic() - began, 1))
        print(figures)
    if figures.failures:
        sys.exit(f"{name}: {len(figures.failures)} of {figures.checks} checks failed")
    print(f"{name}: {figures.checks} checks passed")


class Figures:
    """What was measured, and what of it is not as it must be."""

    def __init__(self):
        self.lines, self.failures, self.checks = [], [], 0

    def add(self, what, value):
        self.lines.append((what, str(value)))

    def check(self, holds, what, detail=""):
        self.checks += 1
        if not holds:
            self.failures.append(f"{what}: {detail}")
            self.lines.append(("FAILED", f"{what}: {detail}"))
        return holds

    def __str__(self):
        width = max((len(what) for what, _ in self.lines), default=0)
        return "\n".join(f"  {what:<{width}}  {value}" for what, value in self.lines)


class Public:
    """The public network, with the relay on it. Places are namespaces that are added to its switch."""

    def __init__(self, net):
        self.net = net
        self.switch = net.namespace("switch")
        self.relay = net.namespace("relay")
        self.ports = [(self.relay, (f"{RELAY}/24", f"{RELAY6}/64"))]

    def place(self, name, *addresses):
        """A host on the public network; addresses without a prefix are /24 and /64."""
        namespace = self.net.namespace(name)
        sized = [a if "/" in a else a + ("/64" if ":" in a else "/24") for a in addresses]
        self.ports.append((namespace, sized))
        return namespace

    def build(self):
        """Connects everybody. Gives the interface of each place."""
        names = self.net.bridge(self.switch, self.ports)
        for (namespace, _), name in zip(self.ports, names):
            for network in ("203.0.113.0/24", "198.51.100.0/24"):
                subprocess.run(["ip", "-n", namespace, "route", "add", network, "dev", name],
                               stderr=subprocess.DEVNULL)  # there already on its own network
        self.interfaces = {namespace: name for (namespace, _), name in zip(self.ports, names)}
        return self.interfaces


class Relay:
    """rtpool (or rtpengine) in a namespace, with NG and its process at hand."""

    def __init__(self, net, namespace, arguments, *, addresses=(RELAY,), ports=(30000, 30399),
                 options=(), env=None):
        self.namespace, self.kind, self.ports = namespace, arguments.relay, ports
        self.sanitized = is_sanitized(arguments.binary) if self.kind == "rtpool" else False
        self._net = net
        if self.kind == "rtpool":
            media = [word for address in addresses for word in ("--media-address", address)]
            with inside(namespace):
                self.process = RtpoolServe(
                    arguments.binary, "--ng", "127.0.0.1:2223", "--http", "127.0.0.1:7480", *media,
                    "--media-ports", f"{ports[0]}-{ports[1]}", "--io", arguments.io, *options, env=env, timeout=30)
        else:
            command = ["rtpengine", "--config-file=none", "--table=-1", "--foreground",
                       "--log-stderr", "--log-level=3", "--listen-ng=127.0.0.1:2223",
                       f"--port-min={ports[0]}", f"--port-max={ports[1]}",
                       *(f"--interface={address}" for address in addresses)]
            self.process = net.start(namespace, command, stderr=subprocess.DEVNULL)
        self.ng = self.client()
        self.ng.ping()

    def __enter__(self):
        return self

    def __exit__(self, *trace):
        self.ng.close()
        if self.kind == "rtpool":
            self.process.__exit__(*trace)
        else:
            stop_process(self.process)

    @property
    def pid(self):
        return self.process.pid

    def client(self, **keys):
        return NgClient("127.0.0.1", 2223, namespace=self.namespace, **keys)

    def metrics(self):
        if self.kind != "rtpool":
            return {}
        with inside(self.namespace):
            return self.process.metrics()

    def drops(self):
        """{reason: packets}, as /metrics counts them."""
        found = {}
        for name, value in self.metrics().items():
            if match := re.match(r'rtpool_dropped_packets_total\{.*reason="(\w+)"', name):
                found[match[1]] = found.get(match[1], 0) + int(value)
        return found

    def alive(self):
        try:
            return self.ng.ping()["result"] == "pong"
        except NgTimeout:
            return False


def is_sanitized(binary):
    """Whether a program carries AddressSanitizer, whose memory does not stay flat."""
    with open(binary, "rb") as program:
        return b"__asan_init" in program.read()


class Call:
    """One call set up through NG: who calls, who is called, and from where each one's SIP comes."""

    def __init__(self, relay, caller, callee, *, caller_from, callee_from, call_id=None):
        self.relay, self.caller, self.callee = relay, caller, callee
        self.call_id = call_id or f"{caller.name}-{callee.name}-{os.urandom(4).hex()}"
        self.sources = {caller: caller_from, callee: callee_from}

    def _keys(self, endpoint):
        address = self.sources[endpoint]
        kind = f"IP{ipaddress.ip_address(address).version}"
        return {"received_from": [kind, address], "ICE": "remove",
                "replace": ["origin", "session-connection"]}

    def offer(self):
        reply = self.relay.ng.offer(self.call_id, "from-tag", self.caller.sdp(),
                                    **self._keys(self.caller))
        self.offered_sdp = reply["sdp"]
        return self

    def answer(self):
        """The callee knows the relay from the offer, the caller from the answer; both talk from now."""
        reply = self.relay.ng.answer(self.call_id, "from-tag", "to-tag", self.callee.sdp(),
                                     **self._keys(self.callee))
        self.answered_sdp = reply["sdp"]
        return self

    def talk(self):
        self.callee.call_sdp(self.offered_sdp)
        self.caller.call_sdp(self.answered_sdp)
        return self

    def end(self):
        return self.relay.ng.delete(self.call_id, "from-tag")

    def relay_endpoints(self):
        """Where the relay's media ports are, by who sends to them: RTP and RTCP."""
        return {who: (who.remote, who.remote_rtcp) for who in (self.caller, self.callee)}

    @contextlib.contextmanager
    def standing(self, media):
        """The call, set up and talking, for the time of a block; then hushed and deleted."""
        self.offer().answer().talk()
        try:
            yield self
        finally:
            media.hush(self.caller, self.callee)
            self.end()


def both_ways(call):
    return account(call.caller, call.callee), account(call.callee, call.caller)


__all__ = ["Call", "Figures", "NgTimeout", "Public", "RELAY", "RELAY6", "Relay", "both_ways",
           "inside", "main", "wait_for"]
