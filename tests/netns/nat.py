"""Telephones behind real NATs talk through the relay.

The NATs are the kernel's own (nftables masquerade with random ports): port restricted, nothing comes in
that no mapping asked for. The telephone behind one signals its private address; the proxy tells the relay
with `received-from` where its SIP came from. Both directions of calling, both telephones behind NATs of
their own with the same private address, a router that forgets its mappings in mid-call, a telephone that
moves to another port, and IPv6, where there is no NAT.

A packet that is sent to a telephone behind a NAT before that telephone has sent anything can't arrive:
there is no mapping yet. These are counted apart; every other packet must arrive.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from netns.lab import RELAY, RELAY6, Call, Public, Relay, main
from support.ng_client import streams
from support.rtp_endpoint import Media, RtpEndpoint, account

NAT_A, NAT_B, PUBLIC = "203.0.113.20", "203.0.113.30", "203.0.113.40"
PRIVATE = "192.168.1.10"
HOME6, PUBLIC6 = "2001:db8:a::10", "2001:db8::40"
TALK_SECONDS = 2.0
# From the drop of a mapping to the first packet that makes a new one: one packet interval, and the
# relay's batch; whatever the other side sends meanwhile is lost, and no more.
LOST_WHILE_REBINDING = 3


class Internet:
    """Two homes with routers, a telephone on a public address, the relay."""

    def __init__(self, net):
        self.net = net
        public = Public(net)
        self.relay = public.relay
        self.nat_a = public.place("nat-a", NAT_A, "2001:db8::20")
        self.nat_b = public.place("nat-b", NAT_B)
        self.public = public.place("public", PUBLIC, PUBLIC6)
        outside = public.build()
        self.home_a = self._home("home-a", self.nat_a, outside)
        self.home_b = self._home("home-b", self.nat_b, outside)
        self._ipv6()

    def _home(self, name, nat, outside):
        home = self.net.namespace(name)
        self.net.link(home, f"{PRIVATE}/24", nat, "192.168.1.1/24")
        self.net.route(home, "default", "192.168.1.1")
        self.net.masquerade(nat, outside[nat])
        return home

    def _ipv6(self):
        """The first home has IPv6 as well, routed and not translated."""
        self.net.link(self.home_a, f"{HOME6}/64", self.nat_a, "2001:db8:a::1/64")
        self.net.run(self.nat_a, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        self.net.run(self.home_a, "ip", "-6", "route", "add", "default", "via", "2001:db8:a::1")
        for namespace in (self.relay, self.public):
            self.net.run(namespace, "ip", "-6", "route", "add", "2001:db8:a::/64", "via",
                         "2001:db8::20")


def phone(media, name, namespace, address):
    return media.add(RtpEndpoint(address, name=name, namespace=namespace))


def check_flow(figures, story, sender, receiver, *, lost_at_most=0, natted=False):
    """Every packet arrived, but for those sent to a NAT that had no mapping yet and those allowed."""
    opened = 0.0
    if natted:  # the receiver's own first packet opens its NAT; a moment later the relay knows
        opened = min(at for _, at in receiver.sent.values()) + 0.03
    before = account(sender, receiver, until=opened)
    flow = account(sender, receiver, since=opened)
    early = f", {before.lost} of {before.sent} before the NAT was open" if before.sent else ""
    figures.add(f"{story}: {sender.name} -> {receiver.name}",
                f"{flow.sent} sent, {flow.lost} lost{early}")
    whole = flow.sent > 0 and not (flow.duplicated or flow.reordered or flow.altered or flow.foreign)
    figures.check(whole and flow.lost <= lost_at_most, f"{story}: every packet arrives", flow)
    relays = {address for address, _ in flow.sources}
    figures.check(relays <= {RELAY, RELAY6}, f"{story}: heard from the relay alone", relays)
    figures.check(receiver.rtcp_heard > 0, f"{story}: {receiver.name} hears RTCP", receiver.rtcp_heard)
    return flow


def simple_call(figures, relay, story, caller, callee, *, caller_from, callee_from, natted=()):
    with Media() as media:
        a, b = phone(media, *caller), phone(media, *callee)
        call = Call(relay, a, b, caller_from=caller_from, callee_from=callee_from)
        with call.standing(media):
            media.talk(TALK_SECONDS)
        check_flow(figures, story, a, b, natted=b.name in natted)
        check_flow(figures, story, b, a, natted=a.name in natted)


def rebinding_call(figures, relay, internet, story, change):
    """A call in whose middle something changes for the telephone behind the NAT."""
    with Media() as media:
        a = phone(media, "A", internet.home_a, PRIVATE)
        b = phone(media, "B", internet.public, PUBLIC)
        call = Call(relay, a, b, caller_from=NAT_A, callee_from=PUBLIC)
        with call.standing(media):
            media.talk(1.5)
            before = learned_port(call)
            change(media, a)
            media.talk(2.5)
            after = learned_port(call)
        figures.check(before != after, f"{story}: the relay sees another port", before)
        outward = check_flow(figures, story, a, b)
        inward = check_flow(figures, story, b, a, lost_at_most=LOST_WHILE_REBINDING, natted=True)
        figures.add(f"{story}: port {before} became {after}",
                    f"{outward.lost} + {inward.lost} packets lost, at most {longest_gap(b, a):.0f} ms "
                    "between packets")


def learned_port(call):
    """The port that the relay sends the caller's media to."""
    reply = call.relay.ng.query(call.call_id)
    return next(stream["endpoint"]["port"] for tag, _, stream in streams(reply) if tag == "from-tag")


def longest_gap(sender, receiver):
    times = sorted(receiver.heard[sender.ssrc].times.values())
    return max(later - earlier for earlier, later in zip(times, times[1:])) * 1e3


def test(net, arguments, figures):
    internet = Internet(net)
    with Relay(net, internet.relay, arguments, addresses=(RELAY, RELAY6)) as relay:
        natted = ("A", internet.home_a, PRIVATE)
        natted_too = ("B", internet.home_b, PRIVATE)
        public = ("B", internet.public, PUBLIC)
        simple_call(figures, relay, "from behind the NAT", natted, public,
                    caller_from=NAT_A, callee_from=PUBLIC, natted="A")
        simple_call(figures, relay, "to behind the NAT", public, natted,
                    caller_from=PUBLIC, callee_from=NAT_A, natted="A")
        simple_call(figures, relay, "both behind NATs", natted, natted_too,
                    caller_from=NAT_A, callee_from=NAT_B, natted="AB")
        rebinding_call(figures, relay, internet, "router restarts",
                       lambda media, a: net.forget_mappings(internet.nat_a))
        rebinding_call(figures, relay, internet, "telephone moves to another port",
                       lambda media, a: media.rebind(a))
        simple_call(figures, relay, "IPv6", ("A", internet.home_a, HOME6),
                    ("B", internet.public, PUBLIC6), caller_from=HOME6, callee_from=PUBLIC6)
        figures.check(relay.ng.list() == [], "no call is left", relay.ng.list())
        figures.add("drops", {k: v for k, v in relay.drops().items() if v})


if __name__ == "__main__":
    main(test, __doc__.splitlines()[0])
