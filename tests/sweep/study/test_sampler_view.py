"""What TPE sees of a study of many trials."""

import random
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from hypercl.config import SweepFile, loads
from hypercl.config.models import Goal
from hypercl.sweep.study import samplers
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.sampler_view import BEST, SeenAtMost
from hypercl.sweep.study.study import SweepStudy

TEXT = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {log_uniform: [1e-4, 1]}}
search: {include_base: false, startup_trials: 4}
"""
SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
UP, DOWN = (Goal(metric="validation/final_accuracy", direction=one) for one in ("maximize", "minimize"))


def ended(rng: random.Random, complete: float, goals: int = 1) -> FrozenTrial:
    """A trial that is complete, pruned, or out of bounds."""
    broken = rng.random() < 0.2
    whole = not broken and rng.random() < complete
    return create_trial(
        state=TrialState.COMPLETE if whole else TrialState.PRUNED,
        values=[rng.random() for _ in range(goals)] if whole else None,
        params={"x": rng.random()},
        distributions=SPACE,
        intermediate_values={step: rng.random() for step in range(rng.randrange(3))} if goals == 1 else {},
        constraints={"valid": rng.random() if broken else 0.0},
    )


def study_of(goals: list[Goal], trials: int, complete: float) -> optuna.Study:
    study, rng = optuna.create_study(directions=[goal.direction for goal in goals]), random.Random(3)
    study.add_trials([ended(rng, complete, len(goals)) for _ in range(trials)])
    return study


@pytest.mark.parametrize("goal", [UP, DOWN])
@pytest.mark.parametrize("complete", [0.9, 0.2, 0.0])
def test_tpe_finds_the_same_trials_good_as_if_it_saw_them_all(goal: Goal, complete: float) -> None:
    study = study_of([goal], 150, complete)
    seen = SeenAtMost([goal], 60)(study).get_trials(deepcopy=False)
    good, others = _split_trials(study, seen, BEST)
    assert len(good) + len(others) == 60
    assert [trial.number for trial in good] == [
        trial.number for trial in _split_trials(study, study.get_trials(deepcopy=False), BEST)[0]
    ]


def test_the_others_are_the_newest_and_what_has_not_ended_stays() -> None:
    study = study_of([UP, DOWN], 100, 1.0)
    running = [study.ask().number for _ in range(3)]
    study.enqueue_trial({"x": 0.5})
    seen = SeenAtMost([UP, DOWN], 70)(study).get_trials()
    done = [trial for trial in study.get_trials() if trial.state == TrialState.COMPLETE]
    best = {trial.number for trial in sorted(done, key=lambda trial: -trial.values[0])[:BEST]}
    best |= {trial.number for trial in sorted(done, key=lambda trial: trial.values[1])[:BEST]}
    numbers = [trial.number for trial in seen]
    newest = set(numbers) - best - {*running, 103}
    assert numbers == sorted({*best, *newest, *running, 103})
    assert len(numbers) == 70 + 4
    assert max(set(range(100)) - set(numbers)) < min(newest)


def test_each_trial_of_earlier_sweeps_counts_though_none_has_a_number() -> None:
    rng = random.Random(1)
    trials = [ended(rng, 1.0) for _ in range(50)]
    assert {trial.number for trial in trials} == {-1}
    kept = SeenAtMost([UP], 40).limited(trials)
    assert len(kept) == 40
    assert kept[-10:] == trials[-10:]


def suggested(file: SweepFile, folder: Path, trials: int) -> list[float]:
    folder.mkdir()
    study = SweepStudy(folder / "j", "t", file, 1)
    for _ in range(trials):
        asked = study.ask()
        study.decide(asked.number, Outcome("complete", value=1 - asked.params["method.beta"]))
        study.settle(asked.number)
    return [trial.params["method.beta"] for trial in study.trials()]


def test_up_to_the_limit_nothing_changes_and_beyond_it_only_what_comes_after(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = loads(TEXT, "x")
    with monkeypatch.context() as without:
        without.setattr(samplers, "Viewing", lambda sampler, _: sampler)
        every = suggested(file, tmp_path / "every", 60)
    monkeypatch.setattr(samplers, "MOST", 40)
    limited = suggested(file, tmp_path / "limited", 60)
    assert limited[:41] == every[:41]
    assert limited != every


def test_a_sampler_that_draws_more_at_random_than_the_limit_models_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(samplers, "MOST", 5)
    monkeypatch.setattr("hypercl.sweep.study.sampler_view.BEST", 2)
    file = loads(TEXT, "x", ["search.startup_trials=12"])
    suggested(file, tmp_path / "j", 15)
    trials = SweepStudy(tmp_path / "j" / "j", "t", file, 1).trials()
    assert [any(key.startswith("tpe:") for key in trial.system_attrs) for trial in trials] == [False] * 12 + [True] * 3
