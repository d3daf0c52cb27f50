"""How sure a sweep's result is, in sentences."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from made_sweep import SMALL, made_sweep

from hypercl.config import loads
from hypercl.sweep.results.how_sure import how_sure_rows
from hypercl.sweep.results.importance import Importance, importances, importances_by_task
from hypercl.sweep.results.report import write_by_task
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.record import StudyRecord, read_sweep
from hypercl.sweep.study.study import SweepStudy

WITH_BASE = """
experiment: {tasks: {name: split_digits}, method: {name: hnet, beta: 0.01}}
space: {method.beta: {log_uniform: [1e-4, 10]}}
search: {sampler: random, trials: 40, seeds: 2}
"""


def record_of(folder: Path, values: Sequence[float], *more: str, early: Sequence[float] | None = None) -> StudyRecord:
    """A sweep with these values (nan: best at beta = 3), the first of the setting as written; `early` after task 2."""
    folder.mkdir(exist_ok=True)
    study = SweepStudy(folder / "study.journal", "t", loads(WITH_BASE, "x", more), 1)
    for place, value in enumerate(values):
        asked = study.ask()
        number = asked.number
        if math.isnan(value):
            value = 0.9 - 0.1 * abs(math.log10(asked.params["method.beta"]) - 0.5)
        for step in range(1, 21):
            study.report(number, step, early[place] if early and step == 8 else value * step / 20)
        study.decide(number, Outcome("complete", value=value))
        study.settle(number)
    return study.record()


def test_a_clear_winner_is_better_with_certainty_and_a_lucky_one_is_not(tmp_path: Path) -> None:
    clear = dict(how_sure_rows(record_of(tmp_path / "a", [math.nan] * 20), {}))
    assert "better than the setting as written with probability above 0.99" in clear["winner"]
    assert "than the runner-up (trial" in clear["winner"]
    noise = [0.5 + 0.02 * (-1) ** place * (place % 3) for place in range(8)]
    lucky = dict(how_sure_rows(record_of(tmp_path / "b", noise), {}))
    assert "above 0.99" not in lucky["winner"]
    assert "bootstrap over 8 trials" in lucky["another seed"]


def test_of_several_goals_or_one_trial_nothing_is_said(tmp_path: Path) -> None:
    assert how_sure_rows(record_of(tmp_path, [0.5]), {}) == []


@pytest.mark.parametrize(("turned", "doubtful"), [(False, False), (True, True)])
def test_pruning_is_safe_where_the_order_at_a_rung_is_that_at_the_end(
    turned: bool, doubtful: bool, tmp_path: Path
) -> None:
    values = [0.5 + 0.03 * place for place in range(10)]
    early = [0.4 * (1 - value if turned else value) for value in values]
    record = record_of(tmp_path, values, "pruner={name: patient, patience: 40}", early=early)
    told = dict(how_sure_rows(record, {}))["pruning"]
    assert f"task 2 {'-1.00 (no more than chance)' if turned else '1.00'}, task 3 1.00, task 4 1.00" in told
    assert ("prune later" in told) == doubtful
    assert "over 10 complete trials" in told


def test_a_sweep_without_a_pruner_says_nothing_of_pruning(tmp_path: Path) -> None:
    assert "pruning" not in dict(how_sure_rows(record_of(tmp_path, [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]), {}))


def test_what_matters_for_each_task_is_found(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=30)
    found = importances_by_task(read_sweep(tmp_path / "made"))
    assert list(found) == [f"task {number}" for number in range(1, 6)]
    for one in found.values():
        assert [each.path for each in one if each.stands_out] == ["method.beta"]
    write_by_task(found, tmp_path)
    head, first, *_ = (tmp_path / "importance_by_task.csv").read_text().splitlines()
    assert head == "task,parameter,importance,chance"
    assert first.startswith("task 1,")


def test_few_trials_say_nothing_of_tasks(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=4, text=SMALL)
    assert importances_by_task(read_sweep(tmp_path / "made")) == {}


def test_tasks_that_agree_share_a_sentence(tmp_path: Path) -> None:
    beta, lr = Importance("method.beta", 0.9, 0.5), Importance("training.optimizer.lr", 0.1, 0.5)
    by_task = {"task 1": [lr], "task 2": [beta, lr], "task 3": [beta, lr]}
    record = record_of(tmp_path, [0.5])
    assert how_sure_rows(record, by_task) == [("by task", "task 1: no more than chance; tasks 2 to 3: method.beta")]
    none = "no parameter matters for the accuracy on any task more than chance would show"
    assert how_sure_rows(record, {"task 1": [lr]}) == [("by task", none)]


def test_an_evaluator_of_optunas_takes_the_place_of_ped_anova_and_answers_in_plain_numbers(tmp_path: Path) -> None:
    given = 'search.importance={import: "optuna.importance:FanovaImportanceEvaluator", kwargs: {n_trees: 4, seed: 0}}'
    found = importances(record_of(tmp_path, [math.nan] * 10, given))
    assert [each.path for each in found] == ["method.beta"]
    assert type(found[0].share) is float
    assert type(found[0].stands_out) is bool
