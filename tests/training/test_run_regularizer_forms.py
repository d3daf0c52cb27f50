"""Runs with the Gram form and with pairs, from beginning to end."""

from pathlib import Path

import pytest
from interrupted import assert_interruptions_change_nothing
from test_run import experiment, summary_of

from hypercl.training import RunFolders, run

GRAM = "method.regularizer.form=gram"


@pytest.mark.parametrize(
    "options",
    [
        (GRAM, "hypernet.hidden=[6]"),
        (GRAM, "hypernet.hidden=[]"),
        (GRAM, "method.regularizer.pairs=4"),
        ("method.regularizer.kind=first_order", "method.backpropagate_lookahead=true"),
        ("method.regularizer.importance=fisher", "method.proximal=true"),
        ("method.regularizer.kind=ewc",),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, options: tuple[str, ...]) -> None:
    setting = experiment(*options, "training.iterations=12")
    assert_interruptions_change_nothing(setting, tmp_path)


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
        summary = summary_of(
            run(experiment(*common, *options), RunFolders(tmp_path / name, tmp_path), reports_per_task=1)
        )
        ends[name] = summary["validation"]["final_accuracy"]
    assert ends["direct"] > 0.93
    assert abs(ends["gram"] - ends["direct"]) < 0.02
    assert abs(ends["pairs"] - ends["direct"]) < 0.04
    assert ends["finetune"] < ends["direct"] - 0.05
