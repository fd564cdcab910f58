#!/usr/bin/python3
"""The program as its users start it: roles, readiness, signals, and the one line for what can't be started.

    program_test.py --binary build/dev/rtpool [unittest arguments]
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from support.ng_client import NgClient, NgError  # noqa: E402
from support.rtpool_process import RtpoolProcess, RtpoolRole, RtpoolServe, free_port, free_port_range  # noqa: E402

BINARY = None
SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
       "m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")


def run(*arguments, timeout=10):
    """Status, standard output and standard error of a command that ends by itself."""
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    return done.returncode, done.stdout, done.stderr


def wait_until(what, condition, timeout=10):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


class CommandLine(unittest.TestCase):
    def test_alone_it_prints_help_and_the_version_is_printed(self):
        status, out, _ = run()
        self.assertEqual(status, 0)
        self.assertIn("rtpool serve", out)
        status, out, _ = run("version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^rtpool \d+\.\d+\.\d+\n$")

    def test_what_is_wrong_is_one_line_with_status_2(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("\nmedia-prots = '1-2'\n")
            file.flush()
            for arguments, sentence in [
                    (["serve", "--media-ports", "9-1"], "--media-ports \"9-1\" has its first port above its last"),
                    (["serve", "--bogus"], "unknown option --bogus"),
                    (["relay"], "--media-address is required"),
                    (["registrar", "--listen", "10.0.0.1:7400"], "--insecure"),
                    (["srve"], "did you mean `rtpool serve`?"),
                    (["serve", "--config", file.name], f"{file.name}:2: unknown key \"media-prots\"; did you mean media-ports?"),
            ]:
                status, out, err = run(*arguments)
                self.assertEqual(status, 2, arguments)
                self.assertEqual(out, "")
                self.assertEqual(err.count("\n"), 1, err)
                self.assertIn(sentence, err)

    def test_operators_commands_say_when_nobody_answers(self):
        nowhere = f"127.0.0.1:{free_port()}"
        for arguments in (["pool", "list", "--registrar", nowhere], ["call", "list", "--http", nowhere]):
            status, out, err = run(*arguments)
            self.assertEqual((status, out), (1, ""), err)
            self.assertEqual(err.count("\n"), 1, err)
            self.assertIn(nowhere, err)


class Serve(unittest.TestCase):
    def test_a_call_is_set_up_seen_and_ended(self):
        with RtpoolServe(BINARY) as rtpool:
            ng = NgClient(*rtpool.ng)
            self.assertEqual(ng.request("ping")["result"], "pong")
            self.assertEqual(rtpool.get_json("/healthz"), (200, {"healthy": True}))
            self.assertEqual(rtpool.get_json("/readyz"), (200, {"ready": True, "missing": []}))

            offered = ng.offer("a call", "from", SDP)["sdp"]
            ng.answer("a call", "from", "to", SDP)
            first, last = rtpool.media_ports
            port = int(offered.split("m=audio ")[1].split()[0])
            self.assertTrue(first <= port <= last, offered)

            calls = rtpool.get_json("/api/calls")[1]
            self.assertEqual(calls["total"], 1)
            call = calls["calls"][0]
            self.assertEqual(call["call_id"], "a call")
            self.assertEqual([leg["tag"] for leg in call["legs"]], ["from", "to"])
            # What the callee is offered is where the callee's media arrives.
            self.assertEqual(call["legs"][1]["medias"][0]["local"], f"127.0.0.1:{port}")
            self.assertEqual(call["legs"][0]["medias"][0]["remote"], "127.0.0.1:4000")
            pool = rtpool.get_json("/api/pool")[1]
            self.assertEqual([relay["state"] for relay in pool["relays"]], ["up"])
            self.assertEqual(call["relay"], pool["relays"][0]["id"])

            self.assertEqual(rtpool.metric("rtpool_calls"), 1)
            self.assertEqual(rtpool.metric('rtpool_ng_requests_total{command="offer",result="ok"}'), 1)
            self.assertEqual(rtpool.metric('rtpool_ng_request_seconds_count{command="offer"}'), 1)
            ng.delete("a call", "from", to_tag="to")
            self.assertEqual(rtpool.metric("rtpool_calls"), 0)
            self.assertEqual(rtpool.get_json("/api/calls")[1]["total"], 0)
            wait_until("the ports rest", lambda: rtpool.metric('rtpool_ports{state="leased"}') == 0)

    def test_the_metrics_are_in_prometheus_format(self):
        with RtpoolServe(BINARY) as rtpool:
            status, text = rtpool.get("/metrics")
        self.assertEqual(status, 200)
        typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        for line in samples:
            self.assertRegex(line, r'^rtpool_[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+$')
            name = line.split("{")[0].split(" ")[0]
            for suffix in ("_bucket", "_sum", "_count"):
                name = name.removesuffix(suffix)
            self.assertTrue(name in typed or line.split("{")[0] in typed, line)
        self.assertEqual(len(samples), len({line.rsplit(" ", 1)[0] for line in samples}), "no sample twice")
        for name in ("rtpool_dropped_packets_total", "rtpool_received_packets_total", "rtpool_sent_bytes_total",
                     "rtpool_ports", "rtpool_buffers_exhausted_total", "rtpool_receive_rearmed_total", "rtpool_calls",
                     "rtpool_calls_ended_total", "rtpool_pool_relays", "rtpool_pool_view_age_seconds",
                     "rtpool_ng_request_seconds"):
            self.assertIn(name, typed)

    def test_the_page_needs_nothing_from_elsewhere(self):
        with RtpoolServe(BINARY) as rtpool:
            status, page = rtpool.get("/")
            self.assertEqual(status, 200)
            self.assertNotIn("http://", page)
            self.assertNotIn("https://", page)
            self.assertEqual(rtpool.get("/nothing")[0], 404)

    def test_both_signals_end_it_cleanly_and_soon(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            rtpool = RtpoolServe(BINARY)
            NgClient(*rtpool.ng).offer("standing", "from", SDP)
            begin = time.monotonic()
            self.assertEqual(rtpool.stop(number), 0, rtpool.stderr)
            self.assertLess(time.monotonic() - begin, 2)
            self.assertRegex(rtpool.stderr, r"ended\n$")

    def test_a_client_that_holds_on_does_not_hold_up_the_end(self):
        rtpool = RtpoolServe(BINARY)
        with socket.create_connection(rtpool.http) as idle:
            idle.sendall(b"GET / HT")
            begin = time.monotonic()
            self.assertEqual(rtpool.stop(), 0, rtpool.stderr)
            self.assertLess(time.monotonic() - begin, 2)

    def test_sighup_reads_the_log_level_again_and_survives_a_broken_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "rtpool.toml")
            write = lambda text: pathlib.Path(path).write_text(text, encoding="utf-8")
            write("log-level = 'info'\n")
            with RtpoolServe(BINARY, "--config", path) as rtpool:
                write("log-level = 'debug'\n")
                rtpool.send_signal(signal.SIGHUP)
                rtpool.wait_for_line("read again log_level=debug")
                write("log-level = \n")
                rtpool.send_signal(signal.SIGHUP)
                rtpool.wait_for_line("nothing is changed")
                self.assertEqual(NgClient(*rtpool.ng).request("ping")["result"], "pong")

    def test_json_log_lines_are_json_with_the_call(self):
        call_id = "quote\" and {braces} %s"
        with RtpoolServe(BINARY, "--log-format", "json") as rtpool:
            NgClient(*rtpool.ng).offer(call_id, "from", SDP)
            lines = [json.loads(line) for line in rtpool.stderr.splitlines()]
        self.assertTrue(all({"time", "level", "message"} <= line.keys() for line in lines))
        self.assertIn(call_id, [line.get("call_id") for line in lines])

    def test_two_run_on_one_host_while_the_gRPC_addresses_are_defaults(self):
        options = ["--log-level", "info", "--http", "127.0.0.1:0"]
        first_ng, second_ng = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
        with RtpoolProcess(BINARY, "serve", "--ng", f"127.0.0.1:{first_ng}", "--media-ports", free_port_range(), *options) as first:
            first.wait_for_line("started role=serve")
            with RtpoolProcess(BINARY, "serve", "--ng", f"127.0.0.1:{second_ng}", "--media-ports", free_port_range(), *options) as second:
                second.wait_for_line("a free port is used instead service=registrar default=127.0.0.1:7400")
                second.wait_for_line("a free port is used instead service=relay default=127.0.0.1:7410")
                second.wait_for_line("registered in the pool")
                for port in (first_ng, second_ng):
                    wait_until("an offer is taken", lambda port=port: self._offers(port))

    @staticmethod
    def _offers(port):
        try:
            return NgClient("127.0.0.1", port).offer("c", "f", SDP)["result"] == "ok"
        except NgError:
            return False

    def test_what_is_busy_or_not_ours_is_one_line_with_status_1(self):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        busy_tcp, busy_udp = f"127.0.0.1:{tcp.getsockname()[1]}", f"127.0.0.1:{udp.getsockname()[1]}"
        free = ["--registrar-listen", "127.0.0.1:0", "--relay-listen", "127.0.0.1:0", "--log-level", "off"]
        cases = [
            ([*free, "--ng", busy_udp, "--http", "off"], busy_udp),
            ([*free, "--ng", "127.0.0.1:0", "--http", busy_tcp], busy_tcp),
            (["--registrar-listen", busy_tcp, "--ng", "127.0.0.1:0", "--http", "off", "--log-level", "off"], busy_tcp),
            (["--relay-listen", busy_tcp, "--ng", "127.0.0.1:0", "--http", "off", "--log-level", "off"], busy_tcp),
            ([*free, "--ng", "127.0.0.1:0", "--http", "off", "--media-address", "192.0.2.77"], "192.0.2.77"),
            ([*free, "--ng", "192.0.2.77:2223", "--http", "off"], "192.0.2.77:2223"),
        ]
        with tcp, udp:
            for arguments, named in cases:
                status, out, err = run("serve", *arguments)
                self.assertEqual((status, out), (1, ""), err)
                self.assertEqual(err.count("\n"), 1, err)
                self.assertIn(named, err)


class RolesApart(unittest.TestCase):
    def test_they_find_each_other_by_the_pools_name(self):
        registrar_at = f"127.0.0.1:{free_port()}"
        relay_options = ["--registrar", registrar_at, "--listen", "127.0.0.1:0", "--media-address", "127.0.0.1", "--pool", "west"]
        ng_port = free_port(socket.SOCK_DGRAM)
        # Given a controller that starts first and so finds nothing,
        with RtpoolRole(BINARY, "controller", "--registrar", registrar_at, "--pool", "west", "--ng", f"127.0.0.1:{ng_port}") as controller:
            controller.wait_for_line("started")
            status, ready = controller.get_json("/readyz")
            self.assertEqual((status, ready["ready"]), (503, False))
            self.assertIn("no registrar has answered yet", ready["missing"][0])
            # when the registrar and then a relay come,
            with RtpoolRole(BINARY, "registrar", "--listen", registrar_at) as registrar:
                registrar.wait_ready()
                with RtpoolRole(BINARY, "relay", "--id", "one", "--media-ports", free_port_range(), *relay_options) as relay:
                    # then all are ready and a call is set up,
                    relay.wait_ready()
                    controller.wait_ready()
                    ng = NgClient("127.0.0.1", ng_port)
                    self.assertEqual(ng.offer("c1", "f1", SDP)["result"], "ok")
                    self.assertEqual(relay.get_json("/api/calls")[1]["calls"][0]["call_id"], "c1")
                    self.assertEqual(relay.metric("rtpool_relay_calls"), 1)
                    self._tables(registrar_at, controller)
                # and when the relay leaves, the controller says so and refuses.
                wait_until("the relay is out of the view", lambda: controller.get_json("/api/pool")[1]["relays"] == [])
                self.assertEqual(controller.get("/readyz")[0], 503)
                with self.assertRaises(NgError):
                    ng.offer("c2", "f2", SDP)
                self.assertEqual(registrar.get_json("/api/pool")[1]["relays"], [])

    def _tables(self, registrar_at, controller):
        status, out, err = run("pool", "list", "--registrar", registrar_at)
        self.assertEqual(status, 0, err)
        header, row = out.splitlines()
        self.assertEqual(header.split()[:3], ["POOL", "RELAYS", "UP"])
        self.assertEqual(row.split()[:3], ["west", "1", "1"])
        status, out, _ = run("pool", "list", "--registrar", registrar_at, "--json")
        self.assertEqual(json.loads(out)["pools"][0]["relays"], 1)
        http = "{}:{}".format(*controller.http)
        status, out, _ = run("call", "list", "--http", http)
        self.assertEqual(status, 0)
        self.assertEqual(out.splitlines()[1].split()[:2], ["c1", "one"])
        status, out, _ = run("call", "list", "--http", http, "--json")
        self.assertEqual(json.loads(out)["total"], 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--binary", required=True)
    known, rest = parser.parse_known_args()
    BINARY = os.path.abspath(known.binary)
    unittest.main(argv=[sys.argv[0], *rest], warnings="ignore")
