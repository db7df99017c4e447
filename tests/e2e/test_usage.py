# SPDX-License-Identifier: BSD-2-Clause
"""Bad input: one clear line on standard error, status 2 for usage and 1 at run time."""

import gzip
import os
import subprocess
from pathlib import Path

import pytest

import frames
from tap import COUNTED, NOBODY, REPOSITORY, binary, said_lines, unprivileged

DATA = REPOSITORY / "tests" / "data"
LIMIT = 20
PROTECTED = Path("/proc/sys/fs/protected_regular")
PREVIOUS = frames.control(frames.START, frames.CONTENT_TYPE) + frames.control(frames.STOP)

# the words on the command line, and what the line must name
USAGE = (
    (["--no-such-option", "-"], "no-such-option"),
    (["-Q", "-"], "Q"),
    ([], "sink"),
    (["udp://127.0.0.1:6000"], "udp"),
    (["tcp://:6000"], "tcp://:6000"),
    (["tcp://127.0.0.1:0"], "tcp://127.0.0.1:0"),
    (["tcp://127.0.0.1:70000"], "70000"),
    (["unix://" + "/long" * 40], "long"),
    (["--port", "0", "-"], "port"),
    (["--port", "70000", "-"], "70000"),
    (["--port", "53x", "-"], "53x"),
    (["--port", "", "-"], "port"),
    (["--port"], "port"),
    (["full", "-"], "full"),
    (["-", "full", "full"], "full"),
    (["/tmp/a", "/tmp/b", "/tmp/a", "full"], "twice"),
    (["-r", "x.pcap", "-i", "lo", "-"], "-r"),
    (["--ring", "round", "-"], "round"),
    (["--ring-size", "many", "-"], "many"),
    (["--role", "king", "-"], "king"),
    (["--format", "xml", "-"], "xml"),
    (["--query-timeout", "0", "-"], "query-timeout"),
    (["--max-queries", "-1", "-"], "max-queries"),
    (["-", "ful"], "did you mean full?"),
    (["-", "Full"], "did you mean full?"),
    (["dnstap.sock"], "./dnstap.sock"),
    (["tcp://::1:6000"], "tcp://[::1]:6000"),
    (["localhost:6000", "full"], "did you mean tcp://localhost:6000?"),
    (["/tmp/a", "unix:///tmp/a"], "twice"),
    (["--with-query", "-"], "full"),
    (["--format", "json", "/tmp/a"], "--format"),
    (["--tls-ca", "/etc/ssl/certs", "tcp://127.0.0.1"], "--tls-ca"),
    (["--tls-no-verify", "-"], "--tls-no-verify"),
    (["--spool", "/tmp/spool", "-"], "--spool"),
    (["--local", "10.0.0.1/8", "-"], "10.0.0.0/8"),
    (["-r", "x.pcap", "-r", "y.pcap", "-"], "twice"),
    (["--ring-size", "3M", "-"], "3M"),
    (["-i", "", "-"], "''"),
    (["--check-config"], "--config"),
    (["--config", "/no/such/file", "-"], "/no/such/file"),
)


def run(*words, nobody=False, capabilities=(), program=None):
    command = [str(word) for word in (program or binary(), *words)]
    return subprocess.run(unprivileged(command, capabilities) if nobody else command,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                          check=False)


def check_one_line(done, status, named):
    """One line that names what is wrong; nothing on standard output."""
    lines = said_lines(done.stderr)
    assert done.returncode == status, f"status {done.returncode}: {done.stderr}"
    assert len(lines) == 1, done.stderr
    assert named in lines[0], lines[0]
    assert lines[0].startswith("dnstap-bpf: "), lines[0]
    assert done.stdout == ""


@pytest.mark.parametrize("words, named", USAGE, ids=[" ".join(words)[:40] or "nothing"
                                                     for words, _ in USAGE])
def test_usage(words, named):
    check_one_line(run(*words), 2, named)


def test_usage_touches_no_file(folder):
    """A command line that is wrong at its end leaves the file at its beginning alone."""
    path = folder / "x.fstrm"
    assert run(f"file://{path}", "full", "udp://nowhere").returncode == 2
    assert not path.exists()


def check_untouched(path):
    """No file half-written: none, what was there before, or a whole one."""
    if path.exists():
        frames.read_file(path)


