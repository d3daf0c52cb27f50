"""Runs with EWC, online EWC and SI, from beginning to end."""

import json
import sys
from contextlib import closing
from pathlib import Path

import pytest
from test_run import equal, experiment, final_state, metrics, summary_of

from hypercl.training import Place, Tick, run

PLAIN = "hypernet={name: none}"
METHODS = {
    "ewc": "method={name: ewc, strength: 1e8}",
    "online_ewc": "method={name: online_ewc, strength: 1e6}",
    "si": "method={name: si, strength: 3}",
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(sys.modules[run.__module__], "SECONDS_PER_TICK", -1.0)
    samples = ["method.fisher_samples=20"] if "ewc" in method else []
    setting = experiment(PLAIN, method, "training.iterations=12", *samples)
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


@pytest.mark.parametrize("scenario", ["task", "domain"])
def test_forget_less_than_finetuning(tmp_path: Path, scenario: str) -> None:
    """Mean of seeds 1, 2 and 3."""
    common = [f"tasks={{name: split_digits, scenario: {scenario}}}", "target.hidden=[100, 100]", "training.seed=1"]
    common += ["training.iterations=80", "training.batch_size=32", "training.replicas=3"]
    lost = {}
    for name, method in {"finetune": "method={name: finetune}", **METHODS}.items():
        setting = experiment(PLAIN, method, *common)
        summary = summary_of(run(setting, Place(tmp_path / name, tmp_path), reports_per_task=1))
        lost[name] = summary["validation"]["forgetting"]
    for name in METHODS:
        assert lost[name] < 0.8 * lost["finetune"], lost
