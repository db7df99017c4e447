# SPDX-License-Identifier: BSD-2-Clause
"""Packet sockets of the tests' own: what really passed an interface, whatever the tap says."""

import socket
from typing import List

from netns import Namespace

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_RCVBUFFORCE = 33


class Lengths:
    """The lengths, from the IP header on, of the packets that arrive at a device."""

    def __init__(self, space: Namespace, device: str) -> None:
        self.socket = space.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.bind((device, ETH_P_ALL))
        self.socket.setblocking(False)

    def read(self) -> List[int]:
        found, byte = [], bytearray(1)
        with self.socket:
            while True:
                try:
                    found.append(self.socket.recv_into(byte, 1, socket.MSG_TRUNC))
                except BlockingIOError:
                    return found
