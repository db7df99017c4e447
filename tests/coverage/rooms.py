# SPDX-License-Identifier: BSD-2-Clause
"""What ran of each room of user/, from gcovr's summary: `rooms.py summary.json`.

One row a room, from the lowest floor up, then their sum; and behind each room's figures its files
of which least ran.
"""

import json
import sys
from collections import defaultdict
from typing import Dict, List

ROOMS = ("base", "wire", "exchange", "dnstap", "sink", "capture", "agent")
WORST = 3
SHOWN = 95.0  # %: a file with more of its lines is not named


def share(files: List[dict], what: str) -> str:
    covered, total = (sum(one[f"{what}_{kind}"] for one in files) for kind in ("covered", "total"))
    return f"{covered:6} of {total:5} {100 * covered / max(1, total):6.1f} %"


def worst(files: List[dict]) -> str:
    low = sorted((one for one in files if one["line_percent"] < SHOWN),
                 key=lambda one: one["line_percent"])[:WORST]
    return ", ".join(f"{one['filename'].rsplit('/', 1)[1]} {one['line_percent']:.0f} %"
                     for one in low)


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        files = json.load(file)["files"]
    rooms: Dict[str, List[dict]] = defaultdict(list)
    for one in files:
        rooms[one["filename"].split("/")[-2]].append(one)
    print(f"{'room':9}{'lines':>24}{'branches':>24}   least covered")
    for name in (*ROOMS, *sorted(set(rooms) - set(ROOMS))):
        found = rooms[name]
        print(f"{name:9}{share(found, 'line'):>24}{share(found, 'branch'):>24}   {worst(found)}")
    print(f"{'user/':9}{share(files, 'line'):>24}{share(files, 'branch'):>24}")


if __name__ == "__main__":
    main(sys.argv[1])
