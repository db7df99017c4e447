# SPDX-License-Identifier: BSD-2-Clause
"""What may stand beside a server while it is measured: nothing, an empty socket filter, the tap on
each of its rings, tcpdump. (The server's own dnstap is a second server, see native.py.)

Each starts before the load, names the processes whose CPU time is its own, and says at its end
how many messages it lost.
"""

import ctypes
import functools
import re
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from netns import Namespace
from tap import Tap, binary

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_ATTACH_FILTER = 26
RETURN_0 = struct.pack("HBBI", 0x06, 0, 0, 0)  # struct sock_filter: ret #0


@dataclass
class Site:
    """Where a server is watched: its namespace and device, and the collector that runs there."""

    space: Namespace
    device: str
    folder: Path
    collector_socket: Path
    collector_pid: int


class Watcher:
    """Nothing at all."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_) -> None:
        """Ends it at once, where stop() did not."""

    def processes(self) -> dict[str, list[int]]:
        return {}

    def stop(self, completed: int) -> dict:
        """completed: queries that were answered while it watched."""
        return {}


class EmptyFilter(Watcher):
    """A classic filter that returns 0 (the kernel compiles it as well), as the tap's socket: the
    cost that no tap of this kind can go below."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.socket = site.space.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        program = ctypes.create_string_buffer(RETURN_0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                               struct.pack("HP", 1, ctypes.addressof(program)))
        if site.device == "lo":
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.bind((site.device, ETH_P_ALL))

    def __exit__(self, *_) -> None:
        self.socket.close()


class Ours(Watcher):
    """The tap on one ring, to fstrm_capture."""

    def __init__(self, ring: str, words: tuple, site: Site) -> None:
        super().__init__(site)
        self.tap = Tap(site.folder, "-i", site.device, "--ring", ring,
                       f"unix://{site.collector_socket}", *words, space=site.space)
        try:
            self.tap.wait_watching()
            time.sleep(0.05)  # the handshake with the collector
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_) -> None:
        self.tap.__exit__()

    def processes(self) -> dict[str, list[int]]:
        return {"tap": [self.tap.process.pid], "collector": [self.site.collector_pid]}

    def stop(self, completed: int) -> dict:
        result = self.tap.stop()
        if result.status or not result.balanced:
            raise RuntimeError(f"the tap ended with {result.status}: {result.stderr}")
        confirmed = result.sinks[0]["confirmed"]
        return {"messages": 2 * completed, "received": confirmed,
                "lost": max(0, 2 * completed - confirmed),
                "ring_full": result.ledger["ring_full"],
                "queue_full": result.sinks[0]["lost_queue_full"]}


class Tcpdump(Watcher):
    """tcpdump -w /dev/null port 53"""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.errors = site.folder / "tcpdump.err"
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen(
                site.space.command("tcpdump", "-i", site.device, "-Z", "root", "-w", "/dev/null",
                                   "port", "53"), stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        deadline = time.monotonic() + 10
        while "listening on" not in self.errors.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError("tcpdump: " + self.errors.read_text())
            time.sleep(0.01)

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def processes(self) -> dict[str, list[int]]:
        return {"tap": [self.process.pid]}

    def stop(self, completed: int) -> dict:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        text = self.errors.read_text()
        captured = re.search(r"(\d+) packets? captured", text)
        if not captured:
            raise RuntimeError("tcpdump: " + text)
        received = int(captured.group(1))
        return {"messages": 2 * completed, "received": received,
                "lost": max(0, 2 * completed - received)}


NATIVE = "native"  # not a watcher: another server
ALL = {"none": Watcher, "floor": EmptyFilter, "tcpdump": Tcpdump}
LABELS = {"none": "no tap", "floor": "empty socket filter", "tcpdump": "tcpdump -w /dev/null",
          NATIVE: "the server's own dnstap"}
RINGS: list[str] = []  # the one that `--ring auto` takes first


def find_rings() -> None:
    """Those that the program's usage text names, as watchers `RING` and `RING-full`."""
    usage = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True).stdout
    line = next(line for line in usage.splitlines() if " --ring KIND" in line)
    RINGS.extend(ring for ring in ("array", "perf", "bpf") if re.search(rf"\b{ring}\b", line))
    for ring in RINGS:
        for suffix, words in (("", ()), ("-full", ("full",))):
            ALL[ring + suffix] = functools.partial(Ours, ring, words)
            LABELS[ring + suffix] = f"ours, {ring} ring" + ", full" * bool(words)


def default_tap() -> str:
    """The watcher that the goals are held against."""
    return RINGS[0] + "-full"
