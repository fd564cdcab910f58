"""Hostile input, drawn from a seed: NG requests that were real ones, and datagrams for media ports."""

import json
import struct

from support.ng_client import encode
from support.rtp_endpoint import rtp_packet

SDP = ("v=0\r\no=x 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
       "m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp:40001\r\n"
       "m=video 40002 RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n"
       "a=candidate:1 1 UDP 2130706431 192.0.2.7 40002 typ host\r\na=rtcp-mux\r\n")
HUGE_INTEGERS = (b"i99999999999999999999999999999e", b"i-9223372036854775809e", b"i-0e", b"ie",
                 b"i--1e", b"i1.5e", b"i" + b"9" * 5000 + b"e", b"i0x10e", b"i 1e")
HUGE_LENGTHS = (b"99999999999999999999:x", b"4294967295:x", b"18446744073709551615:x", b"-1:x",
                b"00000000000001:x", b"2147483648:x", b"65536:" + b"x" * 200, b":x")


def real_requests(random):
    """Requests as proxies send them, for a call of their own (one of a hundred)."""
    call = {"call-id": f"hostile-{random.randrange(100)}", "from-tag": "f"}
    keys = {"received-from": ["IP4", "192.0.2.7"], "ICE": random.choice(["remove", "force"]),
            "flags": ["trust-address", "strict-source"], "replace": ["origin"],
            "direction": ["default", "default"], "rtcp-mux": ["demux"], "supports": ["load limit"],
            "codec": {"strip": ["G729"], "offer": ["PCMA"]}, "via-branch": "z9hG4bK1"}
    return [
        {"command": "ping"},
        {"command": "offer", **call, **keys, "sdp": SDP},
        {"command": "answer", **call, "to-tag": "t", **keys, "sdp": SDP},
        {"command": "delete", **call, "delete delay": 0},
        {"command": "query", **call},
        {"command": "list", "limit": 100},
        {"command": "statistics"},
        {"command": "start recording", **call, "metadata": "m"},
        {"command": "block media", **call, "all": "all"},
    ]


def flip_bits(random, data):
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def splice(random, data):
    """Bytes that are taken out, put in, or repeated."""
    at, length = random.randrange(len(data)), random.randint(1, 64)
    return random.choice((data[:at] + data[at + length:],
                          data[:at] + os_bytes(random, length) + data[at:],
                          data[:at] + data[max(at - length, 0):at] * random.randint(2, 40) + data[at:]))


def os_bytes(random, length):
    return random.getrandbits(8 * length).to_bytes(length, "big") if length else b""


def deep(random, _):
    depth = random.choice((17, 100, 5_000, 30_000))
    kind = random.choice((b"l", b"d1:a", b"{\"a\":", b"["))
    closing = {b"l": b"e", b"d1:a": b"e", b"{\"a\":": b"}", b"[": b"]"}[kind]
    depth = min(depth, 60_000 // (len(kind) + 1))
    body = kind * depth + (closing * depth if random.random() < 0.5 else b"")
    if kind == b"l":
        return b"d7:command4:ping5:flags" + body + b"e"
    return body if kind != b"[" else b'{"command":"ping","flags":' + body + b"}"


def huge_number(random, data):
    """A number or a length in the middle becomes one that fits nowhere."""
    value = random.choice(HUGE_INTEGERS + HUGE_LENGTHS)
    return random.choice((b"d7:command4:ping5:limit" + value + b"e", b"d" + value + b"1:ae", value,
                          data[:random.randrange(len(data))] + value))


def wrong_types(random, request):
    """Integers, lists and dictionaries where strings are due, and the reverse."""
    changed = dict(request)
    for key in random.sample(sorted(changed), random.randint(1, len(changed))):
        changed[key] = random.choice((0, -1, 2**63 - 1, "", [], {}, [[]], [{}], {"": {"": ""}}, "\0", "x" * 3000,
                                      [0] * 500, {str(i): i for i in range(300)}, ["IP4"],
                                      ["IP4", "999.1.1.1"], ["IP6", "::" * 50]))
    return changed


def missing_keys(random, request):
    return {key: value for key, value in request.items() if random.random() < 0.6}


def broken_sdp(random, request):
    changed = dict(request)
    lines = SDP.split("\r\n")
    action = random.randrange(5)
    if action == 0:
        random.shuffle(lines)
    elif action == 1:
        lines = [random.choice(lines) for _ in range(random.randint(0, 400))]
    elif action == 2:
        lines += ["m=audio 1 RTP/AVP 8"] * random.randint(1, 1500)
    elif action == 3:
        lines = [line[:random.randint(0, len(line))] for line in lines]
    else:
        lines = [line.replace("192.0.2.7", random.choice(
            ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::ffff:127.0.0.1", "fe80::1",
             "203.0.113.10", "999.1.1.1", "example.org", ""))) for line in lines]
    changed["sdp"] = "\r\n".join(lines)[:60_000]
    return changed


