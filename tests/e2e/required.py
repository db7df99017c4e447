# SPDX-License-Identifier: BSD-2-Clause
"""tests/required: the tests that must have run, and what came of them.

Each line is a test id, from the repository's top, or a pattern of them (* and ?; brackets stand
for themselves). A required test may be skipped only because a probe failed; the run says so at
its end. Anything else that keeps it from passing fails the run.
"""

import re
from pathlib import Path
from typing import Dict, List

import pytest

from tap import REPOSITORY


def read_patterns() -> List[str]:
    lines = (REPOSITORY / "tests" / "required").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def matches(pattern: str, test_id: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, test_id) is not None


class Required:
    """The pytest plugin that keeps the list."""

    def __init__(self, config) -> None:
        self.whole_run = self.is_whole_run(config)
        self.outcomes: Dict[str, str] = {}
        self.reasons: Dict[str, str] = {}
        self.ids: Dict[str, str] = {}

    @staticmethod
    def is_whole_run(config) -> bool:
        """Whether all of tests/e2e was asked for: a part of it cannot miss anything."""
        option = config.option
        chosen = [word for word in config.args if "::" in word or not Path(word).is_dir()]
        return not (chosen or option.keyword or option.markexpr or option.collectonly
                    or option.ignore_glob)

    def pytest_itemcollected(self, item) -> None:
        path = item.path.relative_to(REPOSITORY)
        self.ids[item.nodeid] = f"{path}::{item.nodeid.split('::', 1)[1]}"

    def probe_failed(self, nodeid: str, reason: str) -> None:
        self.reasons[self.ids[nodeid]] = reason

    def pytest_runtest_logreport(self, report) -> None:
        test_id = self.ids[report.nodeid]
        if report.when == "call" or report.outcome != "passed":
            if self.outcomes.get(test_id) != "failed":
                self.outcomes[test_id] = report.outcome

    def problems(self) -> List[str]:
        """One line for each required test that neither passed nor had a reason."""
        found = []
        for pattern in read_patterns():
            ids = [test_id for test_id in self.ids.values() if matches(pattern, test_id)]
            if not ids:
                found.append(f"{pattern}: there is no such test")
            for test_id in ids:
                outcome = self.outcomes.get(test_id, "not run")
                if outcome != "passed" and test_id not in self.reasons:
                    found.append(f"{test_id}: {outcome}")
        return found

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session) -> None:
        if self.whole_run and self.problems() and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter) -> None:
        if not self.whole_run:
            return
        terminalreporter.section("required tests")
        for reason in sorted(set(self.reasons.values())):
            count = list(self.reasons.values()).count(reason)
            terminalreporter.line(f"SKIPPED {count} tests, not possible here: {reason}")
        problems = self.problems()
        for problem in problems:
            terminalreporter.line(f"REQUIRED {problem}")
        if not problems:
            terminalreporter.line("every other required test passed" if self.reasons else
                                  "every required test passed")
