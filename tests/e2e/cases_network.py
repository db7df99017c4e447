# SPDX-License-Identifier: BSD-2-Clause
"""Cases of link layers, tags, IP options and extension headers, checksums, lengths."""

import struct

from scapy.layers.inet import (IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_Router_Alert,
                               IPOption_Timestamp)
from scapy.layers.inet6 import (IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting, IPv6ExtHdrSegmentRouting, PadN, RouterAlert)
from scapy.packet import Raw

from cases_scene import C, S, Scene, case
from clients import query
from packets import COOKED_1, COOKED_2, RAW_IP

VLAN, SERVICE = (0x8100, 42), (0x88a8, 7)
UDP_NUMBER, TCP_NUMBER = 17, 6
HOP, ROUTING, FRAGMENT, AH, DESTINATION, SEGMENTS = 0, 43, 44, 51, 60, 143


def mixed(scene: Scene, **words) -> None:
    """An exchange over UDP and one over TCP, in the same headers."""
    scene.udp().exchange(**words)
    asked, answered = scene.exchange()
    tcp = scene.tcp().open()
    tcp.message(C, asked, 20, **words)
    tcp.message(S, answered, **words)
    tcp.close()
    scene.counts = {"messages": 4, "responses_matched": 2, "packet_malformed": 0,
                    "packet_other": 0}


@case(both=True)
def ethernet(scene: Scene) -> None:
    """no tag, nothing special"""
    mixed(scene)


@case(both=True)
def tag_802_1q(scene: Scene) -> None:
    """one VLAN tag"""
    mixed(scene, tags=(VLAN,))


@case(both=True)
def tags_qinq(scene: Scene) -> None:
    """a service tag (0x88a8) and a VLAN tag"""
    mixed(scene, tags=(SERVICE, VLAN))


@case(both=True)
def tags_two_802_1q(scene: Scene) -> None:
    """two tags of 0x8100"""
    mixed(scene, tags=((0x8100, 7), VLAN))


@case(both=True)
def tag_of_priority(scene: Scene) -> None:
    """a tag with VLAN id 0"""
    mixed(scene, tags=((0x8100, 0),))


@case(both=True)
def tagged_query_untagged_answer(scene: Scene) -> None:
    """they belong together all the same"""
    asked, answered = scene.exchange()
    udp = scene.udp()
    udp.send(C, asked, tags=(VLAN,))
    udp.send(S, answered)
    asked, answered = scene.exchange()
    tcp = scene.tcp().open()
    tcp.message(C, asked, 20, tags=(VLAN,))
    tcp.message(S, answered)
    scene.counts = {"messages": 4, "responses_matched": 2}


@case()
def three_tags(scene: Scene) -> None:
    """more tags than anybody uses: counted by nobody, as they are not seen to be DNS"""
    scene.udp().send(C, scene.exchange()[0], tags=(SERVICE, VLAN, VLAN), emitted=False)
    scene.udp().exchange()
    scene.counts = {"messages": 2}


@case(link=RAW_IP, both=True)
def no_link_layer(scene: Scene) -> None:
    """raw IP, as of tun, wireguard and ppp devices"""
    mixed(scene)


@case(link=COOKED_1, both=True)
def linux_cooked_v1(scene: Scene) -> None:
    """the link layer of `tcpdump -i any`, old"""
    mixed(scene)


@case(link=COOKED_2, both=True)
def linux_cooked_v2(scene: Scene) -> None:
    """the link layer of `tcpdump -i any`, new"""
    mixed(scene)


@case()
def ipv4_options(scene: Scene) -> None:
    """router alert, record route, time stamps, a source route, and 40 bytes of them"""
    every = ([IPOption_Router_Alert()], [IPOption_RR(routers=["192.0.2.1", "192.0.2.2"])],
             [IPOption_Timestamp(flg=0, timestamp=1)],
             [IPOption_LSRR(pointer=8, routers=["192.0.2.1"])], [IPOption_NOP()] * 40)
    for options in every:
        scene.udp().exchange(ip={"options": options})
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    tcp.message(C, asked, 20, ip={"options": every[0]})
    tcp.message(S, answered, 20, ip={"options": every[4]})
    scene.counts = {"messages": 2 * len(every) + 2, "packet_malformed": 0}


