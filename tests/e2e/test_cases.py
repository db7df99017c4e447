# SPDX-License-Identifier: BSD-2-Clause
"""The named captures (cases.py): each must give its messages and counts, and nothing else."""

import pytest

import cases


@pytest.mark.parametrize("name", sorted(cases.all_cases()))
def test_case(folder, name):
    case = cases.all_cases()[name]
    cases.check(case, cases.run(case, folder))


def test_cases_are_the_same_each_time():
    """A capture that changed from run to run would hide what makes it fail."""
    again = {case.name: case for case in cases.played()}
    assert again == cases.all_cases()
