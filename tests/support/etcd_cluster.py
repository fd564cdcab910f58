"""A real etcd of several members on free loopback ports: data in a folder of its own, elections within a fraction of
a second. Members are killed and started again by their number; all end with the test.

    with EtcdCluster(3) as etcd:
        etcd.url                 # "etcd://127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3", for --store
        etcd.kill(etcd.leader())
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from support.rtpool_process import free_port


class EtcdCluster:
    def __init__(self, members=3, prefix="/rtpool/"):
        self.prefix = prefix
        self._folder = tempfile.mkdtemp(prefix="rtpool-etcd-")
        self._ports = [(free_port(), free_port()) for _ in range(members)]  # clients, peers
        self._running = {}
        self._log = tempfile.TemporaryFile("w+b")

    def __enter__(self):
        self.start_all()
        self._wait(lambda: self.leader() is not None)
        return self

    def __exit__(self, *_):
        self.stop_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self):
        return "etcd://" + ",".join(f"127.0.0.1:{client}" for client, _ in self._ports)

    def start(self, member):
        client, peer = self._ports[member]
        everybody = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, (_, port) in enumerate(self._ports))
        self._running[member] = subprocess.Popen(
            ["etcd", "--name", f"m{member}", "--data-dir", f"{self._folder}/m{member}",
             "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
             "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls",
             f"http://127.0.0.1:{peer}", "--initial-cluster", everybody, "--heartbeat-interval", "20",
             "--election-timeout", "200", "--log-level", "error", "--unsafe-no-fsync"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    def start_all(self):
        for member in range(len(self._ports)):
            if member not in self._running:
                self.start(member)

    def kill(self, member):
        process = self._running.pop(member)
        process.kill()
        process.wait()

    def stop_all(self):
        for member in list(self._running):
            self.kill(member)

    def leader(self):
        """The member that leads; None while there is none."""
        for member in list(self._running):
            status = self._ask(member, "maintenance/status", {})
            if status and status.get("leader", "0") not in ("0", 0) and status["leader"] == status["header"]["member_id"]:
                return member
        return None

    def count(self, key_prefix=""):
        """Keys below the prefix."""
        first = (self.prefix + key_prefix).encode()
        last = first[:-1] + bytes([first[-1] + 1])
        question = {"key": base64.b64encode(first).decode(), "range_end": base64.b64encode(last).decode(),
                    "count_only": True}
        for member in self._running:
            answer = self._ask(member, "kv/range", question)
            if answer is not None:
                return int(answer.get("count", 0))
        raise AssertionError("etcd does not answer")

    def _ask(self, member, what, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self._ports[member][0]}/v3/{what}",
                                         json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=2) as reply:
                return json.loads(reply.read())
        except (OSError, urllib.error.URLError):
            return None

    def _wait(self, condition, timeout=15):
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                self._log.seek(0)
                self.stop_all()
                raise AssertionError("etcd did not start:\n" + self._log.read().decode()[-4000:])
            time.sleep(0.05)
