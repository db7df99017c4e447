# SPDX-License-Identifier: BSD-2-Clause
"""Captures cut at every byte, many variants in one file so that a process checks thousands.

A variant is a case's packets with something missing. Each has a client address of its own, by
which its messages are told apart, and comes so much later than the one before that nothing of it
is remembered.
"""

import ipaddress
import os
import random
import re
from collections import Counter
from functools import lru_cache
from typing import Dict, Iterator, List, NamedTuple

from captures import CLIENT_4, CLIENT_6
from cases_scene import Case, Sent
from packets import Packet

APART = 200 * 10**9         # ns; streams are given up after 120 s
FACTOR = int(os.environ.get("DNSTAP_BPF_CUTS", "1"))  # how much more to do than usual
PACKETS, BYTES = 8_000, 1_500_000                     # of one case's variants in one file


class Cut(NamedTuple):
    """Packets before `last` are there, of packet `one` (-1: of each) at most `length` bytes."""

    last: int
    one: int
    length: int


def even_cuts(case: Case) -> List[Cut]:
    """The file cut behind each packet, and all packets cut at each length."""
    whole = len(case.packets)
    longest = max(len(packet.data) for packet in case.packets)
    return [Cut(last, -1, longest) for last in range(whole + 1)] + [
        Cut(whole, -1, length) for length in range(longest)]


def single_cuts(case: Case) -> List[Cut]:
    """Each packet alone cut at each length."""
    return [Cut(len(case.packets), one, length) for one, packet in enumerate(case.packets)
            for length in range(len(packet.data))]


def chosen_cuts(case: Case) -> Iterator[List[Cut]]:
    """All of them, or of a large capture some, the same each time; as many as go into one file."""
    size = sum(len(packet.data) for packet in case.packets)
    each = max(12, min(PACKETS // len(case.packets), BYTES // size))
    left, chosen = each * FACTOR, []
    for every in (even_cuts(case), single_cuts(case)):
        chosen += every if len(every) <= left else random.Random(case.name).sample(every, left)
        left -= min(left, len(every))
    for at in range(0, len(chosen), each):
        yield chosen[at:at + each]


@lru_cache(maxsize=None)
def client_4(number: int) -> str:
    return str(ipaddress.IPv4Address(0x0a000001 + number))


@lru_cache(maxsize=None)
def client_6(number: int) -> str:
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001:db8:1::1")) + number))


@lru_cache(maxsize=None)
def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def varied(case: Case, every: List[Cut]) -> Iterator[Packet]:
    """The packets of all variants, one variant behind the other."""
    olds = [re.compile(re.escape(packed(address))) for address in (CLIENT_4, CLIENT_6)]
    for number, cut in enumerate(every):
        news = [packed(client_4(number)), packed(client_6(number))]
        for n, packet in enumerate(case.packets[:cut.last]):
            data = packet.data
            for old, new in zip(olds, news):
                data = old.sub(lambda _, new=new: new, data, 1)
            if cut.one in (-1, n):
                data = data[:cut.length]
            yield Packet(packet.time + number * APART, data, packet.length)


def check_varied(full: Counter, found: List[Sent], every: List[Cut]) -> None:
    """Each variant gives no message more than the whole capture does."""
    numbers: Dict[str, int] = {}
    for number in range(len(every)):
        numbers[client_4(number)] = numbers[client_6(number)] = number
    seen: Dict[int, Counter] = {}
    for one in found:
        number = numbers.get(one.source, numbers.get(one.target, -1))
        seen.setdefault(number, Counter())[plain(one, number)] += 1
    for number, messages in seen.items():
        if number < 0:  # between two others
            invented = set(messages) - set(full)
        else:
            invented = messages - full
        first = next(iter(invented), ())
        assert not invented, f"{every[number]} gave {first[:5]} {first[5][:40].hex()}"


def plain(one: Sent, number: int) -> tuple:
    """The message as the whole capture would have it, without its time."""
    names = {client_4(number): CLIENT_4, client_6(number): CLIENT_6} if number >= 0 else {}
    return (one.protocol, names.get(one.source, one.source), one.source_port,
            names.get(one.target, one.target), one.target_port, one.wire)
