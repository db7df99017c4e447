#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the tap costs: the server, the machine, per message. `sudo make bench` runs it.

    tests/bench/bench.py [--rounds N] [--seconds S] [--watchers NAME,...] [part ...]

Each part is one module, or one server of server_cost.py; README.md tells how to read the result.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Callable

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import bulk  # noqa: E402
import cpu  # noqa: E402
import growth  # noqa: E402
import idle  # noqa: E402
import instructions  # noqa: E402
import latency  # noqa: E402
import netns  # noqa: E402
import peers  # noqa: E402
import plot  # noqa: E402
import replay_cost  # noqa: E402
import ring_sizes  # noqa: E402
import server_cost  # noqa: E402
import watchers  # noqa: E402
from report import Part, whole  # noqa: E402
from tap import REPOSITORY, binary  # noqa: E402

ROUNDS, SECONDS = 9, 1.2


def _server(name: str) -> Callable[[Path, argparse.Namespace], Part]:
    return lambda folder, options: server_cost.measure(name, folder, options)


PARTS = {name: _server(name) for name in server_cost.PARTS}
PARTS |= {"replay": replay_cost.measure, "instructions": instructions.measure,
          "bulk": bulk.measure, "idle": idle.measure, "latency": latency.measure,
          "growth": growth.measure, "sizes": ring_sizes.measure, "peers": peers.measure,
          "coredns": peers.measure_coredns}


def arguments() -> argparse.Namespace:
    def words(text: str) -> list[str]:
        return [word for word in text.replace(",", " ").split() if word]

    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"alternations ({ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a load ({SECONDS})")
    parser.add_argument("--watchers", type=words, default=[],
                        help="only these, at every server: none, floor, array-full, ...")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build" / "bench")
    options = parser.parse_args()
    options.parts = [name for text in options.parts for name in words(text)] or list(PARTS)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return options


def machine() -> list[str]:
    version = subprocess.run([binary(), "-V"], capture_output=True, text=True, check=True).stdout
    model = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return [f"{version.strip()}, Linux {platform.release()}, {cpu.CPUS} CPUs, "
            f"{model[0] if model else platform.machine()}"]


def run(name: str, folder: Path, options) -> Part:
    """A part that fails does not take the others with it."""
    start = time.monotonic()
    print(f"bench: {name} ...", end="", flush=True)
    try:
        part = PARTS[name](folder, options)
    except Exception as error:  # told in its place, and by the exit status
        traceback.print_exc()
        part = Part(name, f"FAILED: {error}", [], failed=True)
    print(f" {time.monotonic() - start:.0f} s", flush=True)
    return part


def write(folder: Path, parts: list[Part], head: list[str], options) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = whole(parts, head)
    (folder / "bench.txt").write_text(text)
    raw = {"machine": head, "rounds": options.rounds, "seconds": options.seconds,
           "parts": {part.name: part.as_json() for part in parts}}
    (folder / "bench.json").write_text(json.dumps(raw, indent=1) + "\n")
    plot.draw(folder / "bench.png", parts, head)
    print("\n" + text)
    print(f"in {folder}: bench.txt, bench.png, bench.json")


def main() -> int:
    options = arguments()
    if os.geteuid():
        print("bench: needs root, for namespaces and packet sockets", file=sys.stderr)
        return 1
    netns.remove_leftovers()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    began = cpu.load_average()
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        # One program throughout, whatever is built meanwhile.
        os.environ["DNSTAP_BPF"] = str(shutil.copy2(binary(), Path(name, "dnstap-bpf")))
        watchers.find_rings()
        head = machine()
        parts = [run(part, Path(name), options) for part in options.parts]
    head.append(f"load average before {began}, after {cpu.load_average()} (the second holds our "
                f"own); {', '.join(options.parts)}")
    write(options.output, parts, head, options)
    return int(any(part.failed for part in parts))


if __name__ == "__main__":
    sys.exit(main())
