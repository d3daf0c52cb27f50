"""What a sampler learns from earlier sweeps, and what does not become of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from hypercl.config import ConfigError, SweepFile, UserError, check_sweep, loads
from hypercl.sweep.final.data_used import data_used_rows
from hypercl.sweep.final.selection import choice, current_selection, selections_of, write_selections
from hypercl.sweep.results.cost import cost_rows
from hypercl.sweep.results.files import TrialsTable, write_sweep
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.study.resume_check import check_same
from hypercl.sweep.study.sampler_view import seen_with
from hypercl.sweep.study.study import SweepStudy
from hypercl.sweep.study.warm_start import (
    WARM_START,
    Earlier,
    centre_of,
    earlier_cost,
    earlier_of,
    keep_earlier,
    kept_earlier,
)

TEXT = """
experiment:
  tasks:    {name: split_digits}
  hypernet: {chunk_size: 200}
  method:   {beta: 0.1}
  training: {iterations: 10, threads: 1}
space: {method.beta: {log_uniform: [1e-4, 10]}}
search: {trials: 30, startup_trials: 4}
"""


def file(*overrides: str) -> SweepFile:
    return loads(TEXT, "test.yaml", overrides)


def swept(folder: Path, given: SweepFile, value_of: Callable[[dict[str, Any]], float], trials: int) -> SweepStudy:
    """A sweep of some trials in a folder, with the value of each setting."""
    folder.mkdir(exist_ok=True)
    write_sweep(folder, given, folder.name)
    keep_earlier(folder, earlier_of(folder, given))
    study = SweepStudy(folder / "study.journal", folder.name, given, threads=1)
    while study.trained < trials:
        suggestion = study.ask()
        study.decide(suggestion.number, Outcome("complete", value=value_of(dict(suggestion.params)), seconds=60.0))
        study.settle(suggestion.number)
    return study


def near(params: dict[str, Any]) -> float:
    """Best at a beta of 3."""
    return 0.9 - abs(params["method.beta"] - 3) / 10


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A sweep of 20 trials."""
    swept(tmp_path / "known", file("search.sampler=random"), near, 20)
    return tmp_path / "known"


def warm(known: Path, *overrides: str) -> SweepFile:
    return file(f"search.warm_start=[{known}]", *overrides)


def test_the_sampler_learns_before_its_first_trial_and_nothing_becomes_a_result(known: Path, tmp_path: Path) -> None:
    study = swept(tmp_path / "new", warm(known), near, 6)
    betas = [trial.params["method.beta"] for trial in study.trials()[1:]]
    cold = [trial.params["method.beta"] for trial in swept(tmp_path / "cold", file(), near, 6).trials()[1:]]
    assert sum(beta > 0.5 for beta in betas) > sum(beta > 0.5 for beta in cold)
    record = read_sweep(tmp_path / "new")
    assert len(record.trials) == record.trained == 6
    assert len(TrialsTable(study.file).text(record.trials).splitlines()) == 7
    assert {trial.number for trial in record.ranked()} == set(range(6))
    assert dict(data_used_rows(record))["its sampler knew"].startswith("20 of 20 complete trials of ")
    assert '"known"' not in (tmp_path / "new" / "study.journal").read_text()


def test_values_are_moved_from_one_setting_as_written_to_the_other(known: Path, tmp_path: Path) -> None:
    study = swept(tmp_path / "new", warm(known), lambda params: near(params) - 0.5, 3)
    (one,) = earlier_of(tmp_path / "new", study.file)
    seen = seen_with(study.optuna, [one], study.file).get_trials(states=(TrialState.COMPLETE,))
    theirs, own = seen[:20], seen[20:]
    assert len(own) == 3
    assert one.centre == centre_of(read_sweep(known).trials, of_written=True)
    for trial in (*theirs, *own):
        assert trial.value == pytest.approx(near(trial.params) - 0.5)
    assert len(study.optuna.get_trials()) == 3


def test_a_resumed_sweep_needs_no_earlier_one(known: Path, tmp_path: Path) -> None:
    given = warm(known)
    swept(tmp_path / "new", given, near, 2)
    written = (tmp_path / "new" / WARM_START).read_text()
    known.rename(tmp_path / "elsewhere")
    swept(tmp_path / "new", given, near, 3)
    swept(tmp_path / "new", file(), near, 4)
    assert (tmp_path / "new" / WARM_START).read_text() == written
    check_same(tmp_path / "new", given)


def used(known: Path, tmp_path: Path, *overrides: str) -> Earlier:
    (one,) = earlier_of(tmp_path / "new", warm(known, *overrides))
    return one


def test_missing_keys_have_the_others_own_value_and_what_lies_outside_is_left_out(known: Path, tmp_path: Path) -> None:
    wider = "space={method.beta: {log_uniform: [1e-2, 100]}, hypernet.chunk_size: {choice: [100, 200]}}"
    one = used(known, tmp_path, "hypernet.chunk_size=100", wider)
    betas = [trial.params["method.beta"] for trial in read_sweep(known).trials]
    inside = [beta for beta in betas if beta >= 0.01]
    assert [dict(params) for params in one.params] == [
        {"method.beta": beta, "hypernet.chunk_size": 200} for beta in inside
    ]
    assert one.in_words == (
        f"{len(inside)} of 20 complete trials of {known}, each as its distance from its setting as written; "
        f"{20 - len(inside)} lie outside of this space"
    )
    assert 0 < len(inside) < 20


