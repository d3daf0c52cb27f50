"""Expected values of a study's settings."""

from collections.abc import Callable

import pytest

from hypercl.config import SweepFile
from hypercl.sweep.study import SweepStudy, beliefs_of, search_config
from hypercl.sweep.study.outcome import Outcome

Files = Callable[..., SweepFile]


def of_values(study: SweepStudy, *values: float) -> None:
    for value in values:
        number = study.ask().number
        study.decide(number, Outcome("complete", value=value))
        study.settle(number)


def test_every_complete_trial_has_one_drawn_towards_the_others(
    sweep_file: Files, open_study: Callable[[SweepFile], SweepStudy]
) -> None:
    study = open_study(search_config(sweep_file("search.sampler=random", "search.startup_trials=null")))
    of_values(study, 0.9, 0.5, 0.52, 0.48)
    beliefs = beliefs_of(study.file, study.trials())
    assert list(beliefs) == [0, 1, 2, 3]
    assert 0.5 < beliefs[0].mean < 0.9
    low, high = beliefs[0].interval
    assert low < beliefs[0].mean < high


@pytest.mark.parametrize(
    "goal", ["objective={maximize: [validation/final_accuracy, compression_ratio]}", "objective={minimize: parameters}"]
)
def test_what_has_no_noise_and_several_goals_have_none(
    goal: str, sweep_file: Files, open_study: Callable[[SweepFile], SweepStudy]
) -> None:
    study = open_study(search_config(sweep_file(goal)))
    assert beliefs_of(study.file, study.trials()) == {}
