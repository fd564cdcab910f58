"""Registrars, relays and controllers as processes of their own on free loopback ports, for tests of the pool.

    with Fleet(binary, registrars=1) as fleet:
        fleet.add_relay("r1"), fleet.add_relay("r2")
        a = fleet.add_controller()
        fleet.wait_ready()
        a.ng                       # ("127.0.0.1", port)
        fleet.relay_of(sdp)        # the name of the relay whose port an SDP names
        fleet.relays["r1"].send_signal(signal.SIGKILL)

What is still running at the end is ended by SIGTERM and must exit with 0; processes that a test killed are left alone.
"""

import contextlib
import os
import re
import signal
import socket
import time

from support.rtpool_process import RtpoolRole, free_port


class Fleet(contextlib.ExitStack):
    PORTS_PER_RELAY = 1600

    def __init__(self, binary, registrars=1, pool="media", store="memory", common=(), registrar_options=()):
        super().__init__()
        self.binary, self.pool, self.common = binary, pool, list(common)
        self.relays, self.controllers = {}, []
        self._port_ranges = {}
        self._expendable = set()
        self.registrar_options = ["--store", store, *registrar_options]
        self.registrar_addresses = [f"127.0.0.1:{free_port()}" for _ in range(registrars)]
        self.registrars = []

    def __enter__(self):
        super().__enter__()
        for address in self.registrar_addresses:
            self.registrars.append(self._start_registrar(address))
        return self

    def _start(self, role, *arguments):
        process = RtpoolRole(self.binary, role, *self.common, *arguments)
        self.callback(self._end, process)
        return process

    def _end(self, process):
        if process.pid in self._expendable:
            process.kill()
            return
        process.send_signal(signal.SIGCONT)
        status = process.stop()
        assert status == 0, f"{process.command} ended with {status}:\n{process.stderr}"

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for process in (*self.registrars, *self.relays.values(), *self.controllers):
                print(f"--- {' '.join(process.command)}\n{process.stderr[-6000:]}---", flush=True)
                self._expendable.add(process.pid)
        return super().__exit__(kind, value, trace)

    def _start_registrar(self, address):
        return self._start("registrar", "--listen", address, *self.registrar_options)

    @property
    def registrar_list(self):
        return ",".join(self.registrar_addresses)

    def add_relay(self, name, *options):
        low = self._free_slot()
        self._port_ranges[name] = (low, low + self.PORTS_PER_RELAY - 1)
        ports = f"{low}-{low + self.PORTS_PER_RELAY - 1}"
        relay = self._start("relay", "--id", name, "--pool", self.pool, "--registrar", self.registrar_list,
                            "--listen", f"127.0.0.1:{free_port()}", "--media-address", "127.0.0.1",
                            "--media-ports", ports, "--port-rest", "1s", "--shards", "1", *options)
        self.relays[name] = relay
        return relay

    def _free_slot(self):
        """The first port of a range that none of the relays has; another test on this machine begins elsewhere."""
        slots = (32000 - 10000) // self.PORTS_PER_RELAY
        taken = {low for low, _ in self._port_ranges.values()}
        for turn in range(slots):
            low = 10000 + (os.getpid() * 5 + turn) % slots * self.PORTS_PER_RELAY
            if low not in taken:
                return low
        raise AssertionError(f"more than {slots} relays at once")

    def forget_relay(self, name):
        """Of one that is dead: its ports may go to another."""
        del self._port_ranges[name]
        return self.relays.pop(name)

    def add_controller(self, *options):
        ng = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
        controller = self._start("controller", "--ng", f"{ng[0]}:{ng[1]}", "--pool", self.pool,
                                 "--registrar", self.registrar_list, *options)
        controller.ng = ng
        self.controllers.append(controller)
        return controller

    def restart_registrar(self, index):
        self.registrars[index] = self._start_registrar(self.registrar_addresses[index])
        return self.registrars[index]

    def kill(self, process):
        """SIGKILL; the time of it."""
        self._expendable.add(process.pid)
        at = time.monotonic()
        process.send_signal(signal.SIGKILL)
        return at

    def freeze(self, process):
        at = time.monotonic()
        process.send_signal(signal.SIGSTOP)
        return at

    def wait_ready(self, timeout=15):
        for process in (*self.registrars, *self.relays.values(), *self.controllers):
            if process.pid not in self._expendable:
                process.wait_ready(timeout)
        # Ready means one relay in view; tests want all.
        live = sum(relay.pid not in self._expendable for relay in self.relays.values())
        deadline = time.monotonic() + timeout
        for controller in self.controllers:
            while controller.metrics().get('rtpool_pool_relays{state="up"}', 0) < live:
                assert time.monotonic() < deadline, controller.stderr
                time.sleep(0.02)

    def relay_of(self, sdp):
        port = int(re.search(r"^m=\S+ (\d+)", sdp, re.MULTILINE).group(1))
        return next(name for name, (low, high) in self._port_ranges.items() if low <= port <= high)
