"""Every fault that a sweep must survive has tests, and those that are named exist."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMED = re.compile(r"`(test_\w+)`")


@pytest.fixture(scope="module")
def known() -> set[str]:
    return {name for path in HERE.rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))}


def test_every_row_of_the_faults_names_tests_that_exist(known: set[str]) -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)$", (HERE / "FAULTS.md").read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 26))
    named = {number: set(NAMED.findall(row)) for number, row in rows}
    assert all(named.values())
    assert {number: names - known for number, names in named.items() if names - known} == {}


def test_the_tests_that_the_documentation_names_exist(known: set[str]) -> None:
    named = set(NAMED.findall((HERE.parent / "docs" / "pages" / "running.md").read_text("utf-8")))
    assert named
    assert named <= known
