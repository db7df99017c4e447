# SPDX-License-Identifier: BSD-2-Clause
"""The tap under test as a child process, and the equations its ledger must satisfy."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, List, Optional

import pytest

from collectors import wait_until
from netns import Namespace, settle

# Each test that takes one runs on every ring that this kernel lets us open.
RINGS = [pytest.param(ring, marks=pytest.mark.needs("ring_" + ring))
         for ring in ("array", "bpf", "perf")]

REPOSITORY = Path(__file__).resolve().parents[2]
# Under a tool that slows the tap down (scripts/memory) all may take so many times as long.
PATIENCE = int(os.environ.get("DNSTAP_BPF_PATIENCE", "1"))
START_SECONDS = STOP_SECONDS = 60 * PATIENCE  # more than an emulated machine takes
NOBODY = 65534
COUNTED, COUNTED_SECONDS = bool(os.environ.get("DNSTAP_BPF_COUNTED")), 6  # scripts/coverage
COUNTED_WORDS = ("--confine log", "stays root")

PACKET_OUT = ("datagrams", "segments", "fragments")
PACKET_REASONS = ("packet_truncated", "packet_malformed", "packet_other", "duplicates")
MESSAGE_IN = ("datagrams", "datagrams_split", "reassembled", "stream_messages")
MESSAGE_REASONS = ("dns_short", "dns_truncated", "dns_malformed", "reassembled_malformed",
                   "reassembled_foreign", "reassembled_segments")
FILTERED = ("filtered_network", "filtered_sample", "filtered_name", "filtered_type",
            "filtered_rcode")
FRAME_REASONS = ("transit", "multicast", "own", "frame_oversize", *FILTERED)
FRAGMENT_REASONS = tuple("fragments_" + name for name in (
    "overlap", "malformed", "truncated", "duplicate", "timed_out", "evicted", "unclaimed",
    "unclaimed_evicted", "of_discarded", "drained"))
BYTES_REASONS = ("bytes_retransmitted", "skipped_searching", "skipped_lost", "skipped_unfinished",
                 "skipped_evicted", "skipped_outside")
SINK_OUT = ("confirmed", "unconfirmed", "written", "queued", "spooled", "lost_queue_full",
            "lost_undelivered", "given_up")


def binary() -> Path:
    path = Path(os.environ.get("DNSTAP_BPF", REPOSITORY / "build" / "dnstap-bpf")).resolve()
    assert path.exists(), f"{path} is not there: run `make` first"
    return path


def unprivileged(command: list, capabilities: Iterable[str] = ()) -> list:
    """The same command as an ordinary user, with these capabilities and no others."""
    if os.geteuid():
        return command
    kept = ",".join(["-all", *("+" + name for name in capabilities)])
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
            f"--inh-caps={kept}", f"--ambient-caps={kept}", "--no-new-privs", "--", *command]


def said_lines(stderr: str) -> List[str]:
    """What it said, but for what it says of how scripts/coverage runs it."""
    return [line for line in stderr.splitlines()
            if not COUNTED or not any(words in line for words in COUNTED_WORDS)]


@dataclass
class Result:
    """How the tap ended and what it said."""

    status: int
    stdout: bytes
    stderr: str
    ledger: Dict[str, int] = field(default_factory=dict)
    sinks: List[dict] = field(default_factory=list)
    fragments: Dict[str, int] = field(default_factory=dict)
    streams: Dict[str, int] = field(default_factory=dict)
    balanced: Optional[bool] = None

    @property
    def lines(self) -> List[str]:
        return self.stderr.splitlines()


def check_balance(result: Result, reloaded: bool = False) -> None:
    """The equations that the headers of the rooms state, worked out here from the numbers.

    reloaded: sinks came and went, so not each has had every frame.
    """
    count = result.ledger

    def total(*names: str) -> int:
        return sum(count[name] for name in names)

    text = json.dumps({name: value for name, value in count.items() if value})
    assert result.balanced is True, text
    assert count["matched"] == total("recorded", "ring_full"), text
    assert count["recorded"] == total(*PACKET_OUT, *PACKET_REASONS), text
    assert total(*MESSAGE_IN) == total("messages", *MESSAGE_REASONS), text
    assert count["messages"] == total("frames", *FRAME_REASONS), text
    fragments, streams = result.fragments, result.streams
    assert fragments["fragments"] == count["fragments"] == fragments["fragments_reassembled"] + sum(
        fragments[name] for name in FRAGMENT_REASONS), str(fragments)
    assert fragments["reassembled"] == count["reassembled"], str(fragments)
    assert streams["messages"] == count["stream_messages"], str(streams)
    assert streams["bytes"] == streams["message_bytes"] + 2 * streams["messages"] + sum(
        streams[name] for name in BYTES_REASONS), str(streams)
    for sink in result.sinks:
        assert sink["offered"] == sink["frames"], f"{sink} {text}"
        assert reloaded or sink["frames"] == count["frames"], f"{sink} {text}"
        assert sink["offered"] + sink["recovered"] == sum(sink[name] for name in SINK_OUT), str(sink)
        assert sink["written"] == sink["queued"] == 0, str(sink)


class Tap:
    """A running dnstap-bpf. Use it with `with`; stop() gives the result."""

    def __init__(self, folder: Path, *words, space: Optional[Namespace] = None,
                 nobody: bool = False, capabilities: Iterable[str] = (),
                 program: Optional[Path] = None) -> None:
        number = sum(1 for _ in folder.glob("tap*.err"))
        self.err, self.out = folder / f"tap{number}.err", folder / f"tap{number}.out"
        self.ledger_file = folder / f"tap{number}.json"
        command = [str(word) for word in (program or binary(), "--ledger", self.ledger_file,
                                          *words)]
        command = unprivileged(command, capabilities) if nobody else command
        with open(self.err, "wb") as err, open(self.out, "wb") as out:
            self.process = subprocess.Popen(
                space.command(*command) if space else command, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err)

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_) -> None:
        self.end()

    def end(self) -> None:
        """At once; but a process that is killed leaves no counters behind."""
        if COUNTED and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(COUNTED_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_SECONDS)

    @property
    def stderr(self) -> str:
        return self.err.read_text(errors="replace")

    def wait_watching(self) -> "Tap":
        """Until it says that it watches."""
        def watches() -> bool:
            ended = self.process.poll()
            assert ended is None, f"the tap ended with {ended}: {self.stderr}"
            return "watching" in self.stderr

        wait_until("the tap says `watching`", watches, START_SECONDS)
        return self

    def report(self) -> dict:
        """The ledger and the sinks as they are now; of a tap that runs."""
        self.ledger_file.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        wait_until("the ledger is written", self.ledger_file.exists)
        return json.loads(self.ledger_file.read_text())

    def seen(self) -> int:
        """Packets that the tap has read by now, and those that its filters left in the kernel."""
        count = self.report()["ledger"]
        return count["recorded"] + count["filtered_kernel"]

    def wait_seen(self, count: int) -> None:
        wait_until(f"{count} packets are seen", lambda: self.seen() >= count)

    def stop(self, number: int = signal.SIGINT) -> Result:
        """Ends it when all that was sent before has arrived."""
        assert self.process.poll() is None, f"the tap ended by itself: {self.stderr}"
        settle()
        self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = STOP_SECONDS) -> Result:
        """Until it ends by itself."""
        status = self.process.wait(seconds)
        result = Result(status, self.out.read_bytes(), self.stderr)
        if self.ledger_file.exists():
            read = json.loads(self.ledger_file.read_text())
            result.ledger, result.sinks = read["ledger"], read["sinks"]
            result.fragments, result.streams = read["fragments"], read["streams"]
            result.balanced = read["balanced"]
        return result


def stop_balanced(tap: Tap, number: int = signal.SIGINT, reloaded: bool = False) -> Result:
    """Stops a tap that must end well: status 0 and a ledger that adds up."""
    result = tap.stop(number)
    assert result.status == 0, f"status {result.status}: {result.stderr}"
    check_balance(result, reloaded)
    return result


def replay(folder: Path, capture: Path, *words, status: int = 0, **options) -> Result:
    """Replays a capture file to its end."""
    with Tap(folder, "-r", capture, *words, **options) as tap:
        result = tap.wait(60 * PATIENCE)
    assert result.status == status, f"status {result.status}: {result.stderr}"
    return result
