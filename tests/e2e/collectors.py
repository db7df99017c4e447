# SPDX-License-Identifier: BSD-2-Clause
"""Collectors: one in Python that notes when each frame came, and the tools people use."""

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, List, Optional

import frames
from netns import Namespace

WAIT_SECONDS = 60   # what is waited for comes much sooner, or never
RESTARTS = int(os.environ.get("DNSTAP_BPF_RESTARTS", "20"))  # of a collector under load


def wait_until(what: str, done: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Polls, ever less often, until done() is true; fails with `what` when it never is."""
    deadline, pause = time.monotonic() + seconds, 0.005
    while not done():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(pause)
        pause = min(0.1, pause * 1.1)


class Collector:
    """Listens on a Unix path or (address, port), answers the handshake, keeps what it gets."""

    def __init__(self, where, space: Optional[Namespace] = None, pause: float = 0.0) -> None:
        """pause: seconds before it reads the first frame."""
        self.pause = pause
        self.arrivals: List[tuple] = []  # (monotonic time, payload)
        self.connections: List[socket.socket] = []
        self.started = 0   # connections on which START came
        self.finished = 0  # connections ended with STOP and FINISH
        self.errors: List[str] = []
        family = self.family(where)
        self.listener = space.socket(family, socket.SOCK_STREAM) if space else socket.socket(
            family, socket.SOCK_STREAM)
        if isinstance(where, tuple):
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            where.unlink(missing_ok=True)
        self.listener.bind(where if isinstance(where, tuple) else str(where))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    @staticmethod
    def family(where) -> int:
        if not isinstance(where, tuple):
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in where[0] else socket.AF_INET

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @staticmethod
    def silent(path: Path) -> socket.socket:
        """A listener that lets connections come and never reads or answers."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(8)
        return listener

    @property
    def payloads(self) -> List[bytes]:
        return [payload for _, payload in list(self.arrivals)]

    @property
    def messages(self) -> List[frames.Message]:
        return [frames.decode(payload) for payload in self.payloads]

    def wait_started(self, count: int = 1, seconds: float = WAIT_SECONDS) -> None:
        wait_until(f"{count} connection(s)", lambda: self.started >= count, seconds)

    def wait_frames(self, count: int, seconds: float = WAIT_SECONDS) -> None:
        wait_until(f"{count} frames", lambda: len(self.arrivals) >= count, seconds)

    def close(self) -> None:
        """Ends at once, as a collector does that is killed."""
        for one in [self.listener, *self.connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        self.thread.join(5)

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                self.read(connection, stream)
        except (OSError, ValueError, EOFError):
            pass  # the connection ended; what came before counts
        except AssertionError as error:
            self.errors.append(str(error))

    def read(self, connection: socket.socket, stream) -> None:
        """READY, ACCEPT, START, frames, STOP, FINISH."""
        answer = frames.control(frames.ACCEPT, frames.CONTENT_TYPE)
        self.expect(stream, frames.READY)
        connection.sendall(answer)
        self.expect(stream, frames.START)
        self.started += 1
        time.sleep(self.pause)
        while True:
            length = struct.unpack("!I", self.exactly(stream, 4))[0]
            if length:
                self.arrivals.append((time.monotonic(), self.exactly(stream, length)))
                continue
            kind, _ = self.control(stream)
            assert kind == frames.STOP, f"control frame {kind} instead of STOP"
            self.finished += 1  # before the tap hears of it and ends
            connection.sendall(frames.control(frames.FINISH))
            return

    def expect(self, stream, wanted: int) -> None:
        escape = struct.unpack("!I", self.exactly(stream, 4))[0]
        assert escape == 0, "a data frame before the handshake was done"
        kind, types = self.control(stream)
        assert kind == wanted, f"control frame {kind} instead of {wanted}"
        assert types == [frames.CONTENT_TYPE], f"content types {types}"

    def control(self, stream) -> tuple:
        length = struct.unpack("!I", self.exactly(stream, 4))[0]
        assert 4 <= length <= 512, f"a control frame of {length} bytes"
        return frames.parse_control(self.exactly(stream, length))

    @staticmethod
    def exactly(stream, length: int) -> bytes:
        got = stream.read(length)
        if len(got) < length:
            raise EOFError
        return got


class Tool:
    """A collector of somebody else's as a child process that writes what it gets to a file."""

    def __init__(self, command: list, output: Path, ready: Callable[["Tool"], bool]) -> None:
        self.output = output
        self.errors = output.with_suffix(".err")
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen([str(word) for word in command],
                                            stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        try:
            wait_until(f"{command} listens: {self.errors}", lambda: ready(self))
        except BaseException:
            self.process.kill()
            self.process.wait(10)
            raise

    def __enter__(self) -> "Tool":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def listens(self, path: Optional[Path], port: int) -> bool:
        """Whether a listening socket of that path, or of that TCP port, is in its namespace."""
        def table(name: str) -> List[List[str]]:
            lines = Path(f"/proc/{self.process.pid}/net/{name}").read_text().splitlines()[1:]
            return [line.split() for line in lines]

        if path:
            accepting = "00010000"  # __SO_ACCEPTCON
            return any(row[3] == accepting and row[-1] == str(path) for row in table("unix"))
        return any(row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port
                   for name in ("tcp", "tcp6") for row in table(name))

    def wait_frames(self, count: int) -> List[bytes]:
        """The frames that golang-dnstap received, once there are `count` of them or more.

        It writes through a large buffer that SIGINT throws away; SIGHUP after a rename, as a log
        rotation does it, makes it close the file whole and open the next.
        """
        got: List[bytes] = []
        rotated = self.output.with_suffix(".rotated")

        def rotate() -> bool:
            self.output.rename(rotated)
            self.process.send_signal(signal.SIGHUP)
            wait_until("golang-dnstap opens its next file", self.output.exists)
            got.extend(frames.read_file(rotated))
            if len(got) < count:
                time.sleep(0.1)
            return len(got) >= count

        wait_until(f"{count} frames at golang-dnstap", rotate)
        return got


def _tool(command: list, output: Path, path: Optional[Path], port: int,
          space: Optional[Namespace]) -> Tool:
    words = space.command(*command) if space else command
    return Tool(words, output, lambda tool: tool.listens(path, port))


def golang_dnstap(output: Path, path: Optional[Path] = None, address: str = "", port: int = 0,
                  space: Optional[Namespace] = None, format_option: str = "") -> Tool:
    """`dnstap -u PATH -w OUTPUT` or `dnstap -l ADDRESS:PORT -w OUTPUT`."""
    where = ["-u", path] if path else ["-l", f"{address}:{port}"]
    words = ["dnstap", *where, "-w", output, *([format_option] if format_option else [])]
    return _tool(words, output, path, port, space)


def fstrm_capture(output: Path, path: Optional[Path] = None, address: str = "", port: int = 0,
                  space: Optional[Namespace] = None) -> Tool:
    where = ["-u", path] if path else ["-a", address, "-p", port]
    words = ["fstrm_capture", "-t", frames.CONTENT_TYPE.decode(), *where, "-w", output]
    return _tool(words, output, path, port, space)


def read_with(*words) -> str:
    """What a reader of files prints; it must succeed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=60,
                          check=False)
    assert done.returncode == 0, f"{words} ends with {done.returncode}: {done.stderr[-1000:]}"
    return done.stdout.decode("utf-8", "replace")
