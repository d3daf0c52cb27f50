"""Which trials each pruner stops, and that none is stopped before its warm-up."""

from collections.abc import Callable, Sequence

import pytest

from hypercl.config import SweepFile
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.pruners import pruner_in_words
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
Studies = Callable[[SweepFile], SweepStudy]

ALL = [
    "{name: asha}",
    "{name: hyperband}",
    "{name: median, startup_trials: 1}",
    "{name: percentile, startup_trials: 1}",
    "{name: patient, patience: 1}",
    "{name: patient, patience: 1, rule: {name: median, startup_trials: 1, warmup_tasks: 1}}",
    "{name: threshold, floor: 0.9}",
]
GOOD = [0.045 * step for step in range(1, 21)]


def stopped_at(study: SweepStudy, values: Sequence[float], end: bool = True) -> int | None:
    """The first step at which a new trial with these intermediate values would be stopped."""
    asked = study.ask()
    assert asked is not None
    for step, value in enumerate(values, start=1):
        if study.report(asked.number, step, value):
            study.decide(asked.number, Outcome("pruned"))
            study.settle(asked.number)
            return step
    if end:
        study.decide(asked.number, Outcome("complete", value=values[-1]))
        study.settle(asked.number)
    return None


@pytest.mark.parametrize("pruner", ALL)
@pytest.mark.parametrize("warmup", [1, 3])
def test_nothing_is_stopped_before_the_warmup_and_a_bad_trial_is_after(
    sweep_file: Files, open_study: Studies, pruner: str, warmup: int
) -> None:
    study = open_study(sweep_file(f"pruner={pruner}", f"pruner.warmup_tasks={warmup}", "search.include_base=false"))
    bad = [0.1, *[0.04] * 19]
    found = []
    for _ in range(4):
        stopped_at(study, GOOD)
        found.append(stopped_at(study, bad))
    assert found[0] is None or found[0] >= 4 * warmup
    assert min(step for step in found if step is not None) == 4 * warmup


@pytest.mark.parametrize("pruner", [*ALL, "{name: none}"])
def test_a_warmup_as_long_as_the_stream_stops_nobody(sweep_file: Files, open_study: Studies, pruner: str) -> None:
    warmup = [] if "none" in pruner else ["pruner.warmup_tasks=5"]
    file = sweep_file(f"pruner={pruner}", *warmup)
    study = open_study(file)
    assert [stopped_at(study, GOOD), stopped_at(study, [0.0] * 20)] == [None, None]
    assert "never prunes" in pruner_in_words(file) or "trained to its end" in pruner_in_words(file)


def means(*accuracies: float) -> list[float]:
    """Intermediate values of a trial with these mean accuracies over the tasks met, one for each of five tasks."""
    return [mean * (task + 1) / 5 for task, mean in enumerate(accuracies) for _ in range(4)]


@pytest.mark.parametrize(("floor", "step"), [(0.55, None), (0.65, 16), (0.75, 12), (0.85, 8)])
@pytest.mark.parametrize("objective", ["{maximize: validation/final_accuracy}", "{minimize: validation/forgetting}"])
def test_the_floor_is_on_the_mean_over_the_tasks_met(
    sweep_file: Files, open_study: Studies, floor: float, step: int | None, objective: str
) -> None:
    study = open_study(
        sweep_file(f"pruner={{name: threshold, floor: {floor}}}", f"objective={objective}", "search.include_base=false")
    )
    assert stopped_at(study, means(0.9, 0.8, 0.7, 0.6, 0.6)) == step


def test_the_floor_is_looked_at_when_a_task_has_been_learned(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("pruner={name: threshold, floor: 0.7}", "search.include_base=false"))
    learning = [value * (0.5 if step % 4 else 1.0) for step, value in enumerate(means(*[0.8] * 5), start=1)]
    assert stopped_at(study, learning) is None