@pytest.mark.parametrize("before", (False, True), ids=("new file", "file that exists"))
@pytest.mark.parametrize("words, named", (
    (["-r", "/no/such/capture.pcap"], "/no/such/capture.pcap"),
    (["-r", "/etc/passwd"], "/etc/passwd"),
    (["-r", "/dev/null"], "/dev/null"),
    (["-r", "/"], "/"),
))
def test_unreadable_capture(folder, words, named, before):
    path = folder / "x.fstrm"
    if before:
        path.write_bytes(PREVIOUS)
    check_one_line(run(*words, f"file://{path}", "full"), 1, named)
    check_untouched(path)


@pytest.mark.parametrize("made, says", (
    (b"", "it is empty"), (gzip.compress(b"any"), "if it is compressed: zcat FILE |")),
    ids=("empty", "compressed"))
def test_capture_that_is_none(folder, made, says):
    """Said and nothing more: that no packet was on port 53 is no news then."""
    path = folder / "x.pcap"
    path.write_bytes(made)
    check_one_line(run("-r", path, "-"), 1, says)


def closed(*words, numbers):
    """The tap's status when it is started without these standard descriptors."""
    command = 'exec "$@"' + "".join(f" {number}>&-" for number in numbers)
    return subprocess.run(["sh", "-c", command, "sh", str(binary()), *map(str, words)],
                          timeout=LIMIT, capture_output=True, check=False)


def test_standard_descriptors_that_are_closed(folder):
    """Nothing that is opened takes their place: a line of the log in a sink would be the end of it."""
    path = folder / "x.fstrm"
    done = closed("-r", DATA / "talk-raw.pcap", f"file://{path}", "full", numbers=(0, 1, 2))
    assert done.returncode == 0
    assert len(frames.read_file(path)) == 42
    done = closed("-r", DATA / "talk-raw.pcap", "-", numbers=(1,))
    assert done.returncode == 1 and b"error: sink -: cannot be written" in done.stderr


@pytest.mark.needs("root", "bpf")
def test_interface_that_does_not_exist(folder):
    path = folder / "x.fstrm"
    check_one_line(run("-i", "nosuch0", f"file://{path}", "full"), 1, "nosuch0")
    check_untouched(path)


@pytest.mark.parametrize("target", ("/no/such/folder/x.fstrm", "/", "/dev/full"))
def test_file_that_cannot_be_written(target):
    """/dev/full opens and takes nothing: that too must be said and not look like success."""
    done = run("-r", DATA / "talk-raw.pcap", f"file://{target}", "full")
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stderr.splitlines()
            if line.startswith("dnstap-bpf: ") and target in line]
    assert len(said) == 1, done.stderr


@pytest.mark.needs("root")
def test_file_of_another_user(folder):
    """Permission denied would puzzle root: the kernel protects files in folders like /tmp."""
    if PROTECTED.read_text() == "0\n":
        pytest.skip("fs.protected_regular is off")
    folder.chmod(0o1777)
    path = folder / "x.fstrm"
    path.touch()
    os.chown(path, NOBODY, NOBODY)
    done = run("-r", DATA / "talk-raw.pcap", f"file://{path}")
    check_one_line(done, 1, f"{path}: permission denied; another user's file")


def test_interface_is_looked_for_before_privileges(readable_program):
    """A wrong name is told to a user who may not tap at all, too."""
    done = run("-i", "nosuch0", "-", program=readable_program, nobody=True)
    check_one_line(done, 1, "nosuch0")


@pytest.mark.needs("root")
def test_user_that_nobody_may_become(readable_program):
    """Only root can become another user."""
    done = run("-r", DATA / "talk-raw.pcap", "--user", "daemon", "-", program=readable_program,
               nobody=True)
    check_one_line(done, 1, "--user daemon: only root can become another user")


@pytest.mark.parametrize("target", ("/etc/passwd", "/"))
def test_path_that_is_no_socket(target):
    """It would be tried again for ever."""
    check_one_line(run("-r", DATA / "talk-raw.pcap", target), 1,
                   f"{target}: it exists and is not a Unix socket")


def test_tls_file_that_cannot_be_read(folder):
    """The CA's file is named, not the collector."""
    done = run("-r", DATA / "talk-raw.pcap", "tls://localhost", "--tls-ca", folder / "no.pem")
    check_one_line(done, 1, f"{folder}/no.pem: No such file")
    assert "write to" not in done.stderr


