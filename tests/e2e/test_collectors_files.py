# SPDX-License-Identifier: BSD-2-Clause
"""Files: rotated by size and time, opened again on SIGHUP, and whole whatever happens."""

import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

import captures
from collectors import fstrm_capture, wait_until
from frames import read_file, whole_part
from scripted import Load
from tap import NOBODY, REPOSITORY, Tap, binary, replay, stop_balanced

TALK = REPOSITORY / "tests" / "data" / "talk-ethernet.pcap"
LIVE = pytest.mark.needs("root", "namespaces", "bpf")


@pytest.fixture(scope="module")
def capture(session_folder):
    """20,000 messages, two million bytes of frames and more."""
    return captures.write_large(session_folder / "files.pcap", 10000)


def finished(result):
    """(name, messages) of each file that the log says is finished."""
    return [(name, int(count)) for name, count in re.findall(
        r"finished (\S+): (\d+) messages", result.stderr)]


def wait_written(running, count):
    """Until that many messages are in files."""
    def written():
        running.process.send_signal(signal.SIGUSR1)
        time.sleep(0.05)
        found = re.findall(r"(\d+)  (?:written|confirmed) ", running.stderr)
        return len(found) >= 2 and int(found[-1]) + int(found[-2]) >= count
    wait_until(f"{count} messages in files", written)


def test_rotation_by_size(folder, capture):
    """Every message is in one of the files, each is whole, and the log names them all."""
    pattern = folder / "tap-%Y%m%d.fstrm"
    result = replay(folder, capture, f"file://{pattern}?rotate-size=256K", "full")
    files = {str(path): path for path in folder.glob("tap-2*.fstrm*")}
    done = finished(result)
    assert len(done) == len(files) > 5 and dict(done).keys() == files.keys()
    for name, count in done:
        assert len(read_file(files[name])) == count
        assert files[name].stat().st_size < (256 + 66) * 1024
    assert [files[name].stat().st_size >= 256 * 1024 for name, _ in done[:-1]] == [True] * (
        len(done) - 1)
    assert sum(count for _, count in done) == 20000 == result.sinks[0]["confirmed"]
    # in order, over all files
    frames = [frame for name, _ in done for frame in read_file(files[name])]
    assert frames == read_file(replay_whole(folder, capture))


def replay_whole(folder, capture):
    replay(folder, capture, f"file://{folder}/whole", "full")
    return folder / "whole"


def test_names_are_never_reused(folder, capture):
    """A second run leaves the first one's files as they are, also without a time in the name."""
    for _ in range(2):
        replay(folder, capture, f"file://{folder}/x?rotate-size=1M", "full")
    names = sorted(path.name for path in folder.glob("x*"))
    assert names[:2] == ["x", "x.1"] and len(names) >= 4
    assert sum(len(read_file(folder / name)) for name in names) == 40000


@LIVE
def test_rotation_by_time(space, tap, folder):
    """At each second; without messages no empty files are left."""
    running = tap(f"file://{folder}/t-%H%M%S?rotate-interval=1s", "full", space=space)
    running.wait_watching()
    with Load(space, 200) as load:
        first = int(time.time())
        wait_until("three files are done", lambda: running.stderr.count("finished ") >= 3)
        sent = load.stop()
        running.wait_seen(sent)
        seconds = int(time.time()) - first + 1
    time.sleep(2.2)
    result = stop_balanced(running)
    done = finished(result)
    assert 3 <= len(done) <= seconds and sum(count for _, count in done) == sent
    assert all(re.search(r"/t-\d{6}$", name) and count for name, count in done), done
    assert len(list(folder.glob("t-*"))) == len(done)


@LIVE
def test_hangup_after_a_rename(space, tap, folder):
    """As logrotate does it: the old file is whole under its new name, the next begins at once."""
    path, moved = folder / "log", folder / "log.1"
    running = tap(f"file://{path}", "full", space=space).wait_watching()
    with Load(space, 500) as load:
        wait_until("something is written", lambda: path.stat().st_size > 10000)
        running.process.send_signal(signal.SIGHUP)  # not moved: nothing is lost, nothing emptied
        wait_until("more is written", lambda: path.stat().st_size > 30000)
        path.rename(moved)
        running.process.send_signal(signal.SIGHUP)
        wait_until("the next file", lambda: path.exists() and path.stat().st_size > 10000)
        sent = load.stop()
    result = stop_balanced(running)
    assert len(read_file(moved)) > 100 and len(read_file(path)) > 50
    assert len(read_file(moved)) + len(read_file(path)) == sent == result.sinks[0]["confirmed"]
    assert f"finished the file: {len(read_file(moved))} messages" in result.stderr


