"""An NG client for tests: what a SIP proxy's rtpengine module does, with the messages laid open.

Requests go out as `<cookie> SP <dictionary>` in bencode or JSON over UDP and are repeated with the
same cookie until they are answered, as Kamailio and OpenSIPS do. Keyword arguments become keys:
`call_id="x"` is sent as `call-id`. Text in replies is str (UTF-8, undecodable bytes escaped).

    ng = NgClient("127.0.0.1", 2223)
    reply = ng.offer("call-1", "from-1", sdp, flags=["trust-address"])
    reply["sdp"], ng.query("call-1")["totals"]

One client belongs to one thread. `namespace` opens its socket in a named network namespace.
"""

import itertools
import json
import os
import socket
import time

from support.namespaces import inside


class NgError(Exception):
    """The relay answered with an error; `reply` is the whole dictionary."""

    def __init__(self, reply):
        super().__init__(reply.get("error-reason", str(reply)))
        self.reply = reply


class NgTimeout(Exception):
    """No answer to any of the tries."""


def encode(value):
    """Bencode, keys in the order given: Kamailio does not sort them either."""
    if isinstance(value, bool):
        raise TypeError("NG has no booleans")
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, (bytes, bytearray)):
        return b"%d:%s" % (len(value), bytes(value))
    if isinstance(value, dict):
        return b"d" + b"".join(encode(k) + encode(v) for k, v in value.items()) + b"e"
    return b"l" + b"".join(encode(item) for item in value) + b"e"


def decode(data):
    """The value of a whole bencoded text; ValueError for anything else."""
    value, end = _decode(data, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the bencoded value")
    return value


def _decode(data, at):
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind in (b"l", b"d"):
        items, at = [], at + 1
        while data[at:at + 1] != b"e":
            item, at = _decode(data, at)
            items.append(item)
        if kind == b"l":
            return items, at + 1
        return dict(zip(items[::2], items[1::2], strict=True)), at + 1
    if kind.isdigit():
        colon = data.index(b":", at)
        end = colon + 1 + int(data[at:colon])
        if end > len(data):
            raise ValueError("string longer than the message")
        return data[colon + 1:end].decode("utf-8", "surrogateescape"), end
    raise ValueError(f"no bencoded value at byte {at}")


class NgClient:
    def __init__(self, address="127.0.0.1", port=2223, *, namespace=None, encoding="bencode",
                 timeout=1.0, tries=5):
        self.encoding, self.timeout, self.tries = encoding, timeout, tries
        self.resent = 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with inside(namespace):
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect((address, port))
        self._prefix = f"{os.getpid()}_{os.urandom(4).hex()}"
        self._numbers = itertools.count(1)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- requests -------------------------------------------------------------------------------
    def request(self, command, *, check=True, cookie=None, **keys):
        """Sends one request and gives its reply; NgError for `result` = `error` unless check=False."""
        message = {"command": command}
        message.update((key.replace("_", "-"), v) for key, v in keys.items() if v is not None)
        reply = self.exchange(message, cookie)
        if check and reply.get("result") not in ("ok", "pong"):
            raise NgError(reply)
        return reply

    def exchange(self, message, cookie=None):
        cookie = (cookie or self.new_cookie()).encode()
        datagram = self.pack(message, cookie)
        for attempt in range(self.tries):
            self.resent += attempt > 0
            try:
                self.socket.send(datagram)
            except ConnectionRefusedError:  # an ICMP error of an earlier try: the next says more
                time.sleep(self.timeout / 10)
                continue
            reply = self.receive(cookie, self.timeout)
            if reply is not None:
                return reply
        raise NgTimeout(f"no answer to {message.get('command')!r} in {self.tries} tries")

    def pack(self, message, cookie=None):
        """The datagram of a request, for tests that change it before they send it."""
        if isinstance(cookie, str):
            cookie = cookie.encode()
        body = json.dumps(message).encode() if self.encoding == "json" else encode(message)
        return (cookie or self.new_cookie().encode()) + b" " + body

    def receive(self, cookie, seconds):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                datagram = self.socket.recv(65536)
            except TimeoutError:
                return None
            except ConnectionRefusedError:
                time.sleep(min(left, 0.05))
                continue
            head, _, body = datagram.partition(b" ")
            if head == cookie:
                return json.loads(body) if body[:1] == b"{" else decode(body)
        return None

    def new_cookie(self):
        return f"{self._prefix}_{next(self._numbers)}"

    # -- the commands a proxy uses --------------------------------------------------------------
    def ping(self):
        return self.request("ping")

    def offer(self, call_id, from_tag, sdp, **keys):
        return self.request("offer", call_id=call_id, from_tag=from_tag, sdp=sdp, **keys)

    def answer(self, call_id, from_tag, to_tag, sdp, **keys):
        return self.request("answer", call_id=call_id, from_tag=from_tag, to_tag=to_tag, sdp=sdp,
                            **keys)

    def delete(self, call_id, from_tag, **keys):
        """Ends the call at once (rtpengine would keep it for 30 s otherwise)."""
        keys.setdefault("delete_delay", 0)
        return self.request("delete", call_id=call_id, from_tag=from_tag, **keys)

    def query(self, call_id, **keys):
        return self.request("query", call_id=call_id, **keys)

    def list(self, limit=1000):
        return self.request("list", limit=limit)["calls"]


def streams(reply):
    """Every stream of a query's or delete's reply: (tag, media index, stream), RTP before RTCP."""
    return [(tag, media["index"], stream) for tag, party in reply.get("tags", {}).items()
            for media in party.get("medias", []) for stream in media.get("streams", [])]