def test_ledger_that_is_a_folder(folder):
    """Refused before anything is done, not at the end."""
    done = run("-r", DATA / "talk-raw.pcap", f"file://{folder}/x.fstrm", "--ledger", folder)
    check_one_line(done, 1, f"{folder}: Is a directory")
    assert not (folder / "x.fstrm").exists()


@pytest.mark.parametrize("target, status", (("/dev/null", 0), ("/dev/full", 1)))
def test_ledger_into_a_device(folder, target, status):
    """It is written to as it is, not replaced; what does not fit is said."""
    done = run("-r", DATA / "talk-raw.pcap", f"file://{folder}/x.fstrm", "--ledger", target)
    assert done.returncode == status, done.stderr
    assert (f"cannot write the ledger to {target}: No space left" in done.stderr) == bool(status)
    assert Path(target).is_char_device()


def test_replay_without_a_match(folder):
    """What may be wrong is said; it is no failure."""
    done = run("-r", DATA / "talk-raw.pcap", "--port", 5353, f"file://{folder}/x.fstrm")
    assert done.returncode == 0, done.stderr
    assert "is on port 5353: is DNS on another one there (--port), encrypted, or inside" in done.stderr
    assert "is on port" not in run("-r", DATA / "talk-raw.pcap", "-").stderr


def configuration(folder, *lines):
    path = folder / "dnstap-bpf.yaml"
    path.write_text("\n".join([*lines, ""]))
    return path


def test_check_config(folder):
    """Every fault with file, line and key, and status 2; one line and 0 when there is none."""
    path = configuration(folder, "port: 0", "sinks:", "  - udp://h", "odd: 1", "tls-ca: /x")
    done = run("--check-config", "--config", path)
    assert done.returncode == 2 and done.stdout == ""
    said = [line.removeprefix("dnstap-bpf: error: ") for line in done.stderr.splitlines()]
    assert [line.split(": ")[:2] for line in said] == [
        [f"{path}:1", "port"], [f"{path}:3", "sinks"], [f"{path}:4", "odd"]]
    path = configuration(folder, "port: 5353", "tls-ca: /x", "sinks: /tmp/a")
    done = run("--check-config", "--config", path)
    check_one_line(done, 2, f"{path}:2: tls-ca: does not apply")
    path = configuration(folder, "port: 5353", "sinks: /tmp/a")
    done = run("--check-config", "--config", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{path}: no fault found"]


def said_places(done):
    """File and line, and key, of each fault."""
    lines = [line.removeprefix("dnstap-bpf: error: ") for line in said_lines(done.stderr)]
    assert done.returncode == 2 and done.stdout == "", done.stdout
    return [line.split(": ")[:2] for line in lines]


def test_check_config_looks_at_this_host(folder, certificates):
    """What the tap would not start with, each at its place; and nothing is made of what is named."""
    gone = folder / "gone"
    path = configuration(
        folder, "user: nosuchuser", f"ledger: {gone}/l", f"tls-ca: {gone}.pem",
        f"tls-cert: {certificates.path('client.pem')}", f"tls-key: {gone}.key", "sinks:",
        "  - tls://localhost", f"  - tls://127.0.0.1?tls-ca={gone}.own",
        f"  - file://{gone}/x.fstrm", f"  - file://{folder}/%Y.fstrm",
        f"  - unix:///s?spool={gone}/spool/of-this", f"  - unix:///t?spool={folder}/%m",
        f"spool: {path_of_file(folder)}")
    assert sorted(said_places(run("--check-config", "--config", path))) == sorted([
        [f"{path}:{line}", key] for line, key in (
            (1, "user"), (2, "ledger"), (3, "tls-ca"), (5, "tls-key"), (8, "sinks"), (9, "sinks"),
            (11, "sinks"), (13, "spool")) if not (COUNTED and key == "user")])
    path = configuration(folder, "user: nobody", f"ledger: {folder}/l", f"spool: {folder}/spool",
                         f"tls-ca: {certificates.path('ca.pem')}",
                         f"tls-cert: {certificates.path('client.pem')}",
                         f"tls-key: {certificates.path('client.key')}",
                         "sinks:", "  - tls://localhost", f"  - file://{folder}/%Y.fstrm")
    before = sorted(folder.iterdir())
    done = run("--check-config", "--config", path)
    assert (done.returncode, done.stderr) == (0, "") and sorted(folder.iterdir()) == before
    check_one_line(run("--check-config", "--config", path, "--ledger", f"{gone}/l"), 2,
                   f"--ledger {gone}/l: No such file")


def path_of_file(folder):
    """A file where a folder is wanted."""
    (folder / "file").touch()
    return folder / "file"


def test_check_config_reads_certificates(folder, certificates):
    """What OpenSSL cannot use, with the setting that names it; what fits together is fine."""
    ca, cert, key = (certificates.path(name) for name in ("ca.pem", "client.pem", "client.key"))
    other, text, both = certificates.path("good.key"), folder / "text", folder / "both.pem"
    text.write_text("no certificate\n")
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    os.mkfifo(folder / "pipe")
    locked = folder / "locked.key"
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:x", "-out", locked],
                   check=True, timeout=LIMIT)
    path = configuration(
        folder, f"tls-cert: {cert}", f"tls-key: {other}", "sinks:", "  - tls://a", "  - tls://b",
        f"  - tls://c?tls-cert={both}&tls-ca={text}",
        "  - url: tls://d", f"    tls-cert: {cert}", f"  - tls://e?tls-key={key}&tls-ca={ca}",
        f"  - tls://f?tls-cert={key}&tls-key={key}", f"  - tls://g?tls-key={folder}/pipe",
        f"  - tls://h?tls-key={locked}")
    done = run("--check-config", "--config", path)
    assert said_places(done) == [[f"{path}:{line}", key] for line, key in (
        (2, "tls-key"), (6, "sinks"), (7, "sinks"), (10, "sinks"), (11, "sinks"),
        (12, "sinks"))]
    lines = done.stderr.splitlines()
    assert f"the key in {other}: key values mismatch" in lines[0]
    for line, named in zip(lines[1:], (f"'tls://c?tls-cert={both}&tls-ca={text}': tls-ca: ",
                                       f"tls-cert={cert}': tls-cert: cannot use the key in {cert}",
                                       f"the certificate in {key}: there is none in PEM format",
                                       "tls-key: cannot use the key in")):
        assert named in line
    assert lines[4].endswith("not a file") and "it has a password" in lines[5]


