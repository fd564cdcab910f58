"""Calls at a steady rate, as proxies would set them up: offer, answer, after a while delete. Each request is sent
once and timed; nothing waits for anything else, so a stalled reply does not slow the others down.

    load = OfferLoad([controller.ng], rate=50, hold=2.0)
    load.run(60, at={12.0: kill_one, 30.0: freeze_one})
    load.failures("offer"), load.slowest("offer"), load.replies
"""

import heapq
import itertools
import os
import selectors
import socket
import time
from dataclasses import dataclass

from support.ng_client import decode, encode

PATIENCE = 2.0  # a reply that takes longer is lost


@dataclass
class Reply:
    command: str
    call: int
    sent: float
    took: float  # seconds; PATIENCE when lost
    ok: bool
    text: dict
    where: int  # index of the controller


def sdp(port):
    return ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\n")


class OfferLoad:
    """`place(call, command)` gives the index of the controller that gets a request; by default calls go round, each
    staying where it began."""

    def __init__(self, controllers, rate, hold=1.0, place=None, prefix=None, ports=(40000, 40002), on_reply=None):
        """`ports`: where caller and callee say they are; `on_reply(reply)` sees each as it comes."""
        self.rate, self.hold, self.ports, self.on_reply = rate, hold, ports, on_reply or (lambda reply: None)
        self.place = place or (lambda call, command: call % len(controllers))
        self.prefix = prefix or f"load-{os.getpid()}-{os.urandom(3).hex()}"
        self.sockets = []
        for address in controllers:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            made.connect(address)
            made.setblocking(False)
            self.sockets.append(made)
        self.replies = []
        self._waiting = {}  # cookie -> (command, call, sent, where)
        self._due = []
        self._order = itertools.count()

    def close(self):
        for each in self.sockets:
            each.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, seconds, at=None):
        """`at`: what else happens, by seconds since the start. Returns when every call has ended."""
        began = time.monotonic()
        for call in range(int(seconds * self.rate)):
            self._later(began + call / self.rate, "offer", call)
        for after, action in (at or {}).items():
            heapq.heappush(self._due, (began + after, next(self._order), action, None))
        with selectors.DefaultSelector() as selector:
            for index, each in enumerate(self.sockets):
                selector.register(each, selectors.EVENT_READ, index)
            while self._due or self._waiting:
                self._send_due()
                for key, _ in selector.select(self._pause()):
                    self._receive(key.fileobj)
                self._give_up()
        return self

    def failures(self, command):
        return [reply for reply in self.replies if reply.command == command and not reply.ok]

    def took(self, command):
        return sorted(reply.took for reply in self.replies if reply.command == command)

    def slowest(self, *commands):
        return max(reply.took for reply in self.replies if not commands or reply.command in commands)

    def summary(self):
        rows = []
        for command in ("offer", "answer", "delete"):
            took = self.took(command)
            if took:
                rows.append(f"{command}: {len(took)} sent, {len(self.failures(command))} failed, "
                            f"p50 {took[len(took) // 2] * 1000:.1f} ms, "
                            f"p99 {took[int(len(took) * 0.99)] * 1000:.1f} ms, max {took[-1] * 1000:.1f} ms")
        return "\n".join(rows)

    # -- inside -----------------------------------------------------------------------------------
    def _later(self, when, command, call):
        heapq.heappush(self._due, (when, next(self._order), command, call))

    def _pause(self):
        now = time.monotonic()
        pause = min(self._due[0][0] - now, 0.05) if self._due else 0.05
        return max(pause, 0)

    def _send_due(self):
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, what, call = heapq.heappop(self._due)
            if callable(what):
                what()
            else:
                self._send(what, call)

    def _send(self, command, call):
        cookie = f"{self.prefix}_{next(self._order)}"
        message = {"command": command, "call-id": f"{self.prefix}-{call}", "from-tag": "f"}
        if command != "offer":
            message["to-tag"] = "t"
        if command == "delete":
            message["delete-delay"] = 0
        else:
            message["sdp"] = sdp(self.ports[command == "answer"])
            message["supports"] = ["load limit"]
        where = self.place(call, command)
        self._waiting[cookie.encode()] = (command, call, time.monotonic(), where)
        try:
            self.sockets[where].send(cookie.encode() + b" " + encode(message))
        except ConnectionRefusedError:
            pass  # of an earlier request: this one counts as lost when nothing comes

    def _receive(self, source):
        while True:
            try:
                datagram = source.recv(65536)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            cookie, _, body = datagram.partition(b" ")
            if cookie in self._waiting:
                self._done(cookie, decode(body))

    def _done(self, cookie, text):
        command, call, sent, where = self._waiting.pop(cookie)
        now = time.monotonic()
        ok = text is not None and text.get("result") == "ok" and "warning" not in text
        self.replies.append(Reply(command, call, sent, now - sent, ok, text or {}, where))
        self.on_reply(self.replies[-1])
        if command == "offer" and ok:
            self._later(now, "answer", call)
        elif command != "delete":
            self._later(now + (self.hold if ok else 0), "delete", call)

    def _give_up(self):
        now = time.monotonic()
        for cookie in [c for c, (_, _, sent, _) in self._waiting.items() if now - sent > PATIENCE]:
            self._done(cookie, None)
