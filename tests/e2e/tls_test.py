#!/usr/bin/python3
"""A fleet under mutual TLS, with the certificates that deploy/tls/make-certificates makes: a whole call, the
operator's commands, who is kept out, and certificates that are replaced under way.

    tls_test.py --binary build/dev/rtpool [unittest arguments]
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.ng_client import NgClient  # noqa: E402
from support.rtp_endpoint import Media, RtpEndpoint, account  # noqa: E402
from support.rtpool_process import RtpoolProcess, RtpoolRole, RtpoolServe, free_port, free_port_range  # noqa: E402

BINARY = None
MAKE = ROOT / "deploy" / "tls" / "make-certificates"
HOSTS = ("registrar=registrar", "relay-1=relay:relay-1", "relay-2=relay:relay-2", "proxy=controller",
         "site=registrar,relay,controller", "alice=operator", "mallory=intercept", "prometheus=none")


def make_certificates(folder, *hosts, **env):
    return subprocess.run([str(MAKE), str(folder), *hosts], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **env})


def wait_until(what, condition, timeout=15):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


class Certificates:
    """A folder that make-certificates has filled."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="rtpool-tls-")
        self.folder = pathlib.Path(self._folder.name)
        made = make_certificates(self.folder, *HOSTS)
        assert made.returncode == 0, made.stderr

    def options(self, name):
        return ["--tls-certificate", f"{self.folder}/{name}.pem", "--tls-key", f"{self.folder}/{name}.key",
                "--tls-authority", f"{self.folder}/authority.pem"]

    def context(self, name=None):
        """For a client of HTTPS, with the certificate of `name`."""
        context = ssl.create_default_context(cafile=self.folder / "authority.pem")
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def close(self):
        self._folder.cleanup()


class MakeCertificates(unittest.TestCase):
    def test_it_keeps_its_authority_and_its_files_to_itself(self):
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place, "tls")
            first = make_certificates(folder, "10.0.0.1+r1.example.net=registrar,relay:r-1")
            self.assertEqual(first.returncode, 0, first.stderr)
            authority = (folder / "authority.pem").read_bytes()
            certificate = (folder / "10.0.0.1.pem").read_bytes()
            again = make_certificates(folder, "10.0.0.1=registrar", "fe80::1=controller",
                                      RTPOOL_CERTIFICATE_DAYS="2")
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertEqual((folder / "authority.pem").read_bytes(), authority)
            self.assertNotEqual((folder / "10.0.0.1.pem").read_bytes(), certificate)
            self.assertEqual({f.stat().st_mode & 0o777 for f in folder.iterdir()}, {0o600})
            self.assertEqual(sorted(f.name for f in folder.iterdir()),
                             ["10.0.0.1.key", "10.0.0.1.pem", "authority.key", "authority.pem",
                              "fe80::1.key", "fe80::1.pem"])
            text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=certificate, capture_output=True,
                                  check=True).stdout.decode()
            for part in ("IP Address:10.0.0.1", "DNS:r1.example.net", "URI:urn:rtpool:registrar",
                         "URI:urn:rtpool:relay:r-1", "NIST CURVE: P-256"):
                self.assertIn(part, text)

    def test_what_is_wrong_is_said_and_nothing_is_made(self):
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place, "tls")
            for host, sentence in (("r1", "'r1' is not NAME=ROLE"), ("r1=", "is not NAME=ROLE"),
                                   ("r1=boss", "'boss' is no role"), ("r1=relay:a/b", "is no role"),
                                   ("../r1=relay", "is no host name"), ("a;b=relay", "is no host name"),
                                   ("authority=relay", "taken by the authority")):
                made = make_certificates(folder, "good=relay", host)
                self.assertEqual(made.returncode, 2, host)
                self.assertIn(sentence, made.stderr)
                self.assertFalse(folder.exists(), host)
            self.assertIn("write a number", make_certificates(folder, "a=relay", RTPOOL_CERTIFICATE_DAYS="x").stderr)