def test_config(folder):
    """The file's sinks and options; the command line wins; one line for a fault."""
    path = configuration(folder, "port: 5353", f"sinks: file://{folder}/x.fstrm full",
                         f"ledger: {folder}/ledger.json")
    capture = DATA / "talk-raw.pcap"
    done = run("-r", capture, "--config", path)
    assert done.returncode == 0 and frames.read_file(folder / "x.fstrm") == []
    assert (folder / "ledger.json").exists()
    done = run("-r", capture, "--config", path, "--port", 53, f"file://{folder}/y.fstrm")
    assert done.returncode == 0 and len(frames.read_file(folder / "y.fstrm")) == 42
    assert frames.read_file(folder / "x.fstrm") == []
    path = configuration(folder, "role: king", f"sinks: file://{folder}/z.fstrm full")
    check_one_line(run("-r", capture, "--config", path), 2, f"{path}:1: role: king: give one of")
    assert not (folder / "z.fstrm").exists()


@pytest.mark.needs("root", "bpf")
@pytest.mark.parametrize("capabilities, named", (
    ((), "CAP_BPF"), (("bpf", "perfmon"), "CAP_NET_RAW"), (("net_raw",), "CAP_BPF")),
    ids=("none", "not CAP_NET_RAW", "not CAP_BPF"))
def test_no_privilege(folder, readable_program, capabilities, named):
    """Live as an ordinary user: which capability is missing, and no file is made."""
    path = folder / "x.fstrm"
    done = run("-i", "lo", "--ring", "bpf", f"file://{path}", "full", program=readable_program,
               capabilities=capabilities, nobody=True)
    check_one_line(done, 1, named)
    check_untouched(path)


def test_help_and_version():
    """Both to standard output, status 0; the usage text fits a screen."""
    usage = run("--help")
    assert usage.returncode == run("-h").returncode == 0
    assert 5 < len(usage.stdout.splitlines()) <= 40 and usage.stderr == ""
    version = run("--version")
    assert version.returncode == run("-V").returncode == 0
    assert version.stdout.startswith("dnstap-bpf ") and len(version.stdout.splitlines()) == 1


def test_long_option_of_every_short_one():
    usage = run("--help").stdout
    for word in ("-i", "-r", "-V", "-h", "--port", "--ring", "--ring-size", "--role", "--identity",
                 "--query-timeout", "--max-queries", "--format", "--ledger", "full"):
        assert word in usage, word
