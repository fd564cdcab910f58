#!/usr/bin/env python3
"""Compares the SDP that rtpool writes with what Debian's rtpengine writes, over a corpus of dialogues.

Each dialogue (cases/*.dialogue) goes to a freshly started rtpengine and to one of
  --library PATH    the SDP library alone (sdp_peer)
  --serve PATH      the rtpool binary, started here as `rtpool serve`
  --peer HOST:PORT  any NG server that has the media addresses of INTERFACES
and the answers are compared line by line. Ports and random words are made comparable first; whatever else differs
must be explained by a rule of differences.py, which says why it is meant to be so. Any other difference fails.
"""

import argparse
import collections
import difflib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import differences

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.ng_client import decode, encode  # pylint: disable=wrong-import-position

HERE = pathlib.Path(__file__).resolve().parent
# The ports of the corpus lie outside of both servers' ranges: our own ports are refused as targets of media.
INTERFACES = {"pub": ("127.0.0.1", "::1"), "int": ("127.0.0.2", None)}
LISTS = {"flags", "replace", "rtcp-mux", "direction", "received-from"}


class NgPeer:
    """An NG server over UDP."""

    def __init__(self, host, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(3)
        self.address = (host, port)
        self.call_id = ""

    def ask(self, request):
        cookie = os.urandom(6).hex().encode()
        self.socket.sendto(cookie + b" " + encode(request), self.address)
        while True:
            reply = self.socket.recv(65536)
            if reply.startswith(cookie + b" "):
                return decode(reply[len(cookie) + 1:])

    def wait(self, seconds=15):
        end = time.monotonic() + seconds
        self.socket.settimeout(0.2)
        while time.monotonic() < end:
            try:
                if self.ask({"command": "ping"}).get("result") == "pong":
                    self.socket.settimeout(3)
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"no NG server at {self.address}")

    def begin(self):
        self.call_id = os.urandom(8).hex() + "@oracle"

    def step(self, step):
        request = {"command": step.kind, "call-id": self.call_id, "from-tag": step.offerer}
        if step.kind == "answer" or step.reoffer:
            request["to-tag"] = step.answerer
        codec = {}
        for key, value in step.options.items():
            if key.startswith("codec-"):
                codec[key[6:]] = value.split(",")
            else:
                request[key] = value.split(",") if key in LISTS else value
        if codec:
            request["codec"] = codec
        request["sdp"] = step.sdp
        reply = self.ask(request)
        return reply.get("sdp", f"error: {reply.get('error-reason', reply.get('result'))}")

    def end(self, offerer):
        self.ask({"command": "delete", "call-id": self.call_id, "from-tag": offerer})


class LibraryPeer:
    """sdp_peer over pipes. The recipient's interface gives our address, as the proxy's `direction` says."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def begin(self):
        self.process.stdin.write(b"new\n")

    def step(self, step):
        sender, recipient = (step.offerer, step.answerer)
        if step.kind == "answer":
            sender, recipient = recipient, sender
        interface = step.options.get("direction", "pub,pub").split(",")[1]
        v4, v6 = INTERFACES[interface]
        lines = [f"step {step.kind}", f"from {sender}", f"to {recipient}", f"v4 {v4}"]
        if v6:
            lines.append(f"v6 {v6}")
        for key, value in step.options.items():
            lines += [f"{key} {word}" for word in value.split(",")]
        body = step.sdp.encode()
        self.process.stdin.write("\n".join(lines).encode() + b"\nsdp %d\n" % len(body) + body)
        self.process.stdin.flush()
        head = self.process.stdout.readline().decode()
        if head.startswith("ok "):
            return self.process.stdout.read(int(head[3:])).decode()
        return "error: " + head[6:].strip()

    def end(self, offerer):
        pass


class Step:
    def __init__(self, header, body, last):
        words = header.split()
        self.kind = words[0]
        self.options = dict(word.split("=", 1) for word in words[1:])
        by = self.options.pop("by", None)
        if self.kind == "offer":
            self.offerer = by or "a"
            self.answerer = "a" if self.offerer != "a" else "b"
            self.reoffer = last is not None and last.answered
        else:
            self.offerer = last.offerer
            self.answerer = by or ("b" if last.offerer == "a" else "a")
            self.reoffer = False
        self.answered = self.kind == "answer" or self.reoffer
        end = "\n" if self.options.get("eol") == "lf" else "\r\n"
        self.sdp = end.join(body.rstrip("\n").split("\n")) + end
        if self.options.get("eol") == "cut":
            self.sdp = self.sdp[:-2]
        if self.options.get("eol") == "blank":
            self.sdp += "\r\nsome other part\r\n"
        self.options.pop("eol", None)


def read_case(path):
    steps = []
    for part in re.split(r"^== ", path.read_text(), flags=re.M)[1:]:
        header, body = part.split("\n", 1)
        steps.append(Step(header, body, steps[-1] if steps else None))
    return steps


def normalise(sdp):
    """Lines with our ports written relative to the section's RTP port, and random words by their place."""
    if sdp.startswith("error:"):
        return ["error"]  # how it is put is each server's own
    lines, port = [], None
    for line in sdp.replace("\r\n", "\n").split("\n"):
        media = re.match(r"m=(\S+) (\d+)(.*)", line)
        if media:
            port = int(media[2])
            line = f"m={media[1]} {'PORT' if port else 0}{media[3]}"
        elif line.startswith("a=rtcp:"):
            line = re.sub(r"^a=rtcp:(\d+)", lambda m: f"a=rtcp:PORT{int(m[1]) - (port or 0):+d}", line)
        elif line.startswith("a=ice-ufrag:") or line.startswith("a=ice-pwd:"):
            line = line.split(":")[0] + ":RANDOM"
        elif line.startswith("a=candidate:"):
            words = line.split(" ")
            words[0] = "a=candidate:RANDOM"
            if len(words) > 5 and words[5].isdigit():
                words[5] = f"PORT{int(words[5]) - (port or 0):+d}"
            line = " ".join(words)
        lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def addresses(flag):
    return [f"{flag}{name}/{a}" for name, pair in INTERFACES.items() for a in pair if a]


