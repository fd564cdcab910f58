"""The programs of a lab: Kamailio, sipp, and the relay under test, each a child of this process."""

import os
import re
import signal
import socket
import subprocess
import time

from support.rtpool_process import REPOSITORY, RtpoolProcess, RtpoolServe

KAMAILIO_CONFIG = os.path.join(REPOSITORY, "deploy", "kamailio", "kamailio.cfg")
SCENARIOS = os.path.join(REPOSITORY, "tests", "e2e", "scenarios")
MEDIA_PORTS = (20000, 23999)
SIP, NG = 5060, 2223


def lab_network():
    """A /24 of 127/8 that nobody uses: every lab has addresses, and so all ports, of its own."""
    for attempt in range(50):
        number = (os.getpid() * 7919 + attempt * 104729 + time.monotonic_ns()) % (200 * 254)
        prefix = f"127.{50 + number // 254}.{1 + number % 254}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((f"{prefix}.1", SIP))
                return prefix
            except OSError:
                continue
    raise AssertionError("no free network in 127/8")


class Kamailio(RtpoolProcess):
    """Debian's Kamailio with the example configuration of deploy/, unchanged, in the foreground."""

    def __init__(self, address, ng, folder, config=KAMAILIO_CONFIG):
        os.makedirs(folder)
        super().__init__(
            "kamailio", "-f", config, "-DD", "-E", "-Y", folder, "-P", f"{folder}/pid", "-m", "32",
            "-A", f"SIP_LISTEN=udp:{address}:{SIP}", "-A", f'RTPOOL_NG="udp:{ng[0]}:{ng[1]}"')
        self.address = (address, SIP)
        self._wait_ready()

    def _wait_ready(self):
        options = (f"OPTIONS sip:{self.address[0]} SIP/2.0\r\nVia: SIP/2.0/UDP {{}}:{{}};branch=z9hG4bK{{}}\r\n"
                   "Max-Forwards: 70\r\nFrom: <sip:lab@lab>;tag=1\r\nTo: <sip:lab@lab>\r\n"
                   "Call-ID: ready-{}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
        deadline = time.monotonic() + 15
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((self.address[0], 0))
            probe.settimeout(0.2)
            for attempt in range(1000):
                assert self.running() and time.monotonic() < deadline, f"no Kamailio:\n{self.stderr}"
                probe.sendto(options.format(*probe.getsockname(), attempt, attempt).encode(), self.address)
                try:
                    if b" 200 " in probe.recv(65535)[:20]:
                        return
                except TimeoutError:
                    continue
                except ConnectionRefusedError:
                    time.sleep(0.05)

    def complaints(self):
        return [line for line in self.stderr.splitlines()
                if re.search(r"\b(ERROR|CRITICAL|ALERT|BUG)\b", line)]


class Rtpengine(RtpoolProcess):
    """Debian's rtpengine, for comparison: the test must pass with both."""

    def __init__(self, binary, ng, media_address):
        super().__init__(
            binary or "rtpengine", "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=5",
            f"--interface={media_address}", f"--listen-ng={ng[0]}:{ng[1]}",
            f"--listen-cli={ng[0]}:{ng[1] + 1}", "--delete-delay=0",
            f"--port-min={MEDIA_PORTS[0]}", f"--port-max={MEDIA_PORTS[1]}")
        self.ng = ng

    def complaints(self):
        return [line for line in self.stderr.splitlines() if re.search(r"^(ERR|CRIT)", line)]

    def leftovers(self):
        return {}  # it does not tell


class Rtpool(RtpoolServe):
    """`rtpool serve`, any build of it."""

    def __init__(self, binary, ng, media_address):
        super().__init__(
            binary, "--ng", f"{ng[0]}:{ng[1]}", "--media-address", media_address, "--media-ports",
            "{}-{}".format(*MEDIA_PORTS), timeout=30)

    def complaints(self):
        bad = r"\b(error|critical|warning)\b|Sanitizer|runtime error"
        return [line for line in self.stderr.splitlines() if re.search(bad, line, re.IGNORECASE)]

    def leftovers(self):
        """What must be nought when all calls are over, by the relay's own metrics."""
        metrics = self.metrics()
        names = ('rtpool_ports{state="leased"}', "rtpool_calls", "rtpool_relay_calls")
        left = {name: metrics[name] for name in names if metrics[name]}
        if dropped := self.metric("rtpool_dropped_packets_total"):
            left["rtpool_dropped_packets_total"] = dropped
        return left


class Sipp:
    """One sipp that plays one scenario `calls` times. Its folder holds the clips that the phones play."""

    def __init__(self, folder, scenario, address, calls, *, remote=None, service=None, at_once=True,
                 echo=False):
        self.scenario, self.address, self.calls = scenario, address, calls
        self.folder = os.path.join(folder, f"{scenario}-{address}")
        os.makedirs(self.folder)
        for clip in os.listdir(folder):
            if clip.endswith(".alaw"):
                os.symlink(os.path.join("..", clip), os.path.join(self.folder, clip))
        command = ["sipp", "-sf", os.path.join(SCENARIOS, f"{scenario}.xml"), "-i", address, "-mi", address,
                   "-p", str(SIP), "-mp", "6000", "-m", str(calls), "-nostdin", "-timeout", "75",
                   "-timeout_error", "-trace_err", "-error_file", "errors.log"]
        if remote:
            command += [f"{remote[0]}:{remote[1]}", "-s", service, "-r", "20" if at_once else "2",
                        "-l", str(calls)]
        if echo:
            command.append("-rtp_echo")
        self._log = open(os.path.join(self.folder, "sipp.log"), "w", encoding="utf-8")
        self._process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL,
                                         stdout=self._log, stderr=self._log)

    def wait(self, deadline):
        """True if every call went as the scenario says."""
        try:
            return self._process.wait(max(0.1, deadline - time.monotonic())) == 0
        except subprocess.TimeoutExpired:
            return False

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def errors(self):
        try:
            with open(os.path.join(self.folder, "errors.log"), encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return f"{self.scenario} on {self.address}: no errors noted, exit {self._process.returncode}"
