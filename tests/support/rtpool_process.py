"""Runs the program `rtpool` for tests: on free loopback ports, waited for until it is ready, ended by
SIGTERM and checked.

    with RtpoolServe(binary, "--media-address", "127.0.0.1") as rtpool:
        rtpool.ng      # ("127.0.0.1", port) of the NG socket
        rtpool.http    # ("127.0.0.1", port) of the HTTP server
        rtpool.metrics()

RtpoolProcess runs any command line. Nothing here uses a well-known port, so tests can run side by side.
"""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

_ranges = itertools.count()
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def free_port(kind=socket.SOCK_STREAM, address="127.0.0.1"):
    """A port that is free now. Another process may take it before it is used; that is rare enough."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def free_port_range(size=400, address="127.0.0.1"):
    """MIN-MAX for --media-ports, clear of the ports that the kernel gives out by itself and, by the process's id,
    of those that other tests on this machine take."""
    slots = (32000 - 10000) // size
    start = 10000 + (os.getpid() * 7 + int(time.monotonic() * 1000) + next(_ranges)) % slots * size
    return f"{start}-{start + size - 1}"


class RtpoolProcess:
    """One process of the program. `prefix` goes before it, such as ["ip", "netns", "exec", NAME]."""

    def __init__(self, binary, *arguments, prefix=(), env=None):
        self.command = [*prefix, str(binary), *map(str, arguments)]
        self._log = tempfile.TemporaryFile("w+b")
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self._process.pid

    @property
    def stderr(self):
        """All that was printed so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def running(self):
        return self._process.poll() is None

    def wait(self, timeout=10):
        return self._process.wait(timeout)

    def send_signal(self, number):
        self._process.send_signal(number)

    def wait_for_line(self, pattern, timeout=10):
        """The first match of a regular expression in what is printed."""
        deadline = time.monotonic() + timeout
        while True:
            alive = self.running()
            if found := re.search(pattern, self.stderr, re.MULTILINE):
                return found
            if not alive or time.monotonic() > deadline:
                raise AssertionError(f"no line like {pattern!r} from {self.command}:\n{self.stderr}")
            time.sleep(0.01)

    def stop(self, number=signal.SIGTERM, timeout=5):
        """Ends it and returns its exit status; kills it and fails when it does not end in time."""
        if self.running():
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.command} did not end within {timeout} s:\n{self.stderr}")

    def kill(self):
        if self.running():
            self._process.kill()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"--- {' '.join(self.command)}\n{self.stderr}---", flush=True)
            self.kill()
            return
        status = self.stop()
        assert status == 0, f"exit status {status}:\n{self.stderr}"


class HttpRole(RtpoolProcess):
    """A role that serves HTTP at a known place."""

    http = ("127.0.0.1", 0)
    tls = None  # an ssl.SSLContext, where it serves HTTPS

    def get(self, path, timeout=5):
        """Status and body; an error status is no exception."""
        host = f"[{self.http[0]}]" if ":" in self.http[0] else self.http[0]
        try:
            scheme = "https" if self.tls else "http"
            with urllib.request.urlopen(f"{scheme}://{host}:{self.http[1]}{path}", timeout=timeout,
                                        context=self.tls) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def get_json(self, path):
        status, body = self.get(path)
        return status, json.loads(body)

    def wait_ready(self, timeout=15):
        deadline = time.monotonic() + timeout
        last = "no answer"
        while time.monotonic() < deadline:
            if not self.running():
                break
            try:
                status, last = self.get("/readyz", timeout=1)
                if status == 200:
                    return self
            except OSError as error:
                last = str(error)
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"{self.command} did not become ready ({last}):\n{self.stderr}")

    def metrics(self):
        """{'name{label="value"}': number} of /metrics, labels in the order they are printed."""
        status, body = self.get("/metrics")
        assert status == 200, body
        values = {}
        for line in body.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def metric(self, name):
        """The sum of a metric over its labels; 0 where it does not appear."""
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))


class RtpoolServe(HttpRole):
    """`rtpool serve` on free ports, ready. Options given here win over those chosen; to run it where this process
    can't reach its HTTP (another network namespace), pass wait=False and look by other means."""

    def __init__(self, binary, *arguments, prefix=(), env=None, wait=True, timeout=15):
        given = {a.split("=")[0] for a in map(str, arguments) if a.startswith("--")}
        chosen = []
        if "--ng" not in given:
            chosen += ["--ng", f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"]
        if "--http" not in given:
            chosen += ["--http", f"127.0.0.1:{free_port()}"]
        if "--registrar-listen" not in given:
            chosen += ["--registrar-listen", "127.0.0.1:0"]
        if "--relay-listen" not in given:
            chosen += ["--relay-listen", "127.0.0.1:0"]
        if "--media-ports" not in given:
            chosen += ["--media-ports", free_port_range()]
        everything = [*chosen, *map(str, arguments)]
        self.ng = _host_port(_value(everything, "--ng"))
        http = _value(everything, "--http")
        self.http = _host_port(http) if http != "off" else None
        self.media_ports = tuple(map(int, _value(everything, "--media-ports").split("-")))
        super().__init__(binary, "serve", *everything, prefix=prefix, env=env)
        if wait:
            self.wait_ready(timeout)


class RtpoolRole(HttpRole):
    """`rtpool registrar|relay|controller` with HTTP on a free port; not waited for."""

    def __init__(self, binary, role, *arguments, prefix=(), env=None):
        self.http = ("127.0.0.1", free_port())
        super().__init__(binary, role, "--http", f"127.0.0.1:{self.http[1]}", *arguments, prefix=prefix, env=env)


def _value(arguments, flag):
    for at, argument in enumerate(arguments):
        if argument == flag:
            return arguments[at + 1]
        if argument.startswith(flag + "="):
            return argument.split("=", 1)[1]
    raise KeyError(flag)


def _host_port(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)