@pytest.mark.parametrize(("patience", "step"), [(1, 10), (3, 12), (20, None)])
def test_patience_is_counted_in_reports(
    sweep_file: Files, open_study: Studies, patience: int, step: int | None
) -> None:
    study = open_study(sweep_file(f"pruner={{name: patient, patience: {patience}}}", "search.include_base=false"))
    assert stopped_at(study, [*GOOD[:9], *[0.3] * 11]) == step


def test_a_patient_pruner_overlooks_a_small_fall(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("pruner={name: patient, patience: 1, min_delta: 0.2}", "search.include_base=false"))
    assert stopped_at(study, [*GOOD[:9], *[0.3] * 11]) is None
    assert stopped_at(study, [*GOOD[:9], *[0.1] * 11]) == 10


def test_with_a_rule_both_must_want_to_stop_the_trial(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(
        sweep_file(
            "pruner={name: patient, patience: 2, rule: {name: median, startup_trials: 1}}", "search.include_base=false"
        )
    )
    falling, steady = [*GOOD[:9], *[0.3] * 11], [0.3] * 20
    assert stopped_at(study, [0.2] * 20) is None
    assert stopped_at(study, falling) is None, "it fell back, but stands above the median"
    assert [stopped_at(study, [0.9] * 20) for _ in range(3)] == [None] * 3
    assert stopped_at(study, steady) is None, "it is below the median, but did not fall back"
    assert stopped_at(study, [*[0.31] * 9, *[0.3] * 11]) == 11


def test_the_best_percent_go_on(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("pruner={name: percentile, percentile: 25, startup_trials: 4}"))
    for level in (0.2, 0.4, 0.6, 0.8):
        assert stopped_at(study, [level] * 20) is None
    assert stopped_at(study, [0.64] * 20) == 8
    assert stopped_at(study, [0.66] * 20) is None


def test_settings_out_of_bounds_are_no_trials_to_compare_with(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("pruner={name: median, startup_trials: 2}", "search.sampler=nsga2"))
    for _ in range(3):
        asked = study.ask()
        assert asked is not None
        study.decide(asked.number, Outcome("infeasible"))
        study.settle(asked.number)
    stopped_at(study, GOOD)
    assert stopped_at(study, [0.01] * 20) is None
    assert stopped_at(study, [0.01] * 20) == 8


def test_hyperband_has_a_part_of_trials_that_are_looked_at_later(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("pruner={name: hyperband}", "search.include_base=false"))
    stops = set()
    for _ in range(20):
        stopped_at(study, GOOD)
        stops.add(stopped_at(study, [0.01] * 20))
    assert {8, 16} <= stops


@pytest.mark.parametrize(
    ("pruner", "words"),
    [
        (
            "{name: hyperband}",
            "hyperband: keeps one in 2 in each of 2 brackets: bracket 1 after tasks 2 and 4, bracket 2 after task 4",
        ),
        (
            "{name: percentile, percentile: 10}",
            "percentile: from task 2 on, prunes a trial not among the best 10 %, once 5 trials are complete",
        ),
        (
            "{name: threshold, floor: 0.6, warmup_tasks: 1}",
            "threshold: from task 1 on, prunes a trial whose mean accuracy so far is below 0.6 after a task",
        ),
        (
            "{name: patient, min_delta: 0.1, rule: {name: asha}}",
            "patient: from task 2 on, prunes a trial whose last 4 reports were all below its best earlier one by 0.1, "
            "if its rule agrees: keeps one in 2 after tasks 2 and 4",
        ),
        ("{name: patient, rule: {name: asha, warmup_tasks: 9}}", "patient: never prunes"),
    ],
)
def test_a_pruner_is_described_in_words(sweep_file: Files, pruner: str, words: str) -> None:
    assert words in pruner_in_words(sweep_file(f"pruner={pruner}"))


def test_the_rungs_of_a_killed_driver_still_count(sweep_file: Files, open_study: Studies) -> None:
    file = sweep_file("pruner={name: hyperband, warmup_tasks: 4}", "search.include_base=false")
    stopped_at(open_study(file), GOOD, end=False)
    assert stopped_at(open_study(file), [0.01] * 20) == 16
