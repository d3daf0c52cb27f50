"""Runs with the Gram form and with pairs, from beginning to end."""

import json
import sys
from contextlib import closing
from pathlib import Path

import pytest
from test_run import equal, experiment, final_state, metrics, summary_of

from hypercl.training import Place, Tick, run

GRAM = "method.regularizer.form=gram"


@pytest.mark.parametrize("option", ["hypernet.hidden=[6]", "hypernet.hidden=[]", "method.regularizer.pairs=4"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(sys.modules[run.__module__], "SECONDS_PER_TICK", -1.0)
    setting = experiment(GRAM, option, "training.iterations=12")
    whole, cut = Place(tmp_path / "whole", tmp_path), Place(tmp_path / "cut", tmp_path)
    expected = summary_of(run(setting, whole))
    while not (cut.folder / "summary.json").exists():
        with closing(run(setting, cut)) as progress:
            ticks = 0
            for item in progress:
                ticks += isinstance(item, Tick)
                if ticks == 17:
                    break
    found = json.loads((cut.folder / "summary.json").read_text())
    assert metrics({"test": None, **found}) == metrics({"test": None, **expected})
    assert equal(final_state(cut.folder), final_state(whole.folder))


def test_runs_end_at_the_direct_forms_accuracy(tmp_path: Path) -> None:
    """Full protection (a large beta), so that a wrong gradient would show in the earlier tasks."""
    common = ("training.iterations=120", "method.beta=0.5", "target.hidden=[20]")
    ends = {}
    for name, options in {
        "direct": ("method.regularizer.form=direct",),
        "gram": (GRAM,),
        "pairs": ("method.regularizer.pairs=12",),
        "finetune": ("method.name=finetune",),
    }.items():
        summary = summary_of(run(experiment(*common, *options), Place(tmp_path / name, tmp_path), reports_per_task=1))
        ends[name] = summary["validation"]["final_accuracy"]
    assert ends["direct"] > 0.93
    assert abs(ends["gram"] - ends["direct"]) < 0.02
    assert abs(ends["pairs"] - ends["direct"]) < 0.04
    assert ends["finetune"] < ends["direct"] - 0.05
