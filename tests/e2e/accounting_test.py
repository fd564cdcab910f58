#!/usr/bin/python3
"""The accounting that judges whole calls is itself judged: each kind of harm done to a good call shows."""

import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import accounting, speech  # noqa: E402
from lab.capture import Datagram  # noqa: E402
from support import ng_client  # noqa: E402

PROXY, NG, MEDIA = ("127.9.9.1", 5060), ("127.9.9.2", 2223), "127.9.9.3"
CALLER, CALLEE = "127.9.9.10", "127.9.9.20"
TO_CALLER, TO_CALLEE = 20000, 20100  # the relay's ports that each party is told


def sip(start, cseq, address, port):
    return (f"{start}\r\nCall-ID: call-1\r\nCSeq: 1 {cseq}\r\n\r\nv=0\r\nc=IN IP4 {address}\r\n"
            f"m=audio {port} RTP/AVP 8\r\n").encode()


class AccountingTest(unittest.TestCase):
    def setUp(self):
        """Given a call in which the caller says half a second and the callee hears it."""
        self.said = speech.speech("aei", 0.5, 120)
        self.signalling = [
            self.send(0, (CALLER, 5060), PROXY, sip("INVITE sip:b@x SIP/2.0", "INVITE", CALLER, 6000)),
            self.send(0, PROXY, (CALLEE, 5060), sip("INVITE sip:b@x SIP/2.0", "INVITE", MEDIA, TO_CALLEE)),
            self.send(0, (CALLEE, 5060), PROXY, sip("SIP/2.0 200 OK", "INVITE", CALLEE, 6000)),
            self.send(0, PROXY, (CALLER, 5060), sip("SIP/2.0 200 OK", "INVITE", MEDIA, TO_CALLER)),
        ]
        self.media = []
        for number, audio in enumerate(speech.packets(self.said)):
            packet = struct.pack("!BBHII", 0x80, 8, number, number * 160, 7) + audio
            self.media += [
                self.send(1 + number * 0.02, (CALLER, 6000), (MEDIA, TO_CALLER), packet),
                self.send(1 + number * 0.02 + 0.0001, (MEDIA, TO_CALLEE), (CALLEE, 6000), packet)]
        self.ending = self.ng_delete(len(self.media) // 2)

    @staticmethod
    def send(at, source, target, payload):
        return Datagram(at, source, target, payload)

    def ng_delete(self, packets):
        ask = ng_client.encode({"command": "delete", "call-id": "call-1", "from-tag": "f"})
        tell = ng_client.encode({"result": "ok", "totals": {"RTP": {"packets": packets}}})
        return [self.send(9, PROXY, NG, b"1_1 " + ask), self.send(9.002, NG, PROXY, b"1_1 " + tell)]

    def report(self):
        return accounting.account(self.signalling + self.media + self.ending, PROXY, NG, MEDIA,
                                  {CALLER, CALLEE})

    def up(self):
        return self.report().calls["call-1"].up

    def test_good_call_is_whole(self):
        report = self.report()
        call = report.calls["call-1"]
        self.assertEqual((call.up.sent(), call.up.heard(), call.up.lost(), call.up.invented()), (25, 25, 0, 0))
        self.assertTrue(call.up.in_order())
        self.assertEqual(call.up.audio_heard(), self.said)
        self.assertEqual(call.counted, 25)
        self.assertTrue(call.established)
        self.assertEqual(call.callees, {CALLEE})
        self.assertFalse(report.around or report.strays or report.ng_errors or report.foreign_sdp)
        self.assertAlmostEqual(report.ng_seconds["delete"][0], 0.002)
        self.assertEqual(accounting.rtp_faults(call.up), 0)

    def test_lost_packet_is_missed(self):
        del self.media[11]
        self.assertEqual((self.up().lost(), self.up().invented()), (1, 0))
        self.assertNotEqual(self.up().audio_heard(), self.said)

    def test_repeated_packet_is_seen(self):
        self.media.insert(12, self.media[11])
        self.assertEqual((self.up().lost(), self.up().invented()), (0, 1))

    def test_changed_packet_is_lost_and_invented(self):
        bad = self.media[11]
        self.media[11] = self.send(bad.at, bad.source, bad.target, bad.payload[:-1] + b"\0")
        self.assertEqual((self.up().lost(), self.up().invented()), (1, 1))

    def test_overtaking_packet_is_seen(self):
        self.media[11], self.media[13] = self.media[13], self.media[11]
        self.assertFalse(self.up().in_order())
        self.assertEqual(self.up().lost(), 0)

    def test_packet_from_phone_to_phone_went_around(self):
        self.media.append(self.send(2, (CALLER, 6000), (CALLEE, 6000), b"\x80\x08" + bytes(170)))
        self.assertEqual(len(self.report().around), 1)

    def test_packet_at_a_port_of_no_call_is_a_stray(self):
        self.media.append(self.send(2, (MEDIA, 20200), (CALLEE, 6000), b"\x80\x08" + bytes(170)))
        self.media.append(self.send(2, (CALLER, 6000), (MEDIA, 20200), b"\x80\x08" + bytes(170)))
        self.assertEqual(len(self.report().strays), 2)

    def test_packet_to_the_wrong_party_is_no_part_of_the_call(self):
        good = self.media[11]
        self.media[11] = self.send(good.at, good.source, ("127.9.9.66", 6000), good.payload)
        self.assertEqual(self.up().lost(), 1)
        self.assertEqual(len(self.report().strays), 1)

    def test_phone_that_is_told_the_other_phone_is_seen(self):
        self.signalling[3] = self.send(0, PROXY, (CALLER, 5060), sip("SIP/2.0 200 OK", "INVITE", CALLEE, 6000))
        self.assertEqual(len(self.report().foreign_sdp), 1)

    def test_ng_error_is_noted(self):
        self.ending.append(self.send(9.5, PROXY, NG, b"1_2 d7:command5:offere"))
        self.ending.append(self.send(9.6, NG, PROXY, b"1_2 d6:result5:error12:error-reason3:bade"))
        self.assertEqual(self.report().ng_errors, ["offer: bad"])

    def test_icmp_error_about_media_is_noted(self):
        quoted = b"E" + bytes(11) + bytes([127, 9, 9, 3]) + bytes([127, 9, 9, 20]) + bytes(8)
        self.media.append(Datagram(3, (CALLEE, 0), (MEDIA, 0), b"\x03\x03" + bytes(6) + quoted, True))
        self.assertEqual(len(self.report().refused), 1)


if __name__ == "__main__":
    unittest.main()
