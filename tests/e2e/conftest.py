# SPDX-License-Identifier: BSD-2-Clause
"""The fixtures of the end-to-end tests: a temporary folder, a network with servers, the tap."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # the checkout belongs to the user who called sudo

import pytest  # noqa: E402

import lab as lab_module  # noqa: E402
import large  # noqa: E402
import netns  # noqa: E402
import probes  # noqa: E402
from certificates import Certificates  # noqa: E402
from required import Required  # noqa: E402
from tap import PATIENCE, Tap, binary  # noqa: E402

TEST_SECONDS = 300  # what a test waits for comes much sooner, or never
GUEST_FACTOR = 5  # an emulated machine's time, beside another's (scripts/kernels)


def pytest_configure(config) -> None:
    os.environ["TZ"] = "UTC"
    config.pluginmanager.register(Required(config), "required-tests")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item) -> None:
    """Skips a test whose probe fails, before anything is made for it."""
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            reason = probes.ALL[name]()
            if reason:
                item.config.pluginmanager.get_plugin("required-tests").probe_failed(
                    item.nodeid, reason)
                pytest.skip(reason)


def _too_long(*_) -> None:
    raise TimeoutError("the test took more than its time")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A bound on every test, whatever it waits for."""
    mark = item.get_closest_marker("seconds")
    before = signal.signal(signal.SIGALRM, _too_long)
    seconds = mark.args[0] if mark else TEST_SECONDS
    signal.alarm(seconds * PATIENCE * (1 if probes.guest() else GUEST_FACTOR))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def session_folder():
    """A folder that every user can read, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="dnstap-bpf-e2e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def folder(session_folder):
    """A folder for one test, in which any user may write."""
    path = Path(tempfile.mkdtemp(dir=session_folder))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def readable_program(session_folder):
    """A copy of the tap that any user can execute, wherever the checkout lies."""
    copy = session_folder / "dnstap-bpf"
    shutil.copy(binary(), copy)
    copy.chmod(0o755)
    return copy


@pytest.fixture
def tap(folder):
    """tap(*words, space=...) starts a tap; all that were started are ended with the test."""
    started = []

    def start(*words, **options) -> Tap:
        started.append(Tap(folder, *words, **options))
        return started[-1]

    yield start
    for one in started:
        one.__exit__()


@pytest.fixture
def spaces():
    """spaces() makes a namespace; all are removed with the test."""
    made = []

    def make() -> netns.Namespace:
        made.append(netns.Namespace())
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def space():
    """One namespace for all tests of a file."""
    netns.remove_leftovers()
    with netns.Namespace() as made:
        yield made


@pytest.fixture(scope="session")
def certificates(session_folder):
    return Certificates(session_folder / "certificates")


@pytest.fixture(scope="session")
def lab(session_folder):
    """Two joined namespaces and the three servers; see lab.py."""
    netns.remove_leftovers()
    made = lab_module.Lab(session_folder / "lab")
    yield made
    made.close()


@pytest.fixture(scope="session")
def large_lab(session_folder):
    """Two joined namespaces and servers with large answers; see large.py."""
    netns.remove_leftovers()
    made = large.LargeLab(session_folder / "large")
    yield made
    made.close()
