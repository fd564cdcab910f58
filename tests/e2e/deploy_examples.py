#!/usr/bin/python3
"""The example configurations of deploy/ work as they are, but for the addresses, which are this machine's here:
registrar, relay and controller start from them, find each other and take a call; so does `serve`;
Kamailio accepts its example; each unit starts a role with the configuration that belongs to it."""

import argparse
import glob
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import tomllib

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support.ng_client import NgClient  # noqa: E402
from support.rtpool_process import REPOSITORY, RtpoolRole, RtpoolServe, free_port, free_port_range  # noqa: E402

DEPLOY = os.path.join(REPOSITORY, "deploy")
SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
       "m=audio 6000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")


def example(role):
    return os.path.join(DEPLOY, "systemd", f"{role}.toml")


def certificate(folder, role):
    """Makes what the comment in the role's example says and gives the options for it."""
    with open(example(role), encoding="utf-8") as file:
        text = file.read()
    wanted = re.search(r"make-certificates with (\S+=\S+);", text).group(1)
    subprocess.run([os.path.join(DEPLOY, "tls", "make-certificates"), folder, wanted], check=True, timeout=30,
                   stdout=subprocess.DEVNULL)
    options = []
    for key, path in re.findall(r'^(tls-\w+) = "/etc/rtpool/tls/(\S+)"$', text, re.MULTILINE):
        options += [f"--{key}", os.path.join(folder, path)]
    assert len(options) == 6, text
    return options


def take_a_call(ng, ports):
    """An offer is answered with a port of the relay, and the call can be ended."""
    with NgClient(*ng) as client:
        client.ping()
        sdp = client.offer("example-1", "a", SDP, flags=["trust-address"])["sdp"]
        port = int(re.search(r"m=audio (\d+)", sdp).group(1))
        assert ports[0] <= port <= ports[1], sdp
        client.delete("example-1", "a")
        assert client.list() == []


def serve_starts(binary):
    with RtpoolServe(binary, "--config", example("serve"), "--media-address", "127.0.0.1") as serve:
        take_a_call(serve.ng, serve.media_ports)


def roles_apart_find_each_other(binary):
    registrar, relay = (f"127.0.0.1:{free_port()}" for _ in range(2))
    ng = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
    ports = free_port_range()
    with tempfile.TemporaryDirectory() as tls, \
            RtpoolRole(binary, "registrar", "--config", example("registrar"), "--listen", registrar,
                       *certificate(tls, "registrar")), \
            RtpoolRole(binary, "relay", "--config", example("relay"), "--listen", relay, "--registrar", registrar,
                       "--media-address", "127.0.0.1", "--media-ports", ports, *certificate(tls, "relay")) as media, \
            RtpoolRole(binary, "controller", "--config", example("controller"), "--registrar", registrar,
                       "--ng", f"{ng[0]}:{ng[1]}", *certificate(tls, "controller")) as controller:
        media.tls = controller.tls = ssl.create_default_context(cafile=os.path.join(tls, "authority.pem"))
        media.wait_ready()
        controller.wait_ready()
        take_a_call(ng, tuple(map(int, ports.split("-"))))


def kamailio_accepts_its_example(_):
    checked = subprocess.run(["kamailio", "-c", "-f", os.path.join(DEPLOY, "kamailio", "kamailio.cfg")],
                             capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr


def units_start_the_role_of_their_name(binary):
    units = glob.glob(os.path.join(DEPLOY, "systemd", "rtpool-*.service"))
    assert len(units) == 4, units
    for unit in units:
        role = re.search(r"rtpool-(\w+)\.service$", unit).group(1)
        with open(unit, encoding="utf-8") as file:
            text = file.read()
        assert f"ExecStart=/usr/bin/rtpool {role} --config /etc/rtpool/{role}.toml\n" in text, unit
        usage = subprocess.run([binary, role, "--help"], capture_output=True, text=True, timeout=30, check=True)
        with open(example(role), "rb") as file:
            for key in tomllib.load(file):
                assert f"--{key} " in usage.stdout or f"--{key}\n" in usage.stdout, f"{role}: no option --{key}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=os.path.join(REPOSITORY, "build", "release", "rtpool"))
    arguments = parser.parse_args()
    for test in (serve_starts, roles_apart_find_each_other, kamailio_accepts_its_example,
                 units_start_the_role_of_their_name):
        start = time.monotonic()
        test(arguments.binary)
        print(f"ok  {test.__name__.replace('_', ' ')}  {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
