"""Importance and comparison."""

import numpy as np
import pandas as pd

from hypercl.analysis import comparison_figure, comparison_table, importance_figure, parameter_figure
from hypercl.config import loads
from hypercl.config.models.sweep import Objective

UP = Objective(maximize="validation/final_accuracy")
NAN = float("nan")


def test_each_parameter_has_a_bar_and_its_chance_the_greatest_on_top() -> None:
    table = pd.DataFrame({"parameter": ["a.b", "c", "d"], "importance": [0.1, 0.7, 0.2], "chance": [0.2, 0.3, 0.1]})
    (axes,) = importance_figure(table, "12 trained trials").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a.b", "d", "c"]
    sure, chance = axes.containers
    assert sorted(bar.get_width() for bar in sure) == [0.2, 0.7]
    assert [bar.get_width() for bar in chance] == [0.1]
    assert list(np.asarray(axes.lines[0].get_xdata())) == [0.2, 0.1, 0.3]
    assert axes.get_title(loc="left") == "12 trained trials"


def test_sweeps_are_compared_by_trained_trials() -> None:
    first = pd.DataFrame(
        {
            "number": [0, 2, 3],
            "state": ["complete", "pruned", "complete"],
            "value": [0.5, NAN, 0.7],
        }
    )
    second = pd.DataFrame({"number": [0], "state": ["complete"], "value": [0.6]})
    table = comparison_table({"first": first, "second": second}, UP)
    assert list(table["trained"]) == [1, 2, 3, 1]
    assert list(table["best"]) == [0.5, 0.5, 0.7, 0.6]
    (axes,) = comparison_figure(table, UP).axes
    assert [line.get_label() for line in axes.lines] == ["first", "second"]
    assert axes.lines[0].get_color() != axes.lines[1].get_color()


def test_a_panel_spans_the_space_and_leaves_out_trials_without_the_parameter() -> None:
    file = loads(
        "experiment: {tasks: {name: split_digits}}\n"
        "space:\n"
        "  training.optimizer.name: {choice: [adam, sgd]}\n"
        "  training.optimizer.momentum: {uniform: [0, 0.9], when: {training.optimizer.name: sgd}}\n"
        "  training.clip_norm: {choice: [null, 1]}\n"
        "  hypernet.task_embedding: {equals: hypernet.chunk_embedding}\n",
        "test",
    )
    trials = pd.DataFrame(
        {
            "number": [0, 1],
            "state": ["complete"] * 2,
            "value": [0.5, 0.6],
            "training.optimizer.name": ["adam", "sgd"],
            "training.optimizer.momentum": [NAN, 0.5],
            "training.clip_norm": ["null", "1"],
            "hypernet.task_embedding": [8, 16],
        }
    )
    panels = {axes.get_xlabel().replace("\n", ""): axes for axes in parameter_figure(trials, file.space, UP).axes}
    assert list(panels) == ["training.optimizer.name", "training.optimizer.momentum", "training.clip_norm"]
    momentum = panels["training.optimizer.momentum"]
    assert momentum.get_xlim()[0] < 0 < 0.9 < momentum.get_xlim()[1]
    shown = np.asarray(momentum.lines[0].get_xdata(), dtype=float)
    assert list(shown[np.isfinite(shown)]) == [0.5]
    clip = np.asarray(panels["training.clip_norm"].lines[0].get_xdata(), dtype=float)
    assert [round(place) for place in clip] == [0, 1]
