# SPDX-License-Identifier: BSD-2-Clause
"""A program run to its end, with the CPU time of all its threads (wait4(2))."""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass


@dataclass
class Done:
    """How it ended. Times in s."""

    cpu: float
    wall: float
    text: str


def run(*words, timeout: float = 120) -> Done:
    """It must succeed; text is what it wrote to both outputs."""
    command = [str(word) for word in words]
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        process = subprocess.Popen(["timeout", str(timeout), *command], stdout=output,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}")
    return Done(usage.ru_utime + usage.ru_stime, wall, text)
