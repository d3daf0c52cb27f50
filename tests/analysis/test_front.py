"""The picture of a front: who is on it, its staircase, its knee."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from hypercl.analysis import front_figure, parameter_figure
from hypercl.config import loads
from hypercl.config.models.objective import Objective

ACCURACY, RATIO, FORGETTING = "validation/final_accuracy", "compression_ratio", "validation/forgetting"
TWO = Objective(maximize=ACCURACY, minimize=RATIO)
TRIALS = pd.DataFrame(
    {
        "number": [0, 1, 2, 3, 4],
        "state": ["complete", "complete", "pruned", "complete", "complete"],
        ACCURACY: [0.90, 0.85, np.nan, 0.40, 0.80],
        RATIO: [1.0, 0.2, np.nan, 0.1, 0.3],
        FORGETTING: [0.1, 0.0, np.nan, 0.2, 0.1],
        "method.beta": [0.1, 1.0, 0.2, 0.3, 0.4],
    }
)
FRONT = TRIALS.iloc[[0, 1, 3]].assign(knee=[False, True, False])


def lines_of(figure: Figure, panel: int = 0) -> dict[str, list[tuple[float, float]]]:
    return {
        str(line.get_label()): list(zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True))
        for line in figure.axes[panel].get_lines()
    }


def test_two_goals_are_a_staircase_from_the_best_of_the_one_to_the_best_of_the_other() -> None:
    figure = front_figure(TRIALS, FRONT, TWO)
    lines = lines_of(figure)
    assert lines["complete"] == [(0.3, 0.8)]
    assert lines["on the front"] == [(1.0, 0.9), (0.2, 0.85), (0.1, 0.4)]
    assert lines["knee"] == [(0.2, 0.85)]
    (stairs,) = [line for name, line in lines.items() if name.startswith("_")]
    assert stairs == [(0.1, 0.4), (0.2, 0.85), (1.0, 0.9)]
    assert figure.axes[0].get_lines()[-1].get_drawstyle() == "steps-post"
    assert {text.get_text() for text in figure.axes[0].texts} == {"0", "1", "3"}
    title = figure.legends[0].get_title().get_text()
    assert title == "4 complete trials, 3 on the front; 1 pruned ones have no values"


def test_more_goals_have_a_panel_for_each_pair_and_no_stairs() -> None:
    figure = front_figure(TRIALS, FRONT, Objective(maximize=ACCURACY, minimize=(RATIO, FORGETTING)))
    assert [axes.get_xlabel().split(" (")[0] for axes in figure.axes] == [
        "compression ratio",
        "validation forgetting",
        "validation forgetting",
    ]
    assert not any(name.startswith("_") for panel in range(3) for name in lines_of(figure, panel))


def test_sizes_far_apart_stand_on_a_logarithmic_axis() -> None:
    wide = TRIALS.assign(**{RATIO: [10.0, 0.2, np.nan, 0.1, 0.3]})
    assert front_figure(wide, FRONT, TWO).axes[0].get_xscale() == "log"
    assert front_figure(TRIALS, FRONT, TWO).axes[0].get_xscale() == "linear"


@pytest.mark.parametrize("knee", [True, False])
def test_against_parameters_the_knee_is_marked_and_the_goal_named(knee: bool) -> None:
    space = loads(
        "experiment: {tasks: {name: split_digits}}\nspace: {method.beta: {log_uniform: [0.01, 10]}}", "x"
    ).space
    trials = TRIALS.assign(value=TRIALS[ACCURACY])
    figure = parameter_figure(trials.assign(best=trials["number"] == 1) if knee else trials, space, TWO)
    star = lines_of(figure)["knee of the front" if knee else "best"]
    assert star == [(1.0, 0.85) if knee else (0.1, 0.9)]
    assert "by the first of 2 goals" in figure.legends[0].get_title().get_text()
