"""The report of a sweep over one number."""

from pathlib import Path

import pandas as pd
import pytest
from made_sweep import SMALL

from hypercl.config import loads
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.results.report import write_report
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.study.study import SweepStudy

RATIOS = """
experiment: {tasks: {name: split_digits}, hypernet: {name: chunked, chunk_size: auto, compression_ratio: 1.0}}
space: {hypernet.compression_ratio: {choice: [0.5, 1.0, 2.0]}}
search: {sampler: grid, trials: 3, include_base: false}
"""


def reported(folder: Path, text: str) -> list[str]:
    """A sweep of three complete trials, told without training; the names of the pictures of its report."""
    file = loads(text, "made.yaml")
    folder.mkdir(parents=True)
    write_sweep(folder, file, folder.name)
    study = SweepStudy(folder / "study.journal", folder.name, file, threads=1)
    for final in (0.7, 0.8, 0.9):
        suggestion = study.ask()
        assert suggestion is not None
        metrics = {"compression_ratio": final / 2, "validation/final_accuracy": final}
        metrics |= {"validation/during_accuracy": 0.95, "spread/validation/final_accuracy": 0.01}
        study.decide(suggestion.number, Outcome("complete", value=final, metrics=metrics))
        study.settle(suggestion.number)
    return [picture.name for picture in write_report(read_sweep(folder), folder / "figures", ())]


@pytest.mark.parametrize(("text", "size"), [(RATIOS, True), (SMALL, False)])
def test_accuracies_are_drawn_against_the_one_number_that_varies(tmp_path: Path, text: str, size: bool) -> None:
    assert "sensitivity.png" in reported(tmp_path / "made", text)
    table = pd.read_csv(tmp_path / "made" / "figures" / "sensitivity.csv").sort_values("number")
    assert table["final_accuracy"].tolist() == [0.7, 0.8, 0.9]
    assert table["during_accuracy"].tolist() == [0.95] * 3
    assert table["final_accuracy_sd"].tolist() == [0.01] * 3
    trials = pd.read_csv(tmp_path / "made" / "figures" / "trials.csv").sort_values("number")
    expected = [0.35, 0.4, 0.45] if size else trials["method.beta"].tolist()
    assert table["x"].tolist() == pytest.approx(expected)


def test_a_space_of_two_has_none(tmp_path: Path) -> None:
    two = SMALL.replace("}}\nsearch", "}, training.optimizer.lr: {log_uniform: [1e-4, 1e-2]}}\nsearch")
    assert "sensitivity.png" not in reported(tmp_path / "made", two)
