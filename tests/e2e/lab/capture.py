"""What went over the wire: dumpcap writes it, this reads it.

Wire is one run of dumpcap on the loopback interface; datagrams() gives what it saw in order. A capture
that lost packets itself proves nothing, so stop() fails then. dumpcap needs root or its capability.
"""

import re
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Datagram:
    at: float  # seconds
    source: tuple  # (address, port)
    target: tuple
    payload: bytes
    is_icmp: bool = False


class Wire:
    def __init__(self, path, network):
        self.path = path
        self._log = open(f"{path}.log", "w+", encoding="utf-8")
        self._process = subprocess.Popen(
            ["dumpcap", "-q", "-P", "-i", "lo", "-B", "64", "-f", f"net {network} and (udp or icmp)",
             "-w", path], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 10
        while "File:" not in self.log():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"dumpcap can't capture (it needs root):\n{self.log()}")
            time.sleep(0.02)

    def log(self):
        with open(f"{self.path}.log", encoding="utf-8") as log:
            return log.read()

    def stop(self):
        """Ends the capture and gives the number of packets that it missed."""
        time.sleep(0.3)  # what is under way is captured within a few milliseconds
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)
        found = re.search(r"received/dropped on interface '[^']*': (\d+)/(\d+)", self.log())
        assert found, f"dumpcap did not say what it missed:\n{self.log()}"
        return int(found.group(2))

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def datagrams(path):
    """All UDP datagrams and ICMP messages over IPv4 of a capture file (classic pcap, Ethernet)."""
    with open(path, "rb") as file:
        data = file.read()
    magic, link = struct.unpack_from("<I", data)[0], struct.unpack_from("<I", data, 20)[0]
    assert magic in (0xA1B2C3D4, 0xA1B23C4D) and link == 1, f"not a pcap of Ethernet: {magic:x} {link}"
    unit = 1e-9 if magic == 0xA1B23C4D else 1e-6
    at, found = 24, []
    while at + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16:at + 16 + kept]
        at += 16 + kept
        if frame[12:14] != b"\x08\x00":
            continue
        header = (frame[14] & 0x0F) * 4
        source, target = (socket.inet_ntoa(frame[k:k + 4]) for k in (26, 30))
        body = frame[14 + header:14 + struct.unpack_from("!H", frame, 16)[0]]
        when = seconds + fraction * unit
        if frame[23] == 1:
            found.append(Datagram(when, (source, 0), (target, 0), body, True))
        elif frame[23] == 17:
            from_port, to_port = struct.unpack_from("!HH", body)
            found.append(Datagram(when, (source, from_port), (target, to_port), body[8:]))
    # Two processors fill the capture; their records may change places by some microseconds.
    return sorted(found, key=lambda d: d.at)
