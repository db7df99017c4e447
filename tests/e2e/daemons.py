# SPDX-License-Identifier: BSD-2-Clause
"""Servers as child processes in namespaces: started, asked whether they answer, ended."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Optional

from netns import Namespace

STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """In the child: a test run that is killed leaves no daemons behind."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A child process with a log; in a namespace when one is given."""

    def __init__(self, command: list, log: Path, space: Optional[Namespace] = None) -> None:
        words = [str(word) for word in command]
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
                space.command(*words) if space else words, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, env={**os.environ, "TZ": "UTC"}, preexec_fn=_die_with_parent)

    def close(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def await_answer(self, name: str, space: Namespace, where: tuple, query: bytes,
                     deadline: float) -> None:
        """Until the server at (address, port) answers the query with NOERROR."""
        while not answers(space, where, query):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer on {where[0]} port {where[1]}:\n"
                                   + self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.05)


def answers(space: Namespace, where: tuple, query: bytes) -> bool:
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with space.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.connect(where)
            client.send(query)
            return client.recv(4096)[3] & 15 == 0
        except OSError:
            return False