def test_hangup_loses_nothing_of_a_replay(folder, capture):
    """A replay waits for room; a signal that is no end must not make it lose instead."""
    with Tap(folder, "-r", capture, f"file://{folder}/r?rotate-size=64K&queue=128K", "full") as tap:
        wait_until("the first file", (folder / "r").exists)  # then signals are taken
        for number in (signal.SIGHUP, signal.SIGUSR1) * 5:
            if tap.process.poll() is None:
                tap.process.send_signal(number)
            time.sleep(0.004)
        result = tap.wait()
    assert result.status == 0, result.stderr
    assert result.sinks[0]["confirmed"] == 20000


@LIVE
@pytest.mark.parametrize("what", ("lines", "file", "ledger"))
def test_full_at_the_end(space, tap, folder, what):
    """What could not be written makes the status 1, and the line says that there is no room."""
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False,
                      capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    words = {"lines": ["-"], "file": [f"file://{disk}/f", "full"],
             "ledger": [f"unix://{folder}/s", "--ledger", disk / "ledger"]}[what]
    try:
        if what == "lines":
            with open(folder / "err", "wb") as err, open("/dev/full", "wb") as full:
                process = subprocess.Popen(space.command(binary(), *words), stdout=full, stderr=err)
            wait_until("it watches", lambda: b"watching" in (folder / "err").read_bytes())
            with Load(space, 1000):
                assert process.wait(60) == 1
            assert b"No space left" in (folder / "err").read_bytes()
            return
        running = tap(*words, space=space).wait_watching()
        with Load(space, 3000) as load:
            wait_until("more than has room", lambda: load.sent > 1500)
        if what == "ledger":
            (disk / "ballast").write_bytes(b"x" * 64 * 1024)
        result = running.stop()
        assert result.status == 1, result.stderr
        assert what != "ledger" or f"{disk}/ledger: No space left" in result.stderr
    finally:
        subprocess.run(["umount", disk], check=False)


@LIVE
def test_full_disk(space, tap, folder):
    """Told and counted; every file is valid up to its last whole frame; with room it goes on."""
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=False,
                      capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        (disk / "ballast").write_bytes(b"x" * 700 * 1024)
        running = tap(f"file://{disk}/f?rotate-size=64K", "full", space=space).wait_watching()
        with Load(space, 5000) as load:
            wait_until("the disk is full", lambda: "no room on the disk" in running.stderr)
            sent = load.stop()
        in_files = sum(len(read_file(path, False)) for path in disk.glob("f*") if path.stat().st_size)
        assert 0 < in_files < sent
        (disk / "ballast").unlink()
        wait_written(running, sent)
        result = stop_balanced(running)
        files = sorted(disk.glob("f*"))
        assert sum(len(read_file(path, False)) for path in files) == sent
        sink = result.sinks[0]
        assert sink["disk_full"] > 0 and sink["lost_queue_full"] == 0
        assert sink["confirmed"] + sink["unconfirmed"] == sent
        assert running.stderr.count("no room on the disk") == 1
    finally:
        subprocess.run(["umount", disk], check=False)


def check_readers(path, stream):
    """What each reader takes of a file that is cut off: every whole message. Returns how many."""
    path.write_bytes(whole_part(stream))
    count = len(read_file(path, False))
    path.write_bytes(stream)
    for words in (("dnstap", "-q", "-r"), ("dnstap-ldns", "-q", "-r"), ("dnstap-read",)):
        read = subprocess.run([*words, path], capture_output=True, check=False, timeout=30)
        assert len(read.stdout.splitlines()) == count, (words, count, read.stderr[-300:])
    return count


@LIVE
def test_kill(space, tap, folder):
    """kill -9 leaves a file that every reader takes up to its last whole frame."""
    running = tap(f"file://{folder}/k", "full", space=space).wait_watching()
    with Load(space, 3000) as load:
        wait_until("something is written", lambda: (folder / "k").stat().st_size > 50000)
        running.process.kill()
        running.process.wait(10)
        sent = load.stop()
    assert 0 < check_readers(folder / "k", (folder / "k").read_bytes()) <= sent


def test_cut_anywhere(folder, capture):
    """So does any other end; and what fstrm_capture writes is the same."""
    stream = replay_whole(folder, capture).read_bytes()[:40000]
    counts = [check_readers(folder / "cut", stream[:end]) for end in range(300, 40000, 3989)]
    assert 0 < counts[0] and counts == sorted(set(counts))
    with fstrm_capture(folder / "theirs", folder / "socket"):
        replay(folder, capture, f"unix://{folder}/socket", "full")
    assert read_file(folder / "theirs") == read_file(folder / "whole")