def authentication(length: int = 24) -> bytes:
    """An AH header with an ICV that fills it up (RFC 4302); its next header comes later."""
    return struct.pack("!BBHII", 0, length // 4 - 2, 0, 1, 1) + bytes(length - 12)


HEADERS = {
    HOP: lambda: bytes(IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"\0" * 8)])),
    ROUTING: lambda: bytes(IPv6ExtHdrRouting(type=2, segleft=0, addresses=["2001:db8::9"])),
    SEGMENTS: lambda: bytes(IPv6ExtHdrSegmentRouting(
        segleft=0, addresses=["2001:db8::9", "2001:db8::a"])),
    FRAGMENT: lambda: bytes(IPv6ExtHdrFragment(id=99)),
    AH: authentication,
    DESTINATION: lambda: bytes(IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])),
}
CHAINS = (
    (HOP,), (DESTINATION,), (ROUTING,), (SEGMENTS,), (FRAGMENT,), (AH,),
    (HOP, DESTINATION), (HOP, ROUTING), (HOP, FRAGMENT), (ROUTING, AH), (AH, DESTINATION),
    (DESTINATION, ROUTING, DESTINATION), (HOP, DESTINATION, ROUTING, FRAGMENT, AH, DESTINATION),
    (HOP, DESTINATION, SEGMENTS, FRAGMENT, AH, DESTINATION), (DESTINATION,) * 8,
)


def chain(kinds: tuple, last: int) -> Raw:
    """The headers behind each other, each naming the next."""
    numbers = [ROUTING if kind == SEGMENTS else kind for kind in kinds[1:]] + [last]
    return Raw(b"".join(bytes([number]) + HEADERS[kind]()[1:]
                        for kind, number in zip(kinds, numbers)))


@case(six=True)
def ipv6_extension_headers(scene: Scene) -> None:
    """hop-by-hop, routing, segment routing, destination, AH, atomic fragments, in many orders"""
    for kinds in CHAINS:
        first = ROUTING if kinds[0] == SEGMENTS else kinds[0]
        scene.udp().exchange(between=chain(kinds, UDP_NUMBER), ip={"nh": first},
                             udp={"chksum": 0xbeef})
        tcp = scene.tcp().open()
        asked, answered = scene.exchange()
        words = {"between": chain(kinds, TCP_NUMBER), "ip": {"nh": first},
                 "fields": {"chksum": 0xbeef}}
        tcp.message(C, asked, 20, **words)
        tcp.message(S, answered, **words)
    scene.counts = {"messages": 4 * len(CHAINS), "responses_matched": 2 * len(CHAINS),
                    "fragments": 0}


@case(six=True)
def ipv6_too_many_headers(scene: Scene) -> None:
    """nine extension headers: not looked at any further"""
    scene.udp().send(C, scene.exchange()[0], between=chain((DESTINATION,) * 9, UDP_NUMBER),
                     ip={"nh": DESTINATION}, emitted=False)
    scene.udp().exchange()
    scene.counts = {"messages": 2}


@case()
def ipv4_authentication(scene: Scene) -> None:
    """AH over IPv4"""
    head = authentication()
    scene.udp().exchange(between=Raw(bytes([UDP_NUMBER]) + head[1:]), ip={"proto": AH},
                         udp={"chksum": 0})
    scene.counts = {"messages": 2, "responses_matched": 1}


@case(both=True)
def padded_frames(scene: Scene) -> None:
    """a query for the root: the frame is filled up to 60 bytes, with and without a checksum"""
    for trailer in (b"\xaa", b"\0" * 18, b"\xaa" * 18 + b"\1\2\3\4"):
        udp = scene.udp()
        scene.number += 1
        udp.send(C, query(scene.number, ""), trailer=trailer)
    scene.counts = {"messages": 3}


@case(both=True)
def jumbo_frame(scene: Scene) -> None:
    """an answer that fills a frame of 9,000 bytes"""
    scene.udp().exchange(size=9000 - 40 - 8)
    scene.counts = {"messages": 2, "responses_matched": 1}


@case(both=True)
def wrong_checksums(scene: Scene) -> None:
    """offloaded to the network card, which has not filled them in yet"""
    scene.udp().exchange(udp={"chksum": 0xdead}, ip={} if scene.six else {"chksum": 0xdead})
    scene.udp().exchange(udp={"chksum": 0})
    asked, answered = scene.exchange()
    tcp = scene.tcp().open()
    tcp.message(C, asked, fields={"chksum": 0xdead})
    tcp.message(S, answered, fields={"chksum": 0})
    scene.counts = {"messages": 6, "responses_matched": 3}


@case(both=True)
def port_53_to_port_53(scene: Scene) -> None:
    """old servers ask from port 53: the QR bit tells who asked"""
    scene.port = 52
    scene.udp().exchange()
    scene.port = 52
    tcp = scene.tcp().open()
    tcp.exchange()
    scene.counts = {"messages": 4, "responses_matched": 2}


@case(both=True)
def bytes_behind_the_datagram(scene: Scene) -> None:
    """IP says more than UDP: the rest is not DNS. UDP says more than DNS: it comes as it is"""
    asked, answered = scene.exchange()
    udp = scene.udp()
    packet = udp.ip(C) / Raw(udp.datagram(C, asked) + b"trailer")
    packet.fields["nh" if scene.six else "proto"] = UDP_NUMBER
    udp.expect(C, asked, scene.send(packet))
    udp.send(S, answered + b"trailing bytes")
    scene.counts = {"messages": 2, "responses_matched": 1}
