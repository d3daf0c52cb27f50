"""A prior is followed at first and overruled by evidence; where it cannot be followed it is refused."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from hypercl.config import ConfigError, SweepFile, check_sweep, load, loads
from hypercl.sweep.plan.plan import described_distribution
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.study import SweepStudy

TEXT = """
experiment: {tasks: {name: split_digits}}
space:
  method.beta: {log_uniform: [1e-4, 10], prior: 0.001}
  hypernet.name: {choice: [chunked, full], prior: full}
  hypernet.chunk_size: {int_log: [100, 50000], prior: 200, when: {hypernet.name: chunked}}
  hypernet.task_embedding: {int: [8, 96], step: 8, prior: 96}
  training.optimizer.lr: {log_uniform: [1e-4, 1e-1]}
search: {include_base: false}
"""


def file_of(*more: str) -> SweepFile:
    file = loads(TEXT, "x", more)
    check_sweep(file, "x")
    return file


def told(study: SweepStudy, count: int, value: Callable[[dict], float]) -> list[dict]:
    found = []
    for _ in range(count):
        asked = study.ask()
        study.decide(asked.number, Outcome("complete", value=value(dict(asked.params))))
        study.settle(asked.number)
        found.append(dict(asked.params))
    return found


def log(params: dict) -> float:
    return math.log10(params["method.beta"])


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "nsga3"])
def test_a_sweep_begins_around_the_priors(sampler: str, tmp_path: Path) -> None:
    first = told(SweepStudy(tmp_path / "j", "t", file_of(f"search.sampler={sampler}"), 1), 10, lambda _: 0.5)
    assert sum(abs(log(params) + 3) < 1.5 for params in first) >= 7
    assert sum(params["hypernet.task_embedding"] >= 64 for params in first) >= 7
    assert sum(params["hypernet.name"] == "full" for params in first) >= 6
    assert sum(params["training.optimizer.lr"] > 10**-2.5 for params in first) in range(2, 9), "it has none"


def test_evidence_overrules_a_prior(tmp_path: Path) -> None:
    """The best beta is 3.5 decades above the one believed in."""
    study = SweepStudy(tmp_path / "j", "t", file_of("search.seed=3"), 1)
    found = told(study, 60, lambda params: 0.9 - 0.2 * abs(log(params) - 0.5))
    last = sorted(log(params) for params in found[-20:])
    assert last[10] > -0.5
    assert sum(log(params) < -2 for params in found[:10]) > 5


def test_a_restart_draws_the_same_from_the_prior(tmp_path: Path) -> None:
    file = file_of("search.startup_trials=0")
    once = told(SweepStudy(tmp_path / "a", "t", file, 1), 3, lambda _: 0.5)
    parts = [told(SweepStudy(tmp_path / "b", "t", file, 1), 1, lambda _: 0.5)[0] for _ in range(3)]
    assert once[0] == parts[0]
    assert once[0]["method.beta"] != once[1]["method.beta"] != once[2]["method.beta"]
    assert [params["method.beta"] for params in once][:2] == [params["method.beta"] for params in parts][:2]


@pytest.mark.parametrize("sampler", ["random", "qmc", "cmaes", "{import: 'optuna.samplers:TPESampler'}"])
def test_a_sampler_that_cannot_follow_it_is_refused_at_load(sampler: str) -> None:
    with pytest.raises(ConfigError, match="cannot follow a prior") as caught:
        file_of(f"search.sampler={sampler}")
    assert "space.method.beta.prior" in [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{uniform: [0, 1], prior: 2}", "the prior 2 lies outside"),
        ("{choice: [1, 2], prior: 3}", "the prior 3 lies outside"),
        ("{equals: 2, prior: 2}", "equals takes no prior"),
    ],
)
def test_a_prior_is_a_value_that_can_be_drawn(entry: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loads(TEXT, "x", [f"space.method.beta={entry}"])


def test_it_is_said_in_the_plan_and_kept_with_the_results(tmp_path: Path) -> None:
    file = file_of()
    assert described_distribution(file.space["method.beta"]) == "0.0001 to 10, logarithmic, believed near 0.001"
    write_sweep(tmp_path, file, "t")
    assert load(tmp_path / "sweep.yaml").space == file.space