@LIVE
def test_one_writer(space, tap, folder, capture):
    """A file that a tap writes to is nobody else's, also after a rotation; nothing is emptied."""
    path, moved, link = folder / "one", folder / "one.1", folder / "link"
    link.symlink_to(path)
    running = tap(f"file://{path}", "full", space=space).wait_watching()
    with Load(space, 1000) as load:
        for rotated in (False, True):
            wait_until("messages", lambda: path.exists() and path.stat().st_size > 4096)
            for words in (["-r", capture, f"file://{path}"], ["-r", capture, f"file://{link}"],
                          [f"file://{path}"]):
                result = tap(*words, "full", space=space).wait()
                assert result.status == 1, result.stderr
                assert f"{words[-1][7:]}: another tap" in result.stderr
            if not rotated:
                path.rename(moved)
                running.process.send_signal(signal.SIGHUP)
        sent = load.stop()
    result = stop_balanced(running)
    assert len(read_file(moved)) + len(read_file(path)) == sent == result.sinks[0]["confirmed"]
    replay(folder, capture, f"file://{path}", "full")


def test_two_sinks_of_one_tap(folder, capture):
    """One file by two names is named twice, which cannot be seen before it is opened."""
    result = replay(folder, capture, f"file://{folder}/x", f"file://{folder}/./x", status=1)
    assert "/./x: another tap, or another sink of this one, writes to it" in result.stderr


@LIVE
def test_folder_vanishes(space, tap, folder):
    """Told once and counted; the others go on; when the folder is there again nothing is lost."""
    inner, away, other = folder / "inner", folder / "away", folder / "other"
    inner.mkdir()
    running = tap(f"file://{inner}/f", "full", f"file://{other}", "full", space=space)
    running.wait_watching()
    with Load(space, 1000) as load:
        wait_until("messages", lambda: (inner / "f").stat().st_size > 4096)
        inner.rename(away)
        running.process.send_signal(signal.SIGHUP)
        wait_until("its line", lambda: "cannot be opened: No such file" in running.stderr)
        size = other.stat().st_size
        wait_until("messages of the other", lambda: other.stat().st_size > size)
        inner.mkdir()
        running.process.send_signal(signal.SIGHUP)
        wait_until("the folder", lambda: (inner / "f").exists())
        sent = load.stop()
    result = stop_balanced(running)
    assert running.stderr.count("cannot be opened") == 1 == running.stderr.count("written again")
    sink = result.sinks[0]
    assert sink["failed_connect"] > 0 and sink["confirmed"] == sent
    assert len(read_file(away / "f")) + len(read_file(inner / "f")) == sent
    assert len(read_file(other)) == sent


def refused(folder, path, says):
    """A replay into that path ends at once with one line."""
    begun = time.monotonic()
    result = replay(folder, TALK, f"file://{path}", "full", status=1)
    lines = [line for line in result.lines if "error" in line]
    assert len(lines) == 1 and str(path) in lines[0] and says in lines[0], result.stderr
    assert time.monotonic() - begun < 5


def test_what_is_no_file(folder):
    """One clear line each, and nothing hangs."""
    (folder / "folder").mkdir()
    refused(folder, folder / "folder", "Is a directory")
    refused(folder, folder / "nowhere" / "x", "No such file or directory")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        refused(folder, folder / "socket", "it is a socket: write unix://")
    assert replay(folder, TALK, "file:///dev/null", "full").sinks[0]["unconfirmed"] == 0


@pytest.mark.needs("root")
def test_traps(folder):
    """What others could put in a folder that all may write to, and a disk."""
    shared, victim = folder / "shared", folder / "victim"
    shared.mkdir()
    shared.chmod(0o1777)
    folder.chmod(0o755)
    victim.write_text("precious")
    for name, target in (("link", victim), ("dangling", folder / "made")):
        (shared / name).symlink_to(target)
        os.chown(shared / name, NOBODY, NOBODY, follow_symlinks=False)
        refused(folder, shared / name, "it is a symbolic link")
    assert victim.read_text() == "precious" and not (folder / "made").exists()
    os.mknod(folder / "disk", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    refused(folder, folder / "disk", "it is a block device")
    os.chown(shared, 1, 1)  # neither ours nor the file's
    (shared / "file").write_text("theirs")
    os.chown(shared / "file", NOBODY, NOBODY)
    if Path("/proc/sys/fs/protected_regular").read_text() != "0\n":
        refused(folder, shared / "file", "another user's file")
        assert (shared / "file").read_text() == "theirs"


@LIVE
def test_pipe_without_a_reader(space, tap, folder):
    """It is waited for, and the end does not."""
    os.mkfifo(folder / "pipe")
    running = tap(f"file://{folder}/pipe", "full", space=space).wait_watching()
    wait_until("its line", lambda: "nobody reads it" in running.stderr)
    begun = time.monotonic()
    stop_balanced(running)
    assert time.monotonic() - begun < 3.6
