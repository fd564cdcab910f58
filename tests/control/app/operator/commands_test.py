#!/usr/bin/python3
"""The operator's commands against real processes: what they print, their JSON, their exit status, and what they do
while a relay dies or a registrar hangs.

    commands_test.py --binary build/dev/rtpool [unittest arguments]
"""

import argparse
import json
import os
import pathlib
import pty
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from support.ng_client import NgClient  # noqa: E402
from support.rtpool_process import RtpoolRole, free_port, free_port_range  # noqa: E402

BINARY = None


def sdp(port):
    return ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")


def wait_until(what, condition, timeout=10):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


class Watcher:
    """`rtpool pool watch` with its output in lines."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen([BINARY, "pool", "watch", *arguments], stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
        os.set_blocking(self._process.stdout.fileno(), False)
        self.text = ""

    def shows(self, *words):
        """Whether a line with all the words has come."""
        self.text += (self._process.stdout.read() or b"").decode()
        return any(all(word in line for word in words) for line in self.text.splitlines())

    def wait_for(self, *words):
        wait_until(f"{words} in what is watched", lambda: self.shows(*words))

    def end(self, number=signal.SIGINT):
        self._process.send_signal(number)
        status = self._process.wait(5)
        self.shows()
        self._process.stdout.close()
        return status


class Fleet(unittest.TestCase):
    """Two registrars, two relays, a controller; one call."""

    def setUp(self):
        self.registrar_at = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self.both = ",".join(self.registrar_at)
        self.registrars = [self._start("registrar", "--listen", at) for at in self.registrar_at]
        self.relays = {name: self._relay(name) for name in ("one", "two")}
        ng_port = free_port(socket.SOCK_DGRAM)
        self.controller = self._start("controller", "--registrar", self.both, "--ng", f"127.0.0.1:{ng_port}")
        self.http = "{}:{}".format(*self.controller.http)
        self.ng = NgClient("127.0.0.1", ng_port)
        for role in (*self.relays.values(), self.controller):
            role.wait_ready()
        wait_until("both relays are at both registrars", lambda: all(
            len(self._show(at)["relays"]) == 2 for at in self.registrar_at))

    def _start(self, *arguments):
        role = RtpoolRole(BINARY, *arguments)
        self.addCleanup(role.kill)
        return role

    def _relay(self, name):
        return self._start("relay", "--id", name, "--registrar", self.both, "--listen", "127.0.0.1:0",
                           "--media-address", "127.0.0.1", "--media-ports", free_port_range(1400), "--zone", f"zone-{name}")

    def run_it(self, *arguments, timeout=15):
        """Status, standard output and standard error of a command."""
        env = {**os.environ, "TERM": "xterm"}
        env.pop("NO_COLOR", None)
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=timeout, check=False, env=env)
        return done.returncode, done.stdout, done.stderr

    def json_of(self, *arguments, status=0):
        got, out, err = self.run_it(*arguments, "--json")
        self.assertEqual(got, status, out + err)
        return json.loads(out)

    def _show(self, registrars=None):
        status, out, _ = self.run_it("pool", "show", "media", "--registrar", registrars or self.both, "--json")
        return json.loads(out) if status == 0 else {"relays": []}

    def state_of(self, name, registrars=None):
        return {relay["id"]: relay["state"] for relay in self._show(registrars)["relays"]}.get(name)

    def call(self, call_id, caller=4000, callee=5000):
        self.ng.offer(call_id, "from-1", sdp(caller))
        self.ng.answer(call_id, "from-1", "to-1", sdp(callee))

    # ---- pools

    def test_pools_are_listed_and_shown(self):
        status, out, err = self.run_it("pool", "list", "--registrar", self.both)
        self.assertEqual((status, err), (0, ""))
        header, row = out.splitlines()
        self.assertEqual(header.split()[:3], ["POOL", "RELAYS", "UP"])
        self.assertEqual(row.split()[:3], ["media", "2", "2"])
        self.assertIn("2 of 2 agree", row)
        self.assertNotIn("\x1b", out)
        pools = self.json_of("pool", "list", "--registrar", self.both)
        self.assertEqual(pools["pools"][0]["states"]["up"], 2)
        self.assertEqual([r["answers"] for r in pools["registrars"]], [True, True])
        shown = self._show()
        self.assertEqual([relay["id"] for relay in shown["relays"]], ["one", "two"])
        self.assertTrue(shown["agree"])
        for key in ("state", "load_percent", "calls", "capacity", "zone", "weight", "priority", "address", "epoch",
                    "last_heard_ms", "unreachable_reports"):
            self.assertIn(key, shown["relays"][0])
        status, out, _ = self.run_it("pool", "show", "media", "--registrar", self.both)
        self.assertEqual(status, 0)
        self.assertEqual([line.split()[0] for line in out.splitlines()[2:]], ["one", "two"])
        self.assertIn("zone-one", out)

    def test_what_is_not_there_has_a_status_of_its_own(self):
        for arguments, status, sentence in [
                (["pool", "show", "nowhere", "--registrar", self.both], 3, 'no pool "nowhere"; there is media'),
                (["pool", "list", "--pool", "nowhere", "--registrar", self.both], 3, "there is media"),
                (["drain", "three", "--registrar", self.both], 3, 'no relay "three"; there is one, two'),
                (["undrain", "one", "--pool", "west", "--registrar", self.both], 3, "in pool west"),
                (["call", "show", "none", "--registrar", self.both, "--http", self.http], 3, 'has a call "none"'),
                (["call", "explain", "none", "--from", "127.0.0.1:1", "--registrar", self.both, "--http", self.http], 3,
                 'has a call "none" (2 relays asked)'),
                (["call", "show", "none", "--relay", "three", "--registrar", self.both], 3, 'no relay "three"'),
                (["pool", "list", "--registrar", "127.0.0.1:1"], 1, "no registrar answers"),
                (["drain", "one", "--registrar", "127.0.0.1:1"], 1, "no registrar answers"),
                (["call", "list", "--http", "127.0.0.1:1"], 1, "no answer from"),
                (["call", "show"], 2, "CALL-ID is missing"),
                (["call", "explain", "c1"], 2, "--from is required"),
                (["call", "explain", "c1", "--from", "here"], 2, "is no IP:PORT"),
                (["call", "explain", "c1", "--from", "1.2.3.4:5", "--to", "70000"], 2, "--to"),
                (["drain", "o/ne"], 2, 'NAME "o/ne"'),
                (["drain", "one", "--timeout", "5s"], 2, "--timeout is for --wait"),
                (["pool", "show", "a", "b"], 2, 'unexpected "b"'),
        ]:
            with self.subTest(arguments=arguments):
                got, out, err = self.run_it(*arguments)
                self.assertEqual((got, out), (status, ""), err)
                self.assertIn(sentence, err.splitlines()[-1])

    def test_a_dead_relay_and_a_registrar_that_hangs_do_not_hold_it_up(self):
        self.registrars[1].send_signal(signal.SIGSTOP)
        self.addCleanup(self.registrars[1].send_signal, signal.SIGCONT)
        self.relays["two"].kill()
        wait_until("the dead relay is out", lambda: self.state_of("two", self.registrar_at[0]) is None)
        status, out, err = self.run_it("pool", "show", "media", "--registrar", self.both)
        self.assertEqual(status, 0, err)
        self.assertIn("1 of 2 answer", out)
        self.assertIn(f"{self.registrar_at[1]} does not answer", err)
        self.assertEqual([r["answers"] for r in self._show()["registrars"]], [True, False])
        # When it goes on it still has the dead one, or had: the others say otherwise, and then it agrees.
        self.registrars[1].send_signal(signal.SIGCONT)
        wait_until("they agree", lambda: self._show()["agree"] and len(self._show()["relays"]) == 1)

    def test_what_registrars_see_differently_is_shown(self):
        self.registrars[1].send_signal(signal.SIGKILL)
        self.registrars[1].wait()
        other = self._start("relay", "--id", "three", "--registrar", self.registrar_at[0], "--listen", "127.0.0.1:0",
                            "--media-address", "127.0.0.1", "--media-ports", free_port_range())
        other.wait_ready()
        self._start("registrar", "--listen", self.registrar_at[1])
        wait_until("the others are back", lambda: len(self._show(self.registrar_at[1])["relays"]) == 2)
        shown = self._show()
        self.assertFalse(shown["agree"])
        self.assertEqual(shown["differences"], [f"three is not known at {self.registrar_at[1]}"])
        _, out, _ = self.run_it("pool", "show", "media", "--registrar", self.both)
        self.assertIn("The registrars differ:", out)

    def test_a_watch_tells_who_comes_goes_and_is_drained(self):
        plain, objects = Watcher("media", "--registrar", self.both), Watcher("media", "--json", "--registrar", self.both)
        plain.wait_for("watching media: 2 relays, 2 of 2 registrars in contact")
        objects.wait_for('"event":"view"')
        self.assertEqual(self.run_it("drain", "one", "--registrar", self.both)[0], 0)
        plain.wait_for("one is drained")
        self.assertEqual(self.run_it("undrain", "one", "--registrar", self.both)[0], 0)
        plain.wait_for("one takes new calls again")
        self.relays["two"].kill()
        plain.wait_for("two is suspect")
        plain.wait_for("two died")
        self.relays["two"] = self._relay("two")
        plain.wait_for("two joined from")
        self.assertEqual(self.relays["one"].stop(), 0)
        plain.wait_for("one left the pool")
        objects.wait_for('"event":"left"', '"relay":"one"')
        self.assertEqual(plain.end(), 0)
        self.assertEqual(objects.end(signal.SIGTERM), 0)
        told = [json.loads(line) for line in objects.text.splitlines()]
        self.assertEqual([t["event"] for t in told if t.get("relay") == "two"][:3],
                         ["suspect", "died", "joined"])
        for one in told:
            self.assertEqual(one["pool"], "media")
            self.assertRegex(one["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_on_a_terminal_a_watch_draws_and_colours_and_puts_the_cursor_back(self):
        for no_color in (False, True):
            leader, follower = pty.openpty()
            env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1" if no_color else ""}
            process = subprocess.Popen([BINARY, "pool", "watch", "media", "--registrar", self.both], stdout=follower, env=env)
            os.close(follower)
            os.set_blocking(leader, False)
            screen = bytearray()
            wait_until("the table is drawn", lambda: b"zone-two" in self.read_terminal(leader, screen))
            process.send_signal(signal.SIGINT)
            wait_until("the cursor is back", lambda: b"\x1b[?25h" in self.read_terminal(leader, screen))
            self.assertEqual(process.wait(5), 0)
            os.close(leader)
            self.assertEqual(b"\x1b[32mup" in screen, not no_color)

    @staticmethod
    def read_terminal(leader, screen):
        try:
            screen += os.read(leader, 65536)
        except OSError:  # nothing there, or nobody at the other end any more
            pass
        return screen

    # ---- draining

    def test_a_drained_relay_keeps_its_calls_and_gets_no_more(self):
        self.call("c1")
        owner = self.json_of("call", "list", "--http", self.http)["calls"][0]["relay"]
        done = self.json_of("drain", owner, "--registrar", self.both)
        self.assertEqual((done["relay"], done["drained"], done["complete"], done["calls"]), (owner, True, True, 1))
        self.assertEqual(self.state_of(owner), "drained")
        for number in range(4):
            self.call(f"more-{number}", 6000 + 4 * number, 7000 + 4 * number)
        calls = self.json_of("call", "list", "--relay", owner, "--http", self.http)
        self.assertEqual(([c["call_id"] for c in calls["calls"]], calls["total"]), (["c1"], 5))
        # It waits for the last call, or for as long as it is told to.
        status, _, err = self.run_it("drain", owner, "--wait", "--timeout", "1s", "--registrar", self.both)
        self.assertEqual(status, 3)
        self.assertIn("--timeout has run out", err)
        waiting = subprocess.Popen([BINARY, "drain", owner, "--wait", "--registrar", self.both], stdout=subprocess.PIPE, text=True)
        self.ng.delete("c1", "from-1")
        out, _ = waiting.communicate(timeout=10)
        self.assertEqual(waiting.returncode, 0)
        self.assertIn("it has 0 calls", out)
        self.assertEqual(self.json_of("undrain", owner, "--registrar", self.both)["drained"], False)
        self.assertEqual(self.state_of(owner), "up")

    def test_a_registrar_that_is_not_reached_makes_it_partly_done(self):
        self.registrars[1].kill()
        status, out, err = self.run_it("drain", "one", "--registrar", self.both)
        self.assertEqual(status, 3)
        self.assertIn(f"one in pool media is drained at {self.registrar_at[0]}", out)
        self.assertIn(f"{self.registrar_at[1]} was not told", err)

    # ---- calls

    def test_all_calls_are_listed_page_by_page(self):
        for number in range(510):
            self.ng.offer(f"call-{number:04}", "f", sdp(4000))
        calls = self.json_of("call", "list", "--http", self.http)
        self.assertEqual([c["call_id"] for c in calls["calls"]], [f"call-{n:04}" for n in range(510)])
        self.assertEqual(calls["total"], 510)
        self.assertEqual(len(self.json_of("call", "list", "--limit", "7", "--http", self.http)["calls"]), 7)
        _, out, _ = self.run_it("call", "list", "--limit", "7", "--http", self.http)
        self.assertTrue(out.endswith("(7 of 510 calls)\n"), out)
        by_relay = [len(self.json_of("call", "list", "--relay", name, "--http", self.http)["calls"]) for name in self.relays]
        self.assertEqual(sum(by_relay), 510)
        self.assertTrue(all(by_relay), by_relay)
        # A relay's own list comes in pages, too.
        relay = "{}:{}".format(*self.relays["one"].http)
        self.assertEqual(len(self.json_of("call", "list", "--http", relay)["calls"]), by_relay[0])
        for query in ("limit=0", "limit=501", "limit=x", "after=zz", "colour=red"):
            status, body = self.controller.get("/api/calls?" + query)
            self.assertEqual(status, 400, query)
            self.assertIn(query.split("=")[0], json.loads(body)["error"])

    def test_a_call_is_shown_and_explained_and_stays_as_it_is(self):
        alice = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bob = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        mallory = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with alice, bob, mallory:
            for phone in (alice, bob):
                phone.bind(("127.0.0.1", 0))
                phone.settimeout(5)
            mallory.bind(("127.0.0.2", 0))
            call_id = "4a1b/ä?&id=x@[2001:db8::1]"
            self.call(call_id, alice.getsockname()[1], bob.getsockname()[1])
            where = ["--registrar", self.both, "--http", self.http]
            before = self.json_of("call", "show", call_id, *where)
            streams = before["calls"][0]["streams"]
            self.assertEqual([s["tag"] for s in streams], ["from-1", "to-1"])
            self.assertTrue(before["controller"]["knows"])
            port = int(streams[0]["rtp"]["local"].rsplit(":", 1)[1])
            source = "127.0.0.1:{}".format(alice.getsockname()[1])
            explain = ["call", "explain", call_id, "--from", source, *where]
            told = self.json_of(*explain)["relays"][0]["ports"]
            self.assertEqual(len(told), 4)
            mine = self.json_of(*explain, "--to", str(port))["relays"][0]["ports"]
            self.assertEqual([(p["component"], p["tag"], p["forwarded"], p["learned"]) for p in mine],
                             [("RTP", "from-1", True, "latched")])
            self.assertEqual(mine[0]["leaves_from"], streams[1]["rtp"]["local"])
            self.assertEqual(mine[0]["leaves_to"], "127.0.0.1:{}".format(bob.getsockname()[1]))
            # Explaining has changed nothing,
            after = self.json_of("call", "show", call_id, *where)
            for shown in (before, after):
                shown["calls"][0].pop("age_seconds")
            self.assertEqual(before, after)
            # and a real packet goes where it was said to go, and a stranger's does not.
            packet = bytes([0x80, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7]) + bytes(160)
            alice.sendto(packet, ("127.0.0.1", port))
            self.assertEqual(bob.recv(2048), packet)
            mallory.sendto(packet, ("127.0.0.1", port))
            stranger = "127.0.0.2:{}".format(mallory.getsockname()[1])
            status, out, err = self.run_it("call", "explain", call_id, "--from", stranger, "--to", str(port), *where)
            self.assertEqual(status, 0, err)
            self.assertIn("is dropped (source_refused)", out)
            self.assertIn(f"would pass from {source}, which is latched", out)
            wait_until("the stranger's packet is counted", lambda: self.json_of(
                "call", "show", call_id, *where)["calls"][0]["drops"]["source_refused"] == 1)
            status, out, err = self.run_it("call", "show", call_id, *where)
            self.assertEqual((status, err), (0, ""))
            self.assertIn("Dropped: 1 source_refused", out)
            self.assertIn("audio", out)
            self.assertEqual(self.run_it("call", "explain", call_id, "--from", source, "--to", "9", *where)[0], 3)
            # Without a controller that knows it, all but the names.
            status, out, _ = self.run_it("call", "show", call_id, "--registrar", self.both, "--http", "127.0.0.1:1")
            self.assertEqual(status, 0)
            self.assertIn("The parties' names are not known: no answer from", out)

    def test_what_a_proxy_sends_does_not_drive_the_terminal(self):
        # Control characters are refused; what passes can still turn writing around, or be a control of C1.
        evil = "evil\u202etxt\u009b2J"
        self.ng.offer(evil, "tag\u2066\u009b31m", sdp(4000))
        for arguments in (["call", "list", "--http", self.http],
                          ["call", "show", evil, "--registrar", self.both, "--http", self.http]):
            status, out, _ = self.run_it(*arguments)
            self.assertEqual(status, 0)
            self.assertIn("evil?txt?2J", out)
            self.assertIn("tag??31m", out)
            self.assertFalse(set(out) & set("\x1b\u009b\u202e\u2066"), out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--binary", required=True)
    known, rest = parser.parse_known_args()
    BINARY = os.path.abspath(known.binary)
    unittest.main(argv=[sys.argv[0], *rest], warnings="ignore")
