"""Runs with EWC, online EWC and SI, from beginning to end."""

from pathlib import Path

import pytest
from interrupted import assert_interruptions_change_nothing
from test_run import experiment, summary_of

from hypercl.training import RunFolders, run

PLAIN = "hypernet={name: none}"
METHODS = {
    "ewc": "method={name: ewc, strength: 1e8}",
    "online_ewc": "method={name: online_ewc, strength: 1e6}",
    "si": "method={name: si, strength: 3}",
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, method: str) -> None:
    samples = ["method.fisher_samples=20"] if "ewc" in method else []
    setting = experiment(PLAIN, method, "training.iterations=12", *samples)
    assert_interruptions_change_nothing(setting, tmp_path)


@pytest.mark.parametrize("scenario", ["task", "domain"])
def test_forget_less_than_finetuning(tmp_path: Path, scenario: str) -> None:
    """Mean of seeds 1, 2 and 3."""
    common = [f"tasks={{name: split_digits, scenario: {scenario}}}", "target.hidden=[100, 100]", "training.seed=1"]
    common += ["training.iterations=50", "training.batch_size=32", "training.replicas=3"]
    lost = {}
    for name, method in {"finetune": "method={name: finetune}", **METHODS}.items():
        setting = experiment(PLAIN, method, *common)
        summary = summary_of(run(setting, RunFolders(tmp_path / name, tmp_path), reports_per_task=1))
        lost[name] = summary["validation"]["forgetting"]
    for name in METHODS:
        assert lost[name] < 0.8 * lost["finetune"], lost