def ng_datagram(random, number):
    """One hostile NG datagram, with a cookie of its own (mostly)."""
    request = random.choice(real_requests(random))
    form = random.randrange(10)
    if form == 0:
        request = wrong_types(random, request)
    elif form == 1:
        request = missing_keys(random, request)
    elif form == 2:
        request = broken_sdp(random, request)
    body = json.dumps(request).encode() if random.random() < 0.4 else encode(request)
    if form in (3, 4):
        body = flip_bits(random, body)
    elif form == 5:
        body = body[:random.randrange(len(body))]
    elif form == 6:
        body = splice(random, body)
    elif form == 7:
        body = random.choice((deep, huge_number))(random, body)
    elif form == 8:
        body = random.choice((os_bytes(random, random.randint(0, 1200)), b"d" + os_bytes(random, 300),
                              b"{" + os_bytes(random, 300), b"", b" ", b"\0" * 1000))
    elif form == 9:
        body = random.choice((body + b"x" * 60_000, b"d3:sdp60000:" + b"v" * 60_000 + b"e",
                              b'{"sdp":"' + b"\\u0000" * 10_000 + b'"}'))
    cookie = b"h%d " % number
    if random.random() < 0.03:
        cookie = random.choice((b"", b"x" * 300 + b" ", b"\0\xff ", b" "))
    return (cookie + body)[:65_507]


# -- media ports ---------------------------------------------------------------------------------
def malformed_datagram(random, ssrc):
    """A datagram that no relay may pass on, though it comes from where media comes from."""
    rtp = rtp_packet(ssrc, random.getrandbits(16), random.getrandbits(32), bytes(160))
    stun = struct.pack("!HHI", 1, 8, 0x2112A442) + os_bytes(random, 12)
    hello = b"\x16\xfe\xfd" + bytes(8) + b"\x00\xf0\x01" + os_bytes(random, 100)
    other = random.choice([byte for byte in range(256) if not 128 <= byte <= 191])
    return random.choice((
        b"", b"\x80", b"\x00", bytes([other]), bytes([other]) + os_bytes(random, random.randint(1, 1400)),
        rtp[:random.randint(1, 11)],                                 # shorter than its header
        b"\x8f" + rtp[1:20],                                         # 15 CSRCs that are not there
        b"\x90" + rtp[1:12] + b"\xbe\xde\xff\xff" + bytes(40),       # an extension of 262,140 bytes
        bytes([random.choice((0x40, 0x00, 0xc0)) | 8]) + rtp[1:],    # another version
        stun, stun[:random.randint(1, 19)], stun[:4] + bytes(4) + stun[8:], stun[:2] + b"\xff\xff" + stun[4:],
        hello, hello[:random.randint(1, 12)], b"\x15\xfe\xfd" + bytes(10),
        rtp + bytes(random.choice((2_000, 9_000, 30_000, 65_507 - len(rtp)))),  # oversize
        rtp[:4] * 500 + bytes(random.choice((1_000, 63_000))),
    ))


def foreign_datagram(random, ssrc):
    """What a stranger may send besides: good RTP and RTCP, too."""
    good = (rtp_packet(random.getrandbits(32), random.getrandbits(16), 0, bytes(160)),
            # 255 bytes of padding that are not there. From the telephone itself it would be passed on: under SRTP
            # that octet is encrypted, and a relay without the keys can't tell.
            b"\xa0\x08" + os_bytes(random, 38) + b"\xff",
            rtp_packet(ssrc, random.getrandbits(16), 0, bytes(160)),
            struct.pack("!BBHI", 0x80, 201, 1, ssrc), struct.pack("!BBHI", 0x81, 203, 1, ssrc),
            struct.pack("!BBHI", 0x80, 200, 6, ssrc)[:random.randint(1, 8)])
    return random.choice(good) if random.random() < 0.4 else malformed_datagram(random, ssrc)


__all__ = ["foreign_datagram", "malformed_datagram", "ng_datagram"]
