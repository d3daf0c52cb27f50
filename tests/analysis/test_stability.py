"""The trace of stability_decay: rows for people, and its figure."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hypercl.analysis.stability import COLUMNS, by_task_rows, stability_figure, stability_trace, write_stability


def row(task: int, phase: str, trial: int, value: float, accuracy: float | None, **more: Any) -> dict[str, Any]:
    rate, strength = (value, 0.0) if phase == "rate" else (0.01, value)
    found = dict.fromkeys(COLUMNS) | {"task": task, "phase": phase, "trial": trial, "accuracy": accuracy}
    found |= {"learning_rate": rate, "strength": strength, "halvings": 0, "state": "learned", "accepted": False}
    return {**found, **more}


ROWS = [
    row(2, "decay", 5, 2.0, 0.85, halvings=1, mark=1.0, floor=0.8, parent=1, accepted=True),
    row(1, "rate", 1, 0.01, 0.99, accepted=True),
    row(2, "decay", 4, 4.0, 0.6, mark=1.0, floor=0.8, parent=1),
    row(2, "rate", 3, 0.01, 1.0, parent=1),
    row(1, "rate", 0, 0.001, 0.9),
    row(2, "rate", 2, 0.001, None, parent=1, state="lost"),
]


@pytest.fixture
def trace() -> pd.DataFrame:
    return stability_trace(ROWS)


def test_attempts_stand_in_the_order_of_the_stream(trace: pd.DataFrame) -> None:
    assert list(trace["trial"]) == [0, 1, 2, 3, 4, 5]


def test_a_row_a_task_says_what_was_tried_and_what_was_accepted(trace: pd.DataFrame) -> None:
    first, second = by_task_rows(trace, "beta")
    assert list(first.values()) == ["1", "0.001: 90.00, 0.01: 99.00", "", "", "", "lr 0.01", "1"]
    assert list(second.values()) == [
        "2",
        "0.001: lost, 0.01: 100.00",
        "100.00",
        "80.00",
        "4: 60.00, 2: 85.00",
        "lr 0.01, beta 2",
        "5",
    ]


def test_a_task_that_is_not_decided_says_so() -> None:
    (only,) = by_task_rows(stability_trace([row(1, "rate", 0, 0.1, None, state="open")]), "beta")
    assert (only["accepted"], only["trial"]) == ("not yet", "")


def test_the_figure_shows_each_attempt_and_each_task_s_mark(trace: pd.DataFrame) -> None:
    figure = stability_figure(trace, "beta")
    top, middle, bottom = figure.axes
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in top.get_lines()}
    assert drawn["plain fine-tuning"][:2] == [0.9, 0.99]
    assert drawn["with protection"] == [0.6, 0.85]
    assert drawn["accepted"] == [0.99, 0.85]
    assert drawn["mark"] == [1.0, 1.0]
    assert drawn["enough from here up"] == [0.8, 0.8]
    assert len(drawn["diverged or out of memory"]) == 1
    assert [label.get_text() for label in bottom.get_xticklabels()] == ["task 1", "task 2"]
    below = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in bottom.get_lines()}
    assert below["with protection"] == [4.0, 2.0]
    assert np.isnan(below["plain fine-tuning"]).all()
    assert middle.get_yscale() == "log"


def test_table_and_figure_are_written_and_nothing_where_nothing_was_tried(trace: pd.DataFrame, tmp_path: Path) -> None:
    assert write_stability(trace, "beta", tmp_path / "some") == [tmp_path / "some" / "stability.png"]
    assert pd.read_csv(tmp_path / "some" / "stability.csv")["parent"].tolist()[2:] == [1.0] * 4
    assert "| 2 | 0.001: lost, 0.01: 100.00 | 100.00 | 80.00 |" in (tmp_path / "some" / "stability.md").read_text()
    assert write_stability(stability_trace([]), "beta", tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
