"""What a final step trains: settings, seeds, and the record of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.analysis.race_record import RaceRecord
from hypercl.analysis.racing import Plan
from hypercl.config import SweepFile, UserError, loads
from hypercl.sweep.final.selection import (
    Chosen,
    FinalSelection,
    best_first,
    check_final,
    choice,
    current_selection,
    parts_of,
    runs_of,
    selections_of,
    write_selections,
)
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.protocols import Role
from hypercl.sweep.study.ranking import RACE
from hypercl.sweep.study.record import StudyRecord
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
Studies = Callable[[SweepFile], SweepStudy]

pytestmark = pytest.mark.usefixtures("in_the_order_of_values")


def told(study: SweepStudy, *values: float, broken: tuple[int, ...] = ()) -> None:
    """Complete trials of these values; those named by `broken` are out of a measured bound."""
    for value in values:
        suggestion = study.ask()
        assert suggestion is not None
        violations = {"forgetting": 0.1} if suggestion.number in broken else {}
        study.decide(suggestion.number, Outcome("complete", value=value, violations=violations, seconds=60.0))
        study.settle(suggestion.number)


def enqueued(sweep_file: Files, *betas: float, best: int = 3) -> SweepFile:
    """The base (beta 0.01), then these; the best so many are for the final step."""
    given = ", ".join(f"{{method.beta: {beta}}}" for beta in betas)
    return sweep_file(f"search.enqueue=[{given}]", f"final.settings={best}")


def chosen(study: SweepStudy) -> list[tuple[str, int | None]]:
    return [(one.label, one.trial) for one in choice(study.record())]


def test_the_best_settings_come_first_and_the_one_as_written_last(sweep_file: Files, open_study: Studies) -> None:
    file = enqueued(sweep_file, 0.1, 0.2, 0.3, 0.4)
    study = open_study(file)
    told(study, 0.5, 0.6, 0.9, 0.7, 0.8)
    found = choice(study.record())
    assert [one.label for one in found] == ["trial-2", "trial-4", "trial-3", "base"]
    beliefs = study.record().beliefs
    assert [one.promised for one in found] == [(beliefs[number].mean,) for number in (2, 4, 3, 0)]
    assert found[0].interval == beliefs[2].interval
    assert [one.settings["method.beta"] for one in found[:3]] == [0.2, 0.4, 0.3]
    assert (found[-1].trial, found[-1].settings) == (0, {})


def test_the_setting_as_written_is_not_there_twice(sweep_file: Files, open_study: Studies) -> None:
    file = enqueued(sweep_file, 0.1, 0.2, best=2)
    study = open_study(file)
    told(study, 0.8, 0.9, 0.1)
    assert chosen(study) == [("trial-1", 1), ("base", 0)]


def test_equal_settings_are_trained_once(sweep_file: Files, open_study: Studies) -> None:
    file = enqueued(sweep_file, 0.1, 0.2, best=2)
    study = open_study(file)
    told(study, 0.1)
    study.optuna.enqueue_trial({"method.beta": 0.1, "hypernet.task_embedding": 8})
    told(study, 0.9, 0.8, 0.85)
    assert chosen(study) == [("trial-1", 1), ("trial-2", 2), ("base", 0)]


def test_what_is_out_of_bounds_is_not_chosen(sweep_file: Files, open_study: Studies) -> None:
    file = enqueued(sweep_file, 0.1, 0.2, best=1)
    study = open_study(file)
    told(study, 0.5, 0.9, 0.8, broken=(1,))
    assert chosen(study) == [("trial-2", 2), ("base", 0)]


def test_where_nothing_is_within_the_bounds_nothing_is_chosen(sweep_file: Files, open_study: Studies) -> None:
    file = enqueued(sweep_file, 0.1)
    study = open_study(file)
    told(study, 0.5, 0.9, broken=(0, 1))
    assert (choice(study.record()), best_first(study.record())) == ([], [])


def test_a_race_goes_before_the_search(sweep_file: Files, open_study: Studies) -> None:
    file = enqueued(sweep_file, 0.1, 0.2, best=2)
    study = open_study(file)
    told(study, 0.5, 0.9, 0.8)
    plan = Plan(seeds=3, block=3, level=0.01)
    race = RaceRecord(3, (1, 2), plan, 0.05, True, {1: (0.7, 0.7, 0.7), 2: (0.9, 0.8, 0.9)})
    study.optuna.set_user_attr(RACE, {"races": [race.plain()]})
    assert chosen(study) == [("trial-2", 2), ("trial-1", 1), ("base", 0)]


def test_every_setting_has_the_same_seeds_in_bundles_that_fill_the_machine(
    sweep_file: Files, open_study: Studies, tmp_path: Path
) -> None:
    file = enqueued(sweep_file, 0.1, best=1)
    study = open_study(file)
    told(study, 0.5, 0.9)
    opening = current_selection(study.record(), choice(study.record()), concurrent=7)
    runs = runs_of(file, opening, tmp_path)
    assert opening.parts == 3
    assert (opening.cost["trials"], opening.cost["hours"]) == (2, pytest.approx(2 / 60))
    assert [run.folder.relative_to(tmp_path).parts for run in runs[:3]] == [
        ("final", "trial-1", f"seeds-{first}-{last}")
        for first, last in ((2000001, 2000003), (2000004, 2000006), (2000007, 2000010))
    ]
    for label in ("trial-1", "base"):
        assert [seed for run in runs if run.label == label for seed in run.seeds] == list(opening.seeds)
    assert {run.data for run in runs} == {"report"}
    assert all(run.experiment.method.beta == (0.1 if run.label == "trial-1" else 0.01) for run in runs)


def test_a_second_opening_has_seeds_that_none_had_before(sweep_file: Files, open_study: Studies) -> None:
    file = enqueued(sweep_file, 0.1)
    study = open_study(file)
    told(study, 0.5, 0.9)
    first = current_selection(study.record(), choice(study.record()), concurrent=2)
    write_selections(study, [first])
    second = current_selection(study.record(), choice(study.record()), concurrent=2)
    assert not set(first.seeds) & set(second.seeds)
    write_selections(study, [first, second])
    assert selections_of(study.optuna.user_attrs) == [first, second]
    file_again = open_study(file)
    assert selections_of(file_again.optuna.user_attrs) == [first, second]


PERMUTED = """
experiment: {tasks: {name: permuted_mnist, num_tasks: 4}}
space: {method.beta: {log_uniform: [1e-4, 10]}}
"""


def opened(file: SweepFile) -> FinalSelection:
    """Of a sweep that has no study yet, on a machine for one run at a time."""
    record = StudyRecord(Path("nowhere"), file, ())
    both = [Chosen("trial-1", 1, {"method.beta": 0.1}, (0.9,)), Chosen("base", None, {}, None)]
    return current_selection(record, both, concurrent=1)


def test_where_an_order_is_drawn_each_seed_has_its_own_and_all_settings_the_same(tmp_path: Path) -> None:
    file = loads(PERMUTED, "permuted.yaml")
    opening = opened(file)
    runs = runs_of(file, opening, tmp_path)
    assert len(runs) == 20
    orders: dict[str, list[tuple[int, Any]]] = {"trial-1": [], "base": []}
    for run in runs:
        tasks: Any = run.experiment.tasks
        orders[run.label].append((run.experiment.training.seed, tasks.order_seed))
    assert orders["trial-1"] == orders["base"]
    assert [order for _, order in orders["base"]] == list(opening.orders or ())
    assert len(set(opening.orders or ())) == 10


def test_settings_whose_seeds_take_their_steps_apart_are_trained_one_by_one(sweep_file: Files, tmp_path: Path) -> None:
    file = sweep_file("training.early_stopping={}", "training.schedule={name: constant}")
    opening = opened(file)
    assert [len(run.seeds) for run in runs_of(file, opening, tmp_path)] == [1] * 20


@pytest.mark.parametrize(("key", "label"), [("from_scratch", "scratch"), ("joint", "joint")])
def test_a_reference_has_the_same_target_and_seeds(key: str, label: str, sweep_file: Files, tmp_path: Path) -> None:
    file = sweep_file(f"final.{key}=true")
    opening = opened(file)
    *_, scratch = runs_of(file, opening, tmp_path)
    assert opening.references == (label,)
    assert (scratch.label, scratch.experiment.method.name) == (label, label)
    assert scratch.experiment.hypernet.name == "none"
    assert tuple(scratch.seeds) == opening.seeds
    assert scratch.experiment.target == file.experiment.target
    assert scratch.experiment.training.optimizer == file.experiment.training.optimizer


def test_training_another_target_from_scratch_is_refused(sweep_file: Files) -> None:
    own = sweep_file("final.from_scratch=true", "space={target.hidden: {choice: [[10], [20]]}}")
    with pytest.raises(UserError, match=r"same target, and the space varies target\.hidden"):
        check_final(own)
    check_final(sweep_file("final.from_scratch=true"))


@settings(deadline=None)
@given(seeds=st.integers(5, 100), count=st.integers(1, 20), concurrent=st.integers(1, 500))
def test_bundles_fill_what_runs_at_once_and_no_more(seeds: int, count: int, concurrent: int) -> None:
    parts = parts_of(seeds, count, concurrent)
    assert 1 <= parts <= seeds
    assert parts == 1 or parts * count <= concurrent


@settings(deadline=None, max_examples=20)
@given(first=st.integers(0, 10_000), seeds=st.integers(5, 1000), openings=st.integers(1, 5))
def test_seeds_of_the_final_step_are_never_those_of_the_search_or_a_race(first: int, seeds: int, openings: int) -> None:
    text = PERMUTED + f"final: {{seeds: {seeds}}}\n"
    file = loads(text.replace("num_tasks: 4}", f"num_tasks: 4}}, training: {{seed: {first}}}"), "p.yaml")
    found = opened(file)
    low = first + Role.REPORT * 1_000_000
    assert min(found.seeds) >= low
    assert len(set(found.seeds)) == seeds
    assert max(found.seeds) + openings * seeds < low + 1_000_000
