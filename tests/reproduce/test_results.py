"""Published results beside one's own."""

import json
from pathlib import Path

import pytest

from hypercl.config import Experiment, UserError, assign, to_yaml
from hypercl.reproduce import (
    Reproduction,
    cells_of,
    read_reproduction,
    reproduction_figure,
    reproduction_markdown,
    reproduction_results,
)
from hypercl.reproduce.results import COLUMNS

BASE = Experiment.model_validate({"tasks": {"name": "split_digits"}, "training": {"iterations": 50}})
EWC = {"task": {}, "class": {"published": 20}}
TABLE = Reproduction.model_validate(
    {
        "title": "a table",
        "rows": {
            "hnet": {"label": "HNET", "file": "x", "source": "a paper", "cells": {"task": {"published": 99.8}}},
            "ewc": {"label": "EWC", "file": "x", "source": "another", "cells": EWC},
        },
    }
)
CELLS = [(cell, BASE) for cell in cells_of(TABLE)]


def metrics(accuracy: float | None) -> dict[str, float | None]:
    return {"final_accuracy": accuracy, "during_accuracy": accuracy, "task_inference_accuracy": None}


def finish(folder: Path, experiment: Experiment, accuracies: list[float | None], seconds: float = 75.0) -> None:
    """The folder of a finished run, as training leaves it, as far as a table reads it."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "experiment:\n" + "".join(f"  {line}\n" for line in to_yaml(experiment).splitlines())
    )
    first = experiment.training.seed
    each = [
        {"seed": first + place, "diverged": "the loss became nan" if value is None else None, "test": metrics(value)}
        for place, value in enumerate(accuracies)
    ]
    summary = {
        "seed": first,
        "validation": metrics(accuracies[0]),
        "test": metrics(accuracies[0]),
        "seconds": seconds,
        "iterations": 250,
        "device": "cpu",
        "hardware": "a processor",
        "threads": 2,
        "versions": {"torch": "2.11", "hypercl": "0.1.0"},
        **({"replicas": each} if len(each) > 1 else {}),
    }
    (folder / "summary.json").write_text(json.dumps(summary))


def written(folder: Path) -> Path:
    path = folder / "table.csv"
    reproduction_results(CELLS, folder).to_csv(path, index=False)
    return path


def three(experiment: Experiment = BASE) -> Experiment:
    return assign(experiment, {"training.replicas": 3})


def test_a_row_is_a_seed_and_a_cell_without_a_run_is_named(tmp_path: Path) -> None:
    finish(tmp_path / "hnet-task" / "seeds-1-3", three(), [0.99, 1.0, 0.98])
    finish(tmp_path / "ewc-class" / "seed-1", BASE, [0.2])
    frame = read_reproduction(written(tmp_path))
    assert list(frame.columns) == list(COLUMNS)
    assert list(zip(frame["cell"], frame["seed"].fillna(0), frame["note"], strict=True)) == [
        ("hnet-task", 1, ""),
        ("hnet-task", 2, ""),
        ("hnet-task", 3, ""),
        ("ewc-task", 0, "not begun"),
        ("ewc-class", 1, ""),
    ]
    assert list(frame["accuracy"].dropna()) == [0.99, 1.0, 0.98, 0.2]
    assert set(frame["seeds_together"].dropna()) == {1, 3}
    assert frame["settings"][0] == frame["settings"][4] != ""


def test_a_later_run_on_further_seeds_joins_its_cell(tmp_path: Path) -> None:
    finish(tmp_path / "hnet-task" / "seeds-1-3", three(), [0.99, 1.0, 0.98])
    finish(tmp_path / "hnet-task" / "seeds-3-5", assign(three(), {"training.seed": 3}), [0.98, 0.9, 0.8])
    frame = read_reproduction(written(tmp_path))
    assert list(frame.loc[frame["cell"] == "hnet-task", "seed"]) == [1, 2, 3, 4, 5]


def test_why_a_cell_has_no_result_is_said(tmp_path: Path) -> None:
    (tmp_path / "hnet-task" / "seed-1" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hnet-task" / "seed-1" / "checkpoints" / "10.pt").touch()
    (tmp_path / "ewc-task" / "seed-1").mkdir(parents=True)
    (tmp_path / "ewc-task" / "seed-1" / "error.txt").write_text("diverged: the loss became nan\nmore")
    frame = read_reproduction(written(tmp_path))
    assert list(frame["note"]) == ["begun, not finished", "diverged: the loss became nan", "not begun"]
    told = reproduction_markdown(TABLE, frame)
    assert "Without a result, begun, not finished: `hnet-task`." in told
    assert "Without a result, diverged: the loss became nan: `ewc-task`." in told


def test_markdown_has_the_mean_the_spread_the_published_and_the_time(tmp_path: Path) -> None:
    finish(tmp_path / "hnet-task" / "seeds-1-3", three(), [0.99, 1.0, 0.98], seconds=3725)
    finish(tmp_path / "ewc-class" / "seed-1", BASE, [0.2])
    told = reproduction_markdown(TABLE, read_reproduction(written(tmp_path)))
    assert told.splitlines()[:4] == [
        "| method | CL1: task given ± SD | CL1 published | CL3: class ± SD | CL3 published | time |",
        "| --- | --- | --- | --- | --- | --- |",
        "| HNET | 99.00 ± 1.00 | 99.80 |  |  | 62 min |",
        "| EWC | - |  | 20.00 | 20.00 | -, 75 s |",
    ]
    assert "Published: HNET: a paper; EWC: another." in told
    assert "a processor, threads: 2" in told
    assert "not as published" not in told


def test_what_was_cut_is_said_where_it_was(tmp_path: Path) -> None:
    finish(tmp_path / "hnet-task" / "seed-1", assign(BASE, {"training.iterations": 10}), [0.9])
    finish(tmp_path / "ewc-class" / "seed-1", BASE, [0.2])
    told = reproduction_markdown(TABLE, read_reproduction(written(tmp_path)))
    assert "| HNET | 90.00 (a) | 99.80 |" in told
    assert "(a) not as published: `training.iterations=10`." in told
    assert "| 20.00 | 20.00 |" in told


def test_a_seed_that_diverged_is_named_and_counts_in_no_mean(tmp_path: Path) -> None:
    finish(tmp_path / "hnet-task" / "seeds-1-3", three(), [0.99, None, 0.97])
    told = reproduction_markdown(TABLE, read_reproduction(written(tmp_path)))
    assert "| HNET | 98.00 ± 1.41 |" in told
    assert "`hnet-task`, seed 2: diverged: the loss became nan." in told


def test_a_table_of_other_cells_is_still_rendered_and_says_what_it_lacks(tmp_path: Path) -> None:
    finish(tmp_path / "hnet-task" / "seed-1", BASE, [0.9])
    frame = read_reproduction(written(tmp_path))
    told = reproduction_markdown(TABLE, frame[frame["cell"] == "hnet-task"])
    assert "Without a result, not begun: `ewc-task`, `ewc-class`." in told


def test_the_figure_shows_ours_beside_the_published(tmp_path: Path) -> None:
    finish(tmp_path / "hnet-task" / "seeds-1-3", three(), [0.99, 1.0, 0.98])
    figure = reproduction_figure(TABLE, read_reproduction(written(tmp_path)))
    task, classes = figure.axes
    assert [label.get_text() for label in task.get_yticklabels()] == ["HNET", "EWC"]
    points = sorted(float(x) for line in task.lines if len(line.get_xdata()) == 1 for x in line.get_xdata())
    assert points[:1] + points[-1:] == [98.0, 100.0]
    assert {99.0, 99.8} <= {round(x, 6) for x in points}
    assert [float(line.get_xdata()[0]) for line in classes.lines] == [20.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["published", "ours"]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", None])
def test_what_is_no_table_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=r"t\.csv"):
        read_reproduction(tmp_path / "t.csv")
