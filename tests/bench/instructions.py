# SPDX-License-Identifier: BSD-2-Clause
"""Instructions per message by callgrind, which no other load on the machine disturbs: `-r` of two
captures of different size, full, to /dev/null; the difference of the two leaves the start out.
All threads count, the sender's too. The kernel's instructions are not in it."""

import re
from collections import Counter
from pathlib import Path
from typing import Optional

import children
import traffic
from report import Part
from tap import binary

SMALL, LARGE, IN_FLIGHT, SHOWN = 4_000, 24_000, 10, 10
VALGRIND_SECONDS = 180


def _name(function: str, program: Optional[str]) -> str:
    """A recursion's depth is left out; what has no name is told by its library."""
    if function.startswith("0x") and program:
        return f"{Path(program).name}, without a name"
    return re.sub(r"'\d+$", "", function)


def _profile(folder: Path, messages: int, words: tuple) -> Counter:
    """Instructions by function, of one replay."""
    capture = traffic.write_udp(folder / f"{messages}.pcap", messages // 2, IN_FLIGHT)
    output = folder / f"{messages}.callgrind"
    children.run("valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", binary(),
                 # valgrind does not know seccomp
                 "--confine", "off", "-r", capture, "file:///dev/null", *words, timeout=VALGRIND_SECONDS)
    text = children.run("callgrind_annotate", "--threshold=100", "--auto=no", output).text
    found: Counter = Counter()
    for line in text.splitlines():
        match = re.match(r"\s*([\d,]+) \([^)]*\)\s+(?:\S*?:)?(\S+)(?:.*\[(.*)\])?", line)
        if match and "PROGRAM TOTALS" not in line:
            found[_name(match.group(2), match.group(3))] += int(match.group(1).replace(",", ""))
    return found


def _per_message(folder: Path, words: tuple) -> Counter:
    small, large = (_profile(folder, messages, words) for messages in (SMALL, LARGE))
    return Counter({name: (large[name] - small[name]) / (LARGE - SMALL) for name in large})


def measure(folder: Path, options) -> Part:
    folder = folder / "instructions"
    folder.mkdir()
    full, short = _per_message(folder, ("full",)), _per_message(folder, ())
    total = sum(full.values())
    part = Part("instructions", "user space, per message, by callgrind", ["function, with full",
                "instructions", "%"])
    part.rows = [["all, with full", f"{total:.0f}", "100"],
                 ["all, without full", f"{sum(short.values()):.0f}", ""]]
    part.rows += [[name, f"{count:.0f}", f"{100 * count / total:.1f}"]
                  for name, count in full.most_common(SHOWN)]
    part.raw = {"per_message": {"full": total, "without_full": sum(short.values())},
                "functions": {name: round(count, 1) for name, count in full.most_common(60)}}
    return part
