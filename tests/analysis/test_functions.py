from pathlib import Path

import pandas as pd

from hypercl.analysis import functions_figure, write_functions_png


def points(tasks: int) -> pd.DataFrame:
    rows = [(task, x / 10, 0.0, 0.5) for task in range(1, tasks + 1) for x in range(60)]
    return pd.DataFrame(rows, columns=["task", "x", "target", "prediction"])


def test_a_panel_after_each_task_shows_each_task_met() -> None:
    figure = functions_figure([points(1), points(2), points(3)])
    assert [axes.get_title() for axes in figure.axes] == ["after task 1", "after task 2", "after task 3"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 4, 6]


def test_only_a_regression_has_a_picture(tmp_path: Path) -> None:
    assert write_functions_png(tmp_path) is None
    (tmp_path / "functions").mkdir()
    points(1).to_csv(tmp_path / "functions" / "after-task-1.csv", index=False)
    picture = write_functions_png(tmp_path)
    assert picture is not None
    assert picture.stat().st_size > 1000
