# SPDX-License-Identifier: BSD-2-Clause
"""The collectors: fstrm_capture to /dev/null, as anybody would use it, and one in C (collector.c)
that counts frames and says how long each was on its way."""

import json
import os
import signal
import subprocess
from pathlib import Path

import frames
from collectors import Tool, wait_until
from tap import REPOSITORY


def fstrm_to_null(path: Path) -> Tool:
    words = ["fstrm_capture", "-t", frames.CONTENT_TYPE.decode(), "-u", path, "-w", "/dev/null"]
    return Tool(words, path.with_suffix(".null"), lambda tool: tool.listens(path, 0))


def program() -> Path:
    """collector.c, which `make bench` builds beside the tap."""
    return Path(os.environ.get("BENCH_COLLECTOR",
                               REPOSITORY / "build" / "tests" / "bench" / "collector"))


class Counting:
    """The collector in C. read() gives what came since the last read()."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.process = subprocess.Popen([program(), path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        wait_until(f"{path} listens", path.exists)

    def __enter__(self) -> "Counting":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()

    def read(self) -> dict:
        """frames, bytes, and of the way from packet to here in us: p50, p99, most."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())
