"""A wanted compression ratio as a setting of a sweep."""

import random

import pytest

from hypercl.config import SweepFile, loads
from hypercl.sweep.study.constraints import Bounds
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.space import draw
from hypercl.training import sizes

TEXT = """
experiment:
  tasks: {name: split_digits}
  target: {name: mlp, hidden: [40]}
  hypernet: {hidden: [10], chunk_size: auto, compression_ratio: 0.8, task_embedding: 8, chunk_embedding: 8}
space:
  hypernet.compression_ratio: {log_uniform: [0.05, 2]}
"""


@pytest.mark.parametrize("bound", [None, "constraints.parameters.max=2500"])
def test_a_ratio_out_of_reach_is_an_infeasible_suggestion_with_its_reason(bound: str | None) -> None:
    bounds = Bounds(loads(TEXT, "x", [bound] if bound else []), sizes)
    verdict = bounds.judge({"hypernet.compression_ratio": 0.1})
    assert not verdict.feasible
    assert verdict.violations["compression_ratio"] > 0
    assert "0.1 is not achievable; the minimum is 0." in verdict.why
    assert "\n" not in verdict.why


def test_a_ratio_within_reach_is_met_and_feasible() -> None:
    bounds = Bounds(loads(TEXT, "x"), sizes)
    verdict = bounds.judge({"hypernet.compression_ratio": 0.6})
    assert verdict.feasible
    assert -0.1 < verdict.violations["compression_ratio"] <= 0
    assert verdict.experiment is not None
    assert 0.54 < sizes(verdict.experiment).compression_ratio <= 0.6


def test_the_farther_out_of_reach_the_larger_the_violation() -> None:
    bounds = Bounds(loads(TEXT, "x"), sizes)
    far, near = (bounds.judge({"hypernet.compression_ratio": ratio}) for ratio in (0.1, 0.2))
    assert far.violations["compression_ratio"] > near.violations["compression_ratio"] > 0


def test_a_bound_beside_the_wanted_ratio_still_binds() -> None:
    bounds = Bounds(loads(TEXT, "x", ["constraints.compression_ratio.max=0.7"]), sizes)
    assert bounds.judge({"hypernet.compression_ratio": 0.7}).feasible
    verdict = bounds.judge({"hypernet.compression_ratio": 0.9})
    assert verdict.violations["compression_ratio"] > 0.1
    assert "is above 0.7" in verdict.why


def test_every_draw_of_a_ratio_gets_a_verdict() -> None:
    file = loads(TEXT, "x")
    rng, bounds = random.Random(1), Bounds(file, sizes)
    verdicts = [bounds.judge(draw(file.space, rng)) for _ in range(40)]
    assert {verdict.feasible for verdict in verdicts} == {True, False}


@pytest.mark.parametrize("counts", ["2", "[2, 2, 2, 2, 2]"])
def test_bounds_are_on_the_networks_of_all_tasks_where_trials_learn_some(counts: str) -> None:
    size = "hypernet={hidden: [], chunk_size: 40, task_embedding: 100, chunk_embedding: 8}"
    written = ["search.fidelity={tasks.num_tasks: 0.4}", size, f"tasks.classes_per_task={counts}"]

    def asked(*more: str) -> SweepFile:
        return loads(TEXT.partition("space")[0], "x", [*written, *more])

    trial, parameters = search_config(asked()).experiment, sizes(asked().experiment).parameters
    assert parameters - sizes(trial).parameters >= 3 * 100
    bounded = asked(f"constraints.parameters.max={parameters - 1}")
    verdict = Bounds(search_config(bounded), sizes, asked=bounded).of(trial)
    assert not verdict.feasible
    assert verdict.experiment == trial
    bounded = asked(f"constraints.parameters.max={parameters}")
    assert Bounds(search_config(bounded), sizes, asked=bounded).of(trial).feasible
