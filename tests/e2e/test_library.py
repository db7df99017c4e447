# SPDX-License-Identifier: BSD-2-Clause
"""libdnstap-emit: a small program that links with it, and collectors that read what it emits."""

import subprocess
import time
from pathlib import Path

import pytest

from tap import REPOSITORY, binary

LIBRARIES = ["-lprotobuf-c", "-lfstrm", "-lcares", "-lssl", "-lcrypto", "-lpthread"]
SOURCE = REPOSITORY / "tests" / "e2e" / "emit_example.c"


@pytest.fixture(scope="module")
def example(session_folder) -> Path:
    """The example, compiled against the header and library that `make lib` gives and no more."""
    build = Path(binary()).parent
    subprocess.run(["make", "-s", "-C", str(REPOSITORY), f"BUILD={build}", "lib"], check=True,
                   stdout=subprocess.DEVNULL)
    program = session_folder / "emit_example"
    subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                    f"-I{build}", str(SOURCE), str(build / "libdnstap-emit.a"), *LIBRARIES,
                    "-o", str(program)], check=True)
    return program


def test_golang_dnstap_reads_it(example, folder):
    collector = subprocess.Popen(["dnstap", "-q", "-u", str(folder / "s")],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        while not (folder / "s").exists():
            time.sleep(0.01)
        subprocess.run([str(example), f"unix://{folder}/s", "full"], check=True, timeout=60)
        lines = [collector.stdout.readline().split(" ", 1)[1] for _ in range(2)]
    finally:
        collector.terminate()
        collector.wait()
    assert lines == ['CQ 198.51.100.1 UDP 29b "example.org." IN A\n',
                     'CR 198.51.100.1 UDP 29b "example.org." IN A\n']


def test_file_and_lines(example, folder):
    done = subprocess.run([str(example), f"file://{folder}/x", "full", "-", "full"], check=True,
                          timeout=60, stdout=subprocess.PIPE, text=True)
    read = subprocess.run(["dnstap", "-q", "-r", str(folder / "x")], check=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert done.stdout == read.stdout
    assert len(read.stdout.splitlines()) == 2


def test_nobody_listens(example, folder):
    """It ends within its deadline and knows that nothing arrived."""
    began = time.monotonic()
    done = subprocess.run([str(example), f"unix://{folder}/nobody", "full"], timeout=60)
    assert done.returncode == 1
    assert time.monotonic() - began < 10


def test_bad_words(example):
    for words in (["full"], [], ["http://x"], ["-", "-"]):
        done = subprocess.run([str(example), *words], timeout=60, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def test_only_its_own_names_are_visible(example):
    library = Path(binary()).parent / "libdnstap-emit.a"
    names = subprocess.run(["nm", "--defined-only", "--extern-only", str(library)], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    defined = [line.split()[-1] for line in names.splitlines() if len(line.split()) == 3]
    assert defined and all(name.startswith("dnstap_emit_") for name in defined)
