"""A study of six trials, and sweeps in the test's own process."""

from collections.abc import Callable

import pytest
from in_this_process import InThisProcess, in_this_process
from raced import RACE_TEXT, Files, told

from hypercl.config import SweepFile
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.study import SweepStudy


@pytest.fixture
def file(sweep_file: Files) -> SweepFile:
    return search_config(sweep_file(RACE_TEXT, "search.sampler=random", "search.startup_trials=null"))


@pytest.fixture
def study(file: SweepFile, open_study: Callable[[SweepFile], SweepStudy]) -> SweepStudy:
    """Values of the search: trial 0 leads, trial 2 is third."""
    found = open_study(file)
    told(found, 0.90, 0.80, 0.88, 0.89, 0.70, 0.60)
    return found


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> InThisProcess:
    return in_this_process(monkeypatch)
