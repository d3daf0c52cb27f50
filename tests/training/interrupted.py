"""Runs interrupted again and again."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from test_run import equal, final_state, metrics, summary_of

from hypercl.config import Experiment
from hypercl.training import RunFolders, Tick, loop, run


def assert_interruptions_change_nothing(setting: Experiment, folder: Path, ticks_each: int = 17) -> None:
    """A run that is stopped after so many steps, as often as it takes, ends with the numbers of one that is not."""
    whole, cut, parts = RunFolders(folder / "whole", folder), RunFolders(folder / "cut", folder), 0
    expected = summary_of(run(setting, whole))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SECONDS_PER_TICK", -1.0)
        while not (cut.folder / "summary.json").exists():
            parts += 1
            with closing(run(setting, cut)) as progress:
                ticks = 0
                for item in progress:
                    ticks += isinstance(item, Tick)
                    if ticks == ticks_each:
                        break
    assert parts > 2
    found = json.loads((cut.folder / "summary.json").read_text())
    assert metrics({"test": None, **found}) == metrics({"test": None, **expected})
    assert equal(final_state(cut.folder), final_state(whole.folder))