def test_keys_that_hang_on_others_are_part_of_a_setting_where_these_say_so(known: Path, tmp_path: Path) -> None:
    beta = "method.beta: {log_uniform: [1e-4, 10], when: {method.name: hnet}}"
    one = used(known, tmp_path, f"space={{method.name: {{choice: [hnet, finetune]}}, {beta}}}")
    assert len(one.params) == 20
    assert all(params["method.name"] == "hnet" and "method.beta" in params for params in one.params)


def test_the_cost_of_what_is_known_is_kept_and_each_sweep_counts_once(known: Path, tmp_path: Path) -> None:
    swept(tmp_path / "second", warm(known), near, 3)
    both = file(f"search.warm_start=[{tmp_path / 'second'}, {known}]")
    study = swept(tmp_path / "third", both, near, 2)
    known.rename(tmp_path / "elsewhere")
    cost = earlier_cost(kept_earlier(tmp_path / "third"))
    assert cost is not None
    assert (cost["sweeps"], cost["trials"], cost["hours"], cost["opened"]) == (2, 23, pytest.approx(23 / 60), 0)
    opening = current_selection(study.record(), choice(study.record()), concurrent=1)
    write_selections(study, [opening])
    assert selections_of(study.record().attributes)[0].earlier == cost
    assert dict(cost_rows(study.record()))["spent before"] == (
        "23 trials: 23 min of training, in 2 earlier sweeps that the sampler knew"
    )


def test_test_data_that_had_been_opened_before_is_named(known: Path, tmp_path: Path) -> None:
    before = SweepStudy(known / "study.journal", "known", file("search.sampler=random"), threads=1)
    write_selections(before, [current_selection(before.record(), choice(before.record()), concurrent=1)])
    study = swept(tmp_path / "new", warm(known), near, 1)
    assert dict(data_used_rows(study.record()))["its sampler knew"].endswith("; its test data had been opened")


def test_of_a_file_that_kept_no_costs_they_are_unknown(known: Path, tmp_path: Path) -> None:
    study = swept(tmp_path / "new", warm(known), near, 1)
    path = tmp_path / "new" / WARM_START
    path.write_text(
        json.dumps([{key: value for key, value in json.loads(path.read_text())[0].items() if key != "spent"}])
    )
    assert dict(cost_rows(study.record()))["spent before"] == "in an earlier sweep that the sampler knew: unknown"


def test_what_was_tuned_on_test_data_teaches_no_other_sweep(tmp_path: Path) -> None:
    leak = "protocol={name: test_leak}"
    swept(tmp_path / "known", file("search.sampler=random", leak), near, 3)
    assert "tuned on test data" in used(tmp_path / "known", tmp_path).in_words
    assert len(used(tmp_path / "known", tmp_path, leak).params) == 3


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["objective.minimize=validation/forgetting"], "its objective is another (maximize validation/final_accuracy)"),
        (["space={method.beta: {log_uniform: [20, 50]}}"], "none of its 20 complete trials is a setting of this space"),
    ],
)
def test_a_sweep_that_cannot_be_learned_from_is_named_with_the_reason(
    overrides: list[str], why: str, known: Path, tmp_path: Path
) -> None:
    assert used(known, tmp_path, *overrides).in_words == f"nothing of {known}: {why}"


@pytest.mark.parametrize("sampler", ["random", "nsga2", "cmaes"])
def test_a_sampler_that_learns_from_its_own_trials_alone_is_refused(sampler: str, known: Path) -> None:
    overrides = (
        [f"search.sampler={sampler}", "search.startup_trials=null"] if sampler != "cmaes" else ["search.sampler=cmaes"]
    )
    with pytest.raises(ConfigError, match=f"{sampler} learns from no trials but its own"):
        check_sweep(warm(known, *overrides), "test.yaml")


def test_a_folder_without_a_sweep_and_the_sweeps_own_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"search.warm_start: there is no folder"):
        earlier_of(tmp_path / "new", warm(tmp_path / "none"))
    with pytest.raises(UserError, match="own folder"):
        earlier_of(tmp_path / "new", warm(tmp_path / "new"))


def test_damage_is_refused_with_what_to_do(known: Path, tmp_path: Path) -> None:
    swept(tmp_path / "new", warm(known), near, 1)
    (tmp_path / "new" / WARM_START).write_text("[{}]")
    with pytest.raises(UserError, match="is damaged"):
        SweepStudy(tmp_path / "new" / "study.journal", "new", file(), threads=1)


def test_the_gaussian_process_learns_from_them_too(known: Path, tmp_path: Path) -> None:
    study = swept(tmp_path / "new", warm(known, "search.sampler=gp"), near, 6)
    assert max(trial.value or 0 for trial in study.trials()[1:]) > 0.8
