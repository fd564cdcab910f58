#!/usr/bin/python3
"""Calls go through whatever forwards them: io_uring, epoll by choice, and epoll where io_uring is forbidden.

    packet_io.py --binary build/dev/rtpool [unittest arguments]
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.ng_client import NgClient  # noqa: E402
from support.rtp_endpoint import Media, RtpEndpoint, account  # noqa: E402
from support.rtpool_process import RtpoolServe  # noqa: E402

BINARY = None
WITHOUT_IO_URING = [sys.executable, str(ROOT / "tests" / "support" / "without_io_uring.py")]
CALLS = 6
UNAVAILABLE = "io_uring is not available: forbidden here, by the sysctl kernel.io_uring_disabled or by the container's"


def kernel():
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))


class PacketIo(unittest.TestCase):
    def serve(self, *options, prefix=()):
        if "--media-address" not in options:
            options += ("--media-address", "127.0.0.1")  # going without it is a warning
        role = self.enterContext(RtpoolServe(BINARY, *options, prefix=prefix))
        self.ng = self.enterContext(NgClient(*role.ng))
        return role

    def talk(self, address="127.0.0.1"):
        """Several calls at once; every packet arrives."""
        with Media() as media:
            calls = []
            for n in range(CALLS):
                a, b = (media.add(RtpEndpoint(address, name=f"{name}{n}")) for name in "AB")
                offered = self.ng.offer(f"call-{n}", "a", a.sdp())["sdp"]
                a.call_sdp(self.ng.answer(f"call-{n}", "a", "b", b.sdp())["sdp"])
                b.call_sdp(offered)
                calls.append((a, b))
            media.talk(1.0)
            media.hush(*(endpoint for call in calls for endpoint in call))
            for n, (a, b) in enumerate(calls):
                self.assertTrue(account(a, b).whole, account(a, b))
                self.assertTrue(account(b, a).whole, account(b, a))
                totals = self.ng.delete(f"call-{n}", "a", to_tag="b")["totals"]["RTP"]
                self.assertEqual(totals["packets"], len(a.sent) + len(b.sent))

    def check_io(self, role, kind):
        self.assertIn(f"media engine io={kind} ", role.stderr)
        self.assertEqual(role.metric(f'rtpool_io_info{{io="{kind}"}}'), 1)

    def test_by_epoll(self):
        role = self.serve("--io", "epoll")
        self.talk()
        self.check_io(role, "epoll")
        self.assertNotIn("warning", role.stderr)

    def test_by_epoll_without_a_window_over_ipv6(self):
        role = self.serve("--io", "epoll", "--batch-window", "0", "--media-address", "::1")
        self.talk("::1")
        self.check_io(role, "epoll")

    def test_by_io_uring(self):
        for choice in ("uring", "auto"):
            with self.subTest(io=choice):
                role = self.serve("--io", choice)
                self.talk()
                self.check_io(role, "uring")

    def test_by_epoll_where_io_uring_is_forbidden(self):
        role = self.serve(prefix=WITHOUT_IO_URING)
        self.talk()
        self.check_io(role, "epoll")
        warnings = [line for line in role.stderr.splitlines() if " warning " in line]
        self.assertEqual(len(warnings), 1, role.stderr)
        self.assertIn("media is forwarded by epoll", warnings[0])
        self.assertIn(UNAVAILABLE, warnings[0])

    def test_asked_for_io_uring_it_does_not_start_without(self):
        done = subprocess.run([*WITHOUT_IO_URING, BINARY, "serve", "--io", "uring", "--http", "off", "--ng",
                               "127.0.0.1:0"], capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(UNAVAILABLE, done.stderr.splitlines()[-1])

    def test_pinned_to_cores(self):
        usable = sorted(os.sched_getaffinity(0))
        turn = [usable[-1], usable[0]]
        role = self.serve("--shards", "3", "--cpu-affinity", f"{usable[0]}" if len(usable) == 1 else
                          ",".join(map(str, turn)))
        self.talk()
        tasks = pathlib.Path(f"/proc/{role.pid}/task")
        names = {(task / "comm").read_text().strip(): int(task.name) for task in tasks.iterdir()}
        for shard in range(3):
            self.assertEqual(os.sched_getaffinity(names[f"rtpool-shard{shard}"]), {turn[shard % 2]})
        # What is no shard runs wherever it did.
        self.assertEqual(os.sched_getaffinity(names["rtpool-engine"]), set(usable))

    def test_a_core_that_there_is_not_is_named(self):
        done = subprocess.run([BINARY, "serve", "--cpu-affinity", "1023", "--http", "off", "--ng", "127.0.0.1:0"],
                              capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1],
                         r"a shard can't be pinned to core 1023; this process may run on [\d,-]+$")

    def test_polling_busily(self):
        for choice in ("uring", "epoll"):
            with self.subTest(io=choice):
                if kernel() < (6, 9):
                    done = subprocess.run([BINARY, "serve", "--io", choice, "--busy-poll", "50us", "--http", "off",
                                           "--ng", "127.0.0.1:0"], capture_output=True, text=True, timeout=20,
                                          check=False)
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertIn("busy polling is not available: this kernel has none; Linux 6.9 or later is needed",
                                  done.stderr)
                    continue
                role = self.serve("--io", choice, "--busy-poll", "50us")
                self.talk()
                self.check_io(role, choice)


def main():
    global BINARY
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    options, rest = parser.parse_known_args()
    BINARY = str(pathlib.Path(options.binary).resolve())
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
