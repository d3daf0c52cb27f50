"""What each sampler learns from, and what a restart does to it."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hypercl.config import SweepFile, UserError, loads
from hypercl.config.models.search import Search
from hypercl.sweep.study import samplers
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.samplers import sampler_in_words
from hypercl.sweep.study.study import SweepStudy

TEXT = """
experiment: {tasks: {name: split_digits}}
space:
  method.beta: {log_uniform: [1e-4, 1]}
  training.optimizer.lr: {log_uniform: [1e-4, 1e-1]}
constraints: {compression_ratio: {max: 1.0}}
search: {include_base: false}
"""
CONDITIONAL = """
experiment: {tasks: {name: split_digits}}
space:
  training.optimizer.name: {choice: [adam, sgd]}
  training.optimizer.momentum: {uniform: [0, 0.9], when: {training.optimizer.name: sgd}}
  method.beta: {log_uniform: [1e-4, 1]}
  hypernet.task_embedding: {int: [4, 96]}
search: {include_base: false}
"""
STARTUP = {"tpe": 8, "gp": 8, "cmaes": 8}


def sweep_of(text: str, sampler: str, *more: str) -> SweepFile:
    startup = [f"search.startup_trials={STARTUP[sampler]}"] if sampler in STARTUP else []
    small = ["search.population=6"] if sampler == "nsga2" else []
    return loads(text, "x", [f"search.sampler={sampler}", *startup, *small, *more])


def infeasible_in_second_half(file: SweepFile, journal: Path, trials: int) -> int:
    """Of settings above beta = 0.01, which is half of the space, out of bounds; the best is at 0.001."""
    study, found = SweepStudy(journal, "t", file, 1), 0
    for index in range(trials):
        asked = study.ask()
        assert asked is not None
        beta = math.log10(asked.params["method.beta"])
        study.constrain(asked.number, {"valid": 0.0, "compression_ratio": beta + 2})
        value = 0.9 - 0.2 * abs(beta + 3)
        study.decide(asked.number, Outcome("infeasible") if beta > -2 else Outcome("complete", value=value))
        study.settle(asked.number)
        found += beta > -2 and index >= trials // 2
    return found


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2"])
def test_what_is_out_of_bounds_is_learned(sampler: str, tmp_path: Path) -> None:
    found = [
        infeasible_in_second_half(sweep_of(TEXT, sampler, f"search.seed={seed}"), tmp_path / f"{seed}", 40)
        for seed in (1, 2)
    ]
    assert sum(found) < 0.6 * 20


def test_what_is_out_of_bounds_is_learned_by_the_gaussian_process(tmp_path: Path) -> None:
    assert infeasible_in_second_half(sweep_of(TEXT, "gp"), tmp_path / "j", 16) <= 1


@pytest.mark.parametrize(("objective", "worst"), [("maximize", 0.3), ("minimize", 0.7)])
@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "gp", "cmaes"])
def test_to_a_sampler_of_complete_trials_a_bad_setting_is_the_worst_so_far_and_in_the_journal_nothing(
    objective: str, worst: float, sampler: str, tmp_path: Path
) -> None:
    goal = f"objective={{{objective}: validation/final_accuracy}}"
    file = sweep_of(TEXT, sampler, goal, "constraints.forgetting={max: 0.1}")
    study = SweepStudy(tmp_path / "j", "t", file, 1)
    ends = [Outcome("infeasible"), Outcome("complete", value=0.3, violations={"forgetting": 0.0})]
    ends += [Outcome("complete", value=0.7, violations={"forgetting": 0.0}), Outcome("diverged"), Outcome("pruned")]
    for end in ends:
        asked = study.ask()
        if end.kind == "infeasible":
            study.constrain(asked.number, {"valid": 0.0, "compression_ratio": 1.0})
        study.decide(asked.number, end)
        study.settle(asked.number)
    assert [trial.value for trial in study.trials()] == [None, 0.3, 0.7, None, None]
    view = study.optuna.sampler.view(study.optuna)
    seen = view.get_trials()
    assert [trial.value for trial in seen] == [worst, 0.3, 0.7, worst, None]
    assert [len(trial.constraints) for trial in seen] == [5, 5, 5, 5, 4]
    assert study.trials()[0].state == TrialState.PRUNED
    assert study.record().counts() == {"infeasible": 1, "complete": 2, "diverged": 1, "pruned": 1, "trained": 4}


def told(study: SweepStudy, value: Callable[[int], float] = lambda number: 0.01 * number) -> dict:
    asked = study.ask()
    assert asked is not None
    study.decide(asked.number, Outcome("complete", value=value(asked.number)))
    study.settle(asked.number)
    return dict(asked.params)


def test_a_sobol_sequence_goes_on_after_a_restart_as_if_there_was_none(tmp_path: Path) -> None:
    file = sweep_of(CONDITIONAL, "qmc")
    whole = SweepStudy(tmp_path / "whole", "t", file, 1)
    once = [told(whole) for _ in range(6)]
    parts = [told(SweepStudy(tmp_path / "parts", "t", file, 1)) for _ in range(6)]
    assert once == parts


def test_a_sobol_sequence_fills_the_space_evenly(tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "j", "t", sweep_of(TEXT, "qmc"), 1)
    drawn = [told(study) for _ in range(16)]
    for path, (low, high) in {"method.beta": (-4, 0), "training.optimizer.lr": (-4, -1)}.items():
        cells = [int(16 * (math.log10(params[path]) - low) / (high - low)) for params in drawn]
        assert sorted(cells) == list(range(16))


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "cmaes"])
def test_a_restart_does_not_repeat_the_first_suggestions(sampler: str, tmp_path: Path) -> None:
    file = sweep_of(TEXT, sampler)
    drawn = [told(SweepStudy(tmp_path / "j", "t", file, 1))["method.beta"] for _ in range(5)]
    assert len(set(drawn)) == 5


def test_cmaes_goes_on_modelling_when_conditions_come_and_go(tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "j", "t", sweep_of(CONDITIONAL, "cmaes"), 1)
    for _ in range(20):
        told(study)
    modelled = [trial for trial in study.trials()[9:] if "cma:generation" in trial.system_attrs]
    assert len(modelled) == 11
    assert {trial.params["training.optimizer.name"] for trial in modelled} == {"adam", "sgd"}


def test_the_first_generation_of_nsga2_is_as_large_as_the_population(tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "j", "t", sweep_of(TEXT, "nsga2"), 1)
    for _ in range(13):
        told(study)
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in study.trials()]
    assert generations == [0] * 6 + [1] * 6 + [2]


def test_a_package_that_is_missing_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(samplers, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install cmaes"):
        SweepStudy(tmp_path / "j", "t", sweep_of(TEXT, "cmaes"), 1)


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ("tpe", ""),
        ("gp", "entries with conditions are drawn at random, since it models what every setting has"),
        ("cmaes", "choices are drawn at random"),
        ("nsga2", "generations of 20, the first at random"),
        ("qmc", ""),
    ],
)
def test_what_a_sampler_cannot_do_is_said(sampler: str, words: str) -> None:
    text = sampler_in_words(Search.model_validate({"sampler": sampler}), loads(CONDITIONAL, "x").space)
    assert words in text
    assert bool(words) == bool(text)
