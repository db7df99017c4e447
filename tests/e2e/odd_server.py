# SPDX-License-Identifier: BSD-2-Clause
"""A program: DNS servers that misbehave, one at each address, as resolvers meet them.

    odd_server.py NAME ADDRESS [NAME ADDRESS]...

    dead   takes queries and never answers          old    FORMERR, header only, to EDNS
    lame   REFUSED                                  half   lets every other query fall
    slow   SERVFAIL after 1.2 s                     lower  answers in lower case
    late   answers after 2.5 s, after the asker has tried again
"""

import heapq
import itertools
import select
import socket
import struct
import sys
import time

FORMERR, SERVFAIL, REFUSED = 1, 2, 5
DELAY = {"slow": 1.2, "late": 2.5}
QR_AA = 0x8400


def question_end(query: bytes) -> int:
    at = 12
    while query[at]:
        at += query[at] + 1
    return at + 5


def reply(query: bytes, rcode: int, records: bytes = b"", count: int = 0, lower: bool = False,
          with_question: bool = True) -> bytes:
    number, flags = struct.unpack_from("!HH", query)
    asked = query[12:question_end(query)] if with_question else b""
    asked = asked[:-4].lower() + asked[-4:] if lower else asked
    head = struct.pack("!HHHHHH", number, QR_AA | flags & 0x0100 | rcode, int(with_question),
                       count, 0, 0)
    return head + asked + records


def answer(query: bytes, lower: bool = False) -> bytes:
    """An address for any A, nothing for any other type."""
    kind = struct.unpack_from("!H", query, question_end(query) - 4)[0]
    if kind != 1:
        return reply(query, 0, lower=lower)
    record = struct.pack("!HHHIH", 0xc00c, 1, 1, 5, 4) + bytes([192, 0, 2, 99])
    return reply(query, 0, record, 1, lower)


class Odd:
    """One address and its fault."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.count = name, 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))

    def respond(self, query: bytes):
        """(seconds to wait, the response), or None."""
        self.count += 1
        if self.name == "dead" or (self.name == "half" and self.count % 2):
            return None
        made = {"lame": lambda: reply(query, REFUSED), "slow": lambda: reply(query, SERVFAIL),
                "old": lambda: self.old(query), "lower": lambda: answer(query, True)}
        return DELAY.get(self.name, 0.0), made.get(self.name, lambda: answer(query))()

    @staticmethod
    def old(query: bytes) -> bytes:
        has_edns = query[11] > 0
        return reply(query, FORMERR, with_question=False) if has_edns else answer(query)


def main(words: list) -> None:
    odds = [Odd(*words[at:at + 2]) for at in range(0, len(words), 2)]
    waiting: list = []
    order = itertools.count()
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for one in select.select([odd.socket for odd in odds], [], [], pause)[0]:
            odd = next(odd for odd in odds if odd.socket is one)
            query, asker = one.recvfrom(4096)
            try:
                response = odd.respond(query)
            except (IndexError, struct.error):
                continue
            if response:
                due = time.monotonic() + response[0]
                heapq.heappush(waiting, (due, next(order), asker, response[1], one))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, asker, response, one = heapq.heappop(waiting)
            one.sendto(response, asker)


if __name__ == "__main__":
    main(sys.argv[1:])
