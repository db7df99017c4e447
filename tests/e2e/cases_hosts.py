# SPDX-License-Identifier: BSD-2-Clause
"""Cases of who speaks to whom, and of packets that stand in a capture more than once."""

from cases_fragments import good
from cases_scene import INCOMING, OUTGOING, C, S, Scene, case
from clients import RD
from packets import COOKED_1, COOKED_2

LOOPBACK, PORT, BRIDGE = 1, 3, 5  # interface numbers
RESOLVER_4, RESOLVER_6 = "192.0.2.5", "2001:db8:5::5"


def mixed(scene: Scene) -> None:
    """UDP and TCP, each packet seen at all of the scene's places."""
    scene.udp().exchange(size=300)
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    tcp.message(C, asked, 20)
    tcp.message(S, answered)
    tcp.close()
    scene.counts = {"duplicates": len(scene.packets) // 2, "messages": 4, "responses_matched": 2,
                    "queries_retried": 0, "streams.bytes_retransmitted": 0}


@case(link=COOKED_1, both=True)
def loopback_in_a_cooked_v1_capture(scene: Scene) -> None:
    """each packet is there as sent and as received: the copy is counted"""
    scene.places = {side: ((LOOPBACK, OUTGOING), (LOOPBACK, INCOMING)) for side in (C, S)}
    mixed(scene)


@case(link=COOKED_2, both=True)
def loopback_in_a_cooked_v2_capture(scene: Scene) -> None:
    """each packet is there as sent and as received: the copy is counted"""
    scene.places = {side: ((LOOPBACK, OUTGOING), (LOOPBACK, INCOMING)) for side in (C, S)}
    mixed(scene)


@case(link=COOKED_2, both=True)
def bridge_in_a_cooked_v2_capture(scene: Scene) -> None:
    """each packet is there at the bridge and at its port: the copy is counted"""
    scene.places = {C: ((PORT, INCOMING), (BRIDGE, INCOMING)),
                    S: ((BRIDGE, OUTGOING), (PORT, OUTGOING))}
    mixed(scene)


@case(link=COOKED_2, both=True)
def fragments_at_a_bridge(scene: Scene) -> None:
    """the fragments are there twice, and are no duplicates of each other"""
    scene.places = {C: ((PORT, INCOMING), (BRIDGE, INCOMING)),
                    S: ((BRIDGE, OUTGOING), (PORT, OUTGOING))}
    good(scene)
    scene.counts = {"duplicates": 4, "fragments": 3, "reassembled": 1,
                    "fragments.fragments_duplicate": 0}


@case(link=COOKED_2, both=True)
def sent_again_at_a_bridge(scene: Scene) -> None:
    """a client that asks again after 5 ms, seen twice at each of two places: two messages"""
    scene.places = {C: ((PORT, INCOMING), (BRIDGE, INCOMING)),
                    S: ((BRIDGE, OUTGOING), (PORT, OUTGOING))}
    asked, answered = scene.exchange()
    udp = scene.udp()
    udp.send(C, asked)
    scene.wait(5)
    udp.send(C, asked)
    udp.send(S, answered)
    scene.counts = {"duplicates": 3, "messages": 3, "queries_retried": 1}


@case(both=True)
def sent_again_by_the_client(scene: Scene) -> None:
    """the same query three times from one socket: no copies, all emitted"""
    asked, answered = scene.exchange()
    udp = scene.udp()
    for pause in (0, 20, 5_000):
        scene.wait(pause)
        udp.send(C, asked)
    udp.send(S, answered)
    scene.counts = {"duplicates": 0, "messages": 4, "queries_retried": 2, "queries_answered": 1}


@case(both=True)
def multicast(scene: Scene) -> None:
    """mDNS, LLMNR and broadcasts: counted, not emitted; a unicast answer is emitted"""
    groups = ("ff02::fb", "ff02::1:3") if scene.six else (
        "224.0.0.251", "224.0.0.252", "255.255.255.255")
    for group in groups:
        udp = scene.udp(server=group, server_port=53 if group.endswith("255") else 5353)
        asked, answered = scene.exchange()
        udp.send(C, asked, emitted=False)
        scene.udp(server_port=5353).send(S, answered)
    scene.words = ("--port", "53", "--port", "5353")
    scene.counts = {"multicast": len(groups), "frames": len(groups)}


@case(both=True)
def other_ports(scene: Scene) -> None:
    """only the ports that are asked for, over UDP and TCP"""
    asked, answered = scene.exchange()
    for port in (53, 5353, 5300):
        udp = scene.udp(server_port=port)
        udp.send(C, asked, emitted=port != 53)
        udp.send(S, answered, emitted=port != 53)
    scene.words = ("--port", "5300", "--port", "5353")
    scene.counts = {"recorded": 4}
    tcp = scene.tcp().open()
    tcp.send(C, asked)


def around_a_resolver(scene: Scene, transit: bool) -> None:
    """Client - resolver - authoritative server, a forwarder's question, and two strangers."""
    resolver = RESOLVER_6 if scene.six else RESOLVER_4
    for client, server, flags, role in (
            (scene.client, resolver, RD, "CLIENT"), (resolver, scene.server, 0, "RESOLVER"),
            (resolver, scene.server, RD, "FORWARDER"), (resolver, resolver, RD, "CLIENT"),
            (scene.client, scene.server, 0, "AUTH")):
        asked, answered = scene.exchange(flags=flags)
        udp = scene.udp(client=client, server=server)
        told = role != "AUTH" or transit
        udp.send(C, asked, kind=role + "_QUERY" if told else "", emitted=told)
        udp.send(S, answered, kind=role + "_RESPONSE" if told else "", emitted=told)
    scene.words = ("--local", resolver[:-1] + ("0/120" if scene.six else "0/24"))
    scene.counts = {"transit": 0 if transit else 2, "frames": len(scene.messages)}
    if transit:
        scene.words += ("--transit",)


@case(both=True)
def local_resolver(scene: Scene) -> None:
    """--local: its clients' side, its own questions' side; what is between others is transit"""
    around_a_resolver(scene, False)


@case(both=True)
def local_resolver_and_transit(scene: Scene) -> None:
    """--local and --transit: the others' messages come too"""
    around_a_resolver(scene, True)


@case(both=True)
def local_authority(scene: Scene) -> None:
    """no --local: the responder is ours, and one that leaves RA clear is an authority"""
    for flags, role in ((RD, "CLIENT"), (0, "AUTH")):
        udp = scene.udp(server=scene.server[:-1] + ("7" if flags else "8"))
        asked, answered = scene.exchange(flags=flags)
        udp.send(C, asked, kind=role + "_QUERY")
        udp.send(S, answered, kind=role + "_RESPONSE")
