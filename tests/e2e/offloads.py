# SPDX-License-Identifier: BSD-2-Clause
"""Switches a device's offloads, as ethtool(8) does."""

import array
import fcntl
import socket
import struct

from netns import Namespace

SIOCETHTOOL = 0x8946
TSO, GSO, GRO = 0x1f, 0x24, 0x2c  # ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO
FLAGS, VLAN = 0x26, 0x180  # ETHTOOL_SFLAGS, ETH_FLAG_TXVLAN | ETH_FLAG_RXVLAN


def change(space: Namespace, device: str, command: int, value: int) -> None:
    request = array.array("I", [command, int(value)])
    with space.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCETHTOOL, struct.pack(
            "16sP16x", device.encode(), request.buffer_info()[0]))