class Fleet(unittest.TestCase):
    """A registrar, two relays and a controller, all with TLS."""

    def setUp(self):
        self.certificates = Certificates()
        self.addCleanup(self.certificates.close)
        self.registrar_at = f"127.0.0.1:{free_port()}"
        self.ng_at = ("127.0.0.1", free_port(2))
        self.registrar = self.start("registrar", "registrar", "--listen", self.registrar_at).wait_ready()
        self.relays = [self.start_relay(f"relay-{n}") for n in (1, 2)]
        self.controller = self.start("controller", "proxy", "--registrar", self.registrar_at,
                                     "--ng", f"127.0.0.1:{self.ng_at[1]}")
        for role in (*self.relays, self.controller):
            role.wait_ready()
        self.ng = NgClient(*self.ng_at)
        self.addCleanup(self.ng.close)

    def start(self, role, name, *arguments, ready_as="alice"):
        process = RtpoolRole(BINARY, role, *self.certificates.options(name), *arguments)
        process.tls = self.certificates.context(ready_as)
        self.addCleanup(process.kill)
        return process

    def start_relay(self, name, *arguments):
        return self.start("relay", name, "--id", name, "--registrar", self.registrar_at, "--listen",
                          f"127.0.0.1:{free_port()}", "--media-address", "127.0.0.1", "--media-ports",
                          free_port_range(), *arguments)

    def command(self, name, *arguments):
        options = self.certificates.options(name) if name else []
        done = subprocess.run([BINARY, *arguments, *options], capture_output=True, text=True, timeout=15, check=False)
        return done.returncode, done.stdout + done.stderr

    def call(self, call_id, seconds=0.5):
        """Two parties talk; every packet arrives."""
        with Media() as media:
            a = media.add(RtpEndpoint("127.0.0.1", name="A"))
            b = media.add(RtpEndpoint("127.0.0.1", name="B"))
            offered = self.ng.offer(call_id, "a", a.sdp())["sdp"]
            answered = self.ng.answer(call_id, "a", "b", b.sdp())["sdp"]
            a.call_sdp(answered)
            b.call_sdp(offered)
            media.talk(seconds)
            media.hush(a, b)
            self.assertTrue(account(a, b).whole, account(a, b))
            self.assertTrue(account(b, a).whole, account(b, a))
            self.ng.delete(call_id, "a", to_tag="b")

    def lost_streams(self):
        """Lines that tell of a stream that ended."""
        return [line for role in (self.registrar, *self.relays, self.controller)
                for line in role.stderr.splitlines() if re.search(r"no contact|lost its stream|is dead", line)]

    def test_calls_go_through_and_operators_look_on(self):
        for n in range(4):
            self.call(f"call-{n}", 0.2)
        status, out = self.command("alice", "pool", "show", "media", "--registrar", self.registrar_at)
        self.assertEqual(status, 0, out)
        self.assertIn("relay-1", out)
        self.assertIn("relay-2", out)
        http = f"127.0.0.1:{self.controller.http[1]}"
        self.assertEqual(self.command("alice", "call", "list", "--http", http)[0], 0)
        for name, sentence in (("mallory", "List takes the role relay or controller or registrar or operator; "), (None, "wants TLS")):
            status, out = self.command(name, "pool", "list", "--registrar", self.registrar_at)
            self.assertNotEqual(status, 0, out)
            self.assertIn(sentence, out)
        for name, sentence in (("proxy", "takes a certificate with the role operator"), (None, "may want TLS")):
            status, out = self.command(name, "call", "list", "--http", http)
            self.assertNotEqual(status, 0, out)
            self.assertIn(sentence, out)
        for name, drained in (("proxy", False), ("relay-2", False), ("alice", True)):
            status, out = self.command(name, "drain", "relay-2", "--registrar", self.registrar_at)
            self.assertEqual(status == 0, drained, out)
            if not drained:
                self.assertIn("Drain takes the role operator", out)
            states = {r["id"]: r["state"] for r in self.registrar.get_json("/api/pool")[1]["relays"]}
            self.assertEqual(states, {"relay-1": "up", "relay-2": "drained" if drained else "up"})
        # Three commands, each of which may ask more than once.
        self.assertGreaterEqual(self.registrar.metric('rtpool_tls_refused_peers_total{service="registrar"}'), 3)
        self.assertEqual(self.lost_streams(), [])

    def test_http_shows_each_certificate_what_it_may_see(self):
        for name, seen in ((None, {"/healthz"}), ("prometheus", {"/healthz", "/metrics"}),
                           ("alice", {"/healthz", "/metrics", "/api/pool", "/"})):
            self.controller.tls = self.certificates.context(name)
            for path in ("/healthz", "/metrics", "/api/pool", "/"):
                self.assertEqual(self.controller.get(path)[0], 200 if path in seen else 403, (name, path))

    def test_strangers_are_kept_out(self):
        # Without TLS, as somebody else, and as one whose certificate says nothing of relays.
        plain = RtpoolRole(BINARY, "relay", "--id", "relay-3", "--registrar", self.registrar_at, "--listen",
                           f"127.0.0.1:{free_port()}", "--media-address", "127.0.0.1", "--media-ports",
                           free_port_range())
        self.addCleanup(plain.kill)
        plain.wait_for_line("no contact with registrar.*wants TLS")
        self.assertEqual(plain.get("/readyz")[0], 503)
        for name, relay_id, sentence in (("relay-1", "relay-9", "--id relay-9 takes urn:rtpool:relay:relay-9"),
                                         ("proxy", "relay-9", "takes urn:rtpool:relay among")):
            with self.subTest(name):
                status, out = self.command(name, "relay", "--id", relay_id, "--registrar", self.registrar_at,
                                           "--media-address", "127.0.0.1", "--http", "off")
                self.assertEqual(status, 1)
                self.assertIn(sentence, out)
        pool = self.registrar.get_json("/api/pool")[1]
        self.assertEqual(sorted(relay["id"] for relay in pool["relays"]), ["relay-1", "relay-2"])
        # An authority of their own helps nobody.
        other = Certificates()
        self.addCleanup(other.close)
        forged = RtpoolRole(BINARY, "relay", *other.options("relay-1"), "--id", "relay-1", "--registrar",
                            self.registrar_at, "--listen", f"127.0.0.1:{free_port()}", "--media-address", "127.0.0.1",
                            "--media-ports", free_port_range())
        self.addCleanup(forged.kill)
        forged.wait_for_line("no contact with registrar.*of another authority")
        self.assertEqual(self.lost_streams(), [])

    def test_certificates_are_replaced_while_calls_go_on(self):
        with Media() as media:
            a = media.add(RtpEndpoint("127.0.0.1", name="A"))
            b = media.add(RtpEndpoint("127.0.0.1", name="B"))
            offered = self.ng.offer("standing", "a", a.sdp())["sdp"]
            a.call_sdp(self.ng.answer("standing", "a", "b", b.sdp())["sdp"])
            b.call_sdp(offered)
            media.talk(0.2)
            roles = (self.registrar, *self.relays, self.controller)

            # Broken files are a line in the log and nothing else.
            keys = {name: (self.certificates.folder / f"{name}.key").read_bytes() for name in
                    ("registrar", "relay-1", "relay-2", "proxy")}
            for name in keys:
                (self.certificates.folder / f"{name}.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
            for role in roles:
                role.send_signal(signal.SIGHUP)
            for role in roles:
                role.wait_for_line(r"the certificate in force stays.*holds no whole private key")
            self.call("while-broken", 0.1)
            self.assertEqual(self.command("alice", "pool", "list", "--registrar", self.registrar_at)[0], 0)

            # New ones are taken up by themselves.
            made = make_certificates(self.certificates.folder, *HOSTS)
            self.assertEqual(made.returncode, 0, made.stderr)
            for role in roles:
                role.tls = self.certificates.context("alice")
                wait_until("it has read them", lambda r=role: r.metric("rtpool_tls_reloads_total") == 1)
                role.wait_for_line(r"TLS: read again")
            newcomer = self.start_relay("relay-1", "--pool", "second")
            newcomer.wait_ready()
            self.call("after", 0.1)
            media.hush(a, b)
            self.ng.delete("standing", "a", to_tag="b")
            self.assertEqual(self.lost_streams(), [])
            self.assertTrue(account(a, b).whole, account(a, b))
        days = (self.registrar.metric('rtpool_tls_certificate_expiry_seconds{certificate="own"}') - time.time()) / 86400
        self.assertAlmostEqual(days, 397, delta=1)


class Serve(unittest.TestCase):
    def test_one_process_talks_to_itself(self):
        certificates = Certificates()
        self.addCleanup(certificates.close)
        with RtpoolServe(BINARY, *certificates.options("site"), wait=False) as rtpool:
            rtpool.tls = certificates.context("alice")
            rtpool.wait_ready()
            with NgClient(*rtpool.ng) as ng:
                self.assertEqual(ng.ping()["result"], "pong")

    def test_tls_1_2_and_1_3_alone_are_spoken(self):
        certificates = Certificates()
        self.addCleanup(certificates.close)
        grpc_at = f"127.0.0.1:{free_port()}"
        with RtpoolServe(BINARY, *certificates.options("site"), "--registrar-listen", grpc_at, wait=False) as rtpool:
            rtpool.tls = certificates.context("alice")
            rtpool.wait_ready()
            for where in (grpc_at, "127.0.0.1:{}".format(rtpool.http[1])):
                for version, spoken in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
                    told = subprocess.run(
                        ["openssl", "s_client", "-connect", where, version, "-cipher", "ALL:@SECLEVEL=0", "-alpn", "h2",
                         "-CAfile", str(certificates.folder / "authority.pem"),
                         "-cert", str(certificates.folder / "alice.pem"),
                         "-key", str(certificates.folder / "alice.key")],
                        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=15,
                        check=False).stdout
                    cipher = re.search(r"Cipher is (\S+)", told)
                    self.assertEqual(bool(cipher) and cipher[1] != "(NONE)", spoken, (where, version, told))
                    if spoken:
                        self.assertRegex(cipher[1], r"GCM|POLY1305")


def main():
    global BINARY
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    options, rest = parser.parse_known_args()
    BINARY = str(pathlib.Path(options.binary).resolve())
    assert shutil.which("openssl"), "needs openssl"
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
