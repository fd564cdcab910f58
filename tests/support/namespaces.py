"""Network namespaces for tests: made with unique names, entered by a thread, removed at the end.

A socket belongs to the namespace that its maker was in, for life. So one test process can hold the
telephones of several networks: it steps into a namespace, opens a socket, and steps out again.

    with Topology("nat") as net:
        public = net.namespace("public")
        net.link(public, "10.0.0.1/24", relay, "10.0.0.2/24")
        net.run(relay, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        with inside(public): ...

Needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN), iproute2 and, for masquerade, nftables.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


@contextlib.contextmanager
def inside(namespace):
    """The calling thread is in the named namespace (None: stays where it is) until the block ends."""
    if namespace is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


class NamespacesUnavailable(Exception):
    """This machine or user may not make network namespaces."""


class Topology:
    """Namespaces and the links between them. Leaving the `with` block removes all, also on failure."""

    def __init__(self, name):
        self._prefix = f"rtpool-{name}-{os.getpid()}"
        self._namespaces, self._processes, self._links = [], [], 0

    def __enter__(self):
        probe = f"{self._prefix}-probe"
        made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
        if made.returncode != 0:
            raise NamespacesUnavailable(
                "this test makes network namespaces, which takes root (or CAP_SYS_ADMIN): "
                f"`ip netns add` said: {made.stderr.strip()}")
        subprocess.run(["ip", "netns", "del", probe], check=True)
        atexit.register(self.close)
        # A test that is told to stop leaves nothing behind either.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_):
        self.close()
        atexit.unregister(self.close)

    def close(self):
        for process in reversed(self._processes):
            stop_process(process)
        self._processes.clear()
        for namespace in self._namespaces:
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)
        self._namespaces.clear()

    def namespace(self, name):
        full = f"{self._prefix}-{name}"
        subprocess.run(["ip", "netns", "add", full], check=True)
        self._namespaces.append(full)
        self.run(full, "ip", "link", "set", "lo", "up")
        return full

    def run(self, namespace, *command, text_input=None):
        """Runs a command to its end in a namespace; gives its output, raises with its error text."""
        with inside(namespace):
            done = subprocess.run(command, input=text_input, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, namespace, command, **options):
        """Starts a process in a namespace; it is ended with the topology at the latest."""
        with inside(namespace):
            process = subprocess.Popen(command, **options)
        self._processes.append(process)
        return process

    def link(self, a, addresses_a, b, addresses_b):
        """A veth pair between two namespaces, with addresses ("10.0.0.1/24", or several of them).

        Gives the two interface names. Duplicate address detection is off, so that IPv6 addresses
        can be used at once.
        """
        self._links += 1
        name_a, name_b = f"v{self._links}a", f"v{self._links}b"
        self.run(a, "ip", "link", "add", name_a, "type", "veth", "peer", "name", name_b, "netns", b)
        for namespace, name, addresses in ((a, name_a, addresses_a), (b, name_b, addresses_b)):
            self._configure(namespace, name, addresses)
        return name_a, name_b

    def bridge(self, namespace, members):
        """A switch in `namespace`; each member (namespace, addresses) gets a port. Gives the
        members' interface names."""
        self.run(namespace, "ip", "link", "add", "br0", "type", "bridge")
        self.run(namespace, "ip", "link", "set", "br0", "up")
        names = []
        for member, addresses in members:
            inner, outer = self.link(member, addresses, namespace, ())
            self.run(namespace, "ip", "link", "set", outer, "master", "br0")
            names.append(inner)
        return names

    def _configure(self, namespace, name, addresses):
        for address in (addresses,) if isinstance(addresses, str) else addresses:
            extra = ("nodad",) if ":" in address else ()
            self.run(namespace, "ip", "address", "add", address, "dev", name, *extra)
        self.run(namespace, "ip", "link", "set", name, "up")

    def route(self, namespace, destination, via):
        self.run(namespace, "ip", "route", "add", destination, "via", via)

    def masquerade(self, namespace, outside):
        """Makes the namespace a NAT as homes have it: port restricted, a new random port for each
        mapping, nothing let in that no mapping asked for."""
        self.run(namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.run(namespace, "nft", "-f", "-", text_input=f"""
            table ip nat {{
              chain postrouting {{
                type nat hook postrouting priority srcnat;
                oifname "{outside}" masquerade random
              }}
            }}
            table ip filter {{
              chain forward {{
                type filter hook forward priority filter; policy drop;
                iifname != "{outside}" accept
                ct state established,related accept
              }}
            }}""")

    def forget_mappings(self, namespace):
        """Drops every NAT mapping, as a router does that restarts."""
        self.run(namespace, "conntrack", "-F")


def stop_process(process, patience=5.0):
    """SIGTERM, then SIGKILL; gives the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def resident_bytes(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid):
    """User and system time of all threads of a process, in steps of a clock tick."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def wait_for(condition, seconds, what):
    """Polls until the condition is true; AssertionError that says what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(0.01)
