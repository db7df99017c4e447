# SPDX-License-Identifier: BSD-2-Clause
"""dnsperf as the load, with the CPU time it took: a closed loop of 4 clients in one thread and 100
queries outstanding, or a fixed rate."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from clients import write_dnsperf_input
from netns import Namespace

CLIENTS, OUTSTANDING = 4, 100


@dataclass
class Load:
    """What one run of dnsperf said, and its CPU time in ns."""

    sent: int
    completed: int
    qps: float
    cpu_ns: int


def write_queries(path: Path) -> Path:
    write_dnsperf_input(path)
    return path


def dnsperf_command(space: Namespace, server: str, queries: Path, seconds: float,
                    rate: int = 0, outstanding: int = OUTSTANDING) -> list[str]:
    words = ["dnsperf", "-s", server, "-d", queries, "-l", seconds, "-q", outstanding,
             "-c", CLIENTS, "-T", 1, "-t", 2]
    return space.command(*words, *(["-Q", rate] if rate else []))


def run(space: Namespace, server: str, queries: Path, seconds: float, rate: int = 0,
        outstanding: int = OUTSTANDING) -> Load:
    command = dnsperf_command(space, server, queries, seconds, rate, outstanding)
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    return _read(text, process.returncode, int((usage.ru_utime + usage.ru_stime) * 1e9))


def _read(text: str, status: int, cpu_ns: int) -> Load:
    def number(what: str) -> float:
        found = re.search(rf"Queries {what}:\s+([\d.]+)", text)
        if status or not found:
            print(text, file=sys.stderr)
            raise RuntimeError(f"dnsperf ended with {status}")
        return float(found.group(1))

    return Load(int(number("sent")), int(number("completed")), number("per second"), cpu_ns)