def start_rtpengine(folder):
    port = free_port()
    log = open(os.path.join(folder, "rtpengine.log"), "wb")
    try:
        process = subprocess.Popen(
            ["rtpengine", "--table=-1", "--foreground", "--log-stderr", "--no-log-timestamps",
             "--port-min=21500", "--port-max=23999", f"--listen-ng=127.0.0.1:{port}", *addresses("--interface=")],
            stdout=log, stderr=log)
    except FileNotFoundError:
        raise SystemExit("rtpengine is not installed (Debian: rtpengine-daemon)") from None
    return process, NgPeer("127.0.0.1", port)


def start_serve(path, folder):
    port = free_port()
    log = open(os.path.join(folder, "rtpool.log"), "wb")
    http = socket.socket()
    http.bind(("127.0.0.1", 0))
    http_port = http.getsockname()[1]
    http.close()
    process = subprocess.Popen(
        [path, "serve", "--ng", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{http_port}",
         "--media-ports", "25000-27999", *addresses("--media-address=")], stdout=log, stderr=log)
    return process, NgPeer("127.0.0.1", port)


def compare(name, steps, theirs, ours, counts, show):
    """Runs one dialogue on both; gives the number of descriptions with differences that no rule explains."""
    theirs.begin()
    ours.begin()
    failures = 0
    history = []
    for number, step in enumerate(steps, 1):
        history.append(step.sdp)
        counts["descriptions"] += 1
        expected_raw, actual_raw = theirs.step(step), ours.step(step)
        expected, actual = normalise(expected_raw), normalise(actual_raw)
        if expected == actual and not differences.raw_rules(step, expected_raw, actual_raw):
            counts["identical"] += 1
            continue
        context = differences.Context(step, history, expected_raw, actual_raw, expected, actual)
        used = differences.explain(context)
        for rule in used:
            counts["rule " + rule] += 1
        if context.expected == context.actual:
            counts["explained"] += 1
            continue
        failures += 1
        if show:
            print(f"\n{name}, step {number} ({step.kind}): after the rules {used or 'none'} there remains")
            print("\n".join(difflib.unified_diff(context.expected, context.actual, "rtpengine", "rtpool",
                                                 lineterm="", n=1)))
    theirs.end(steps[0].offerer)
    ours.end(steps[0].offerer)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--library", metavar="PATH")
    which.add_argument("--serve", metavar="PATH")
    which.add_argument("--peer", metavar="HOST:PORT")
    parser.add_argument("cases", nargs="*", help="names of dialogues (default: all)")
    options = parser.parse_args()
    paths = sorted(HERE.glob("cases/*.dialogue"))
    if options.cases:
        paths = [path for path in paths if any(case in path.stem for case in options.cases)]
    counts = collections.Counter()
    failures = 0
    processes = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            process, theirs = start_rtpengine(folder)
            processes.append(process)
            if options.library:
                ours = LibraryPeer(options.library)
                processes.append(ours.process)
            elif options.serve:
                process, ours = start_serve(options.serve, folder)
                processes.append(process)
                ours.wait()
            else:
                host, port = options.peer.rsplit(":", 1)
                ours = NgPeer(host, int(port))
                ours.wait()
            theirs.wait()
            for path in paths:
                failed = compare(path.stem, read_case(path), theirs, ours, counts, True)
                failures += failed
                counts["dialogues failed"] += failed > 0
            dead = [p.args[0] for p in processes if p.poll() is not None]
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    print(f"\n{len(paths)} dialogues, {counts['descriptions']} descriptions: {counts['identical']} identical, "
          f"{counts['explained']} with intended differences, {failures} with others")
    for rule, why in differences.RULES.items():
        if counts["rule " + rule]:
            print(f"  {counts['rule ' + rule]:4} {rule}: {why}")
    if dead:
        print("died during the run: " + ", ".join(dead))
    if not counts["descriptions"]:
        print("no dialogue was run")
    return 1 if failures or dead or not counts["descriptions"] else 0


if __name__ == "__main__":
    sys.exit(main())
