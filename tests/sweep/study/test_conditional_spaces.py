"""Spaces with conditions and computed values, through the study, the journal and every file that people read."""

import csv
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypercl.analysis import draw_sweep, read_trials
from hypercl.config import Distribution, Experiment, SweepFile, UserError, check_sweep, load, loads, lookup, resolved
from hypercl.sweep import plan_rows
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.plan.dry_run import sampled
from hypercl.sweep.planner import planner_of
from hypercl.sweep.results.files import ranked_rows, write_best, write_sweep, write_trials
from hypercl.sweep.study.constraints import Bounds
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.resume_check import check_same
from hypercl.sweep.study.space import draw, experiment_of, params_of, settings_of
from hypercl.sweep.study.study import SweepStudy
from hypercl.sweep.workers.engine import Engine

TEXT = """
experiment: {tasks: {name: split_digits}}
space:
  training.optimizer.momentum: {uniform: [0, 0.95], when: {training.optimizer.name: sgd}}
  hypernet.name: {choice: [chunked, full]}
  hypernet.hidden: {choice: [[10, 10], [50], []]}
  hypernet.chunk_size: {int_log: [500, 50000], when: {hypernet.name: chunked}}
  hypernet.chunk_embedding: {equals: hypernet.task_embedding, when: {hypernet.name: chunked}}
  hypernet.task_embedding: {choice: [48, 96]}
  training.optimizer.name: {choice: [adam, sgd]}
search: {sampler: random, trials: 20}
"""


@pytest.fixture
def file() -> SweepFile:
    found = loads(TEXT, "x")
    check_sweep(found, "x")
    return found


def trained(study: SweepStudy, count: int) -> None:
    for _ in range(count):
        asked = study.ask()
        assert asked is not None
        study.decide(asked.number, Outcome("complete", value=0.5 + 0.01 * asked.number))
        study.settle(asked.number)


def test_a_setting_has_what_its_conditions_allow_and_nothing_else(file: SweepFile) -> None:
    rng = random.Random(0)
    kinds = set()
    for _ in range(50):
        params = draw(file.space, rng)
        kind, optimizer = params["hypernet.name"], params["training.optimizer.name"]
        kinds.add((kind, optimizer))
        assert ("hypernet.chunk_size" in params) == (kind == "chunked")
        assert ("training.optimizer.momentum" in params) == (optimizer == "sgd")
        experiment = experiment_of(file.experiment, file.space, params)
        found = settings_of(file.experiment, file.space, params)
        assert {path: lookup(experiment, path) for path in found} == found
        assert list(found) == [path for path in file.space if path in found]
        if kind == "chunked":
            assert experiment.hypernet.chunk_embedding == experiment.hypernet.task_embedding
    assert len(kinds) == 4


def test_trunk_shapes_conditions_and_computed_values_stand_in_every_file(file: SweepFile, tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "study.journal", "t", file, 1)
    trained(study, 10)
    again = SweepStudy(tmp_path / "study.journal", "t", file, 1)
    assert [trial.params for trial in again.trials()] == [trial.params for trial in study.trials()]
    write_sweep(tmp_path, file, "t")
    write_trials(tmp_path, again)
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    for row in rows:
        chunked = row["hypernet.name"] == "chunked"
        assert json.loads(row["hypernet.hidden"]) in ([10, 10], [50], [])
        assert row["hypernet.chunk_embedding"] == (row["hypernet.task_embedding"] if chunked else "")
        assert bool(row["hypernet.chunk_size"]) == chunked
    assert {row["hypernet.name"] for row in rows} == {"chunked", "full"}
    table = ranked_rows(again.record())
    assert {tuple(row) for row in table} == {("trial", "value", "expected", *file.space)}
    assert {row["hypernet.chunk_embedding"] for row in table} <= {48, 96, ""}
    best = write_best(again.record(), "t")
    assert best is not None
    expected = experiment_of(file.experiment, file.space, again.trials()[9].params)
    assert load(best).experiment.hypernet == expected.hypernet
    assert len(draw_sweep(file, read_trials(tmp_path / "trials.csv"), tmp_path / "figures")) >= 2


def test_a_figure_is_drawn_though_no_setting_had_the_key(file: SweepFile, tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "study.journal", "t", file, 1)
    trained(study, 1)
    write_sweep(tmp_path, file, "t")
    write_trials(tmp_path, study)
    assert draw_sweep(file, read_trials(tmp_path / "trials.csv"), tmp_path / "figures")


def test_the_plan_and_the_dry_run_know_conditions(file: SweepFile, tmp_path: Path) -> None:
    rows = dict(plan_rows(file, SweepOptions(folder=tmp_path / "r", data_dir=tmp_path), Engine()))
    assert rows["space training.optimizer.momentum"] == "0 to 0.95, when training.optimizer.name is sgd"
    chunk = "computed: hypernet.task_embedding, when hypernet.name is chunked"
    assert rows["space hypernet.chunk_embedding"] == chunk
    verdicts = sampled(file, Bounds(file, Engine().sizes))
    assert all(verdict.feasible for verdict in verdicts)


def test_a_value_that_only_the_setting_shows_to_be_refused_is_infeasible() -> None:
    file = loads(
        """
experiment: {tasks: {name: split_digits}}
space:
  method.beta: {uniform: [0, 1]}
  hypernet.task_embedding: {equals: 96 / (100 * method.beta - 1)}
""",
        "x",
    )
    check_sweep(loads(TEXT, "x"), "x")
    verdict = Bounds(file, Engine().sizes).judge({"method.beta": 0.01})
    assert (verdict.feasible, verdict.violations["valid"]) == (False, 1.0)
    assert "hypernet.task_embedding: equals 96 / (100 * method.beta - 1)" in verdict.why
    assert not Bounds(file, Engine().sizes).judge({"method.beta": 0.5}).feasible


def test_settings_are_tried_first_once_and_new_ones_when_the_file_grows(tmp_path: Path) -> None:
    first, second = "{hypernet.name: full, hypernet.hidden: [50]}", "{training.optimizer.name: sgd}"
    one, both = (loads(TEXT, "x", [f"search.enqueue=[{entries}]"]) for entries in (first, f"{first}, {second}"))
    study = SweepStudy(tmp_path / "study.journal", "t", one, 1)
    write_sweep(tmp_path, one, "t")
    trained(study, 1)
    trained(SweepStudy(tmp_path / "study.journal", "t", one, 1), 3)
    check_same(tmp_path, both)
    for _ in range(2):
        trained(SweepStudy(tmp_path / "study.journal", "t", both, 1), 1)
    trials = SweepStudy(tmp_path / "study.journal", "t", both, 1).trials()
    assert len(trials) == 6
    base = params_of(one.experiment, one.space, {})
    assert trials[0].params == base
    expected = {path: value for path, value in base.items() if "chunk" not in path}
    assert trials[1].params == expected | {"hypernet.name": "full", "hypernet.hidden": "[50]"}
    assert trials[4].params == base | {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.9}
    assert trials[5].user_attrs.keys() == {"outcome", "ending"}


def test_a_driver_killed_while_asking_a_conditional_setting_leaves_a_whole_one(file: SweepFile, tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    trained(SweepStudy(journal, "t", file, 1), 1)
    SweepStudy(journal, "t", file, 1).ask()
    lines = journal.read_bytes().splitlines(keepends=True)
    asked = [index for index, line in enumerate(lines) if b'"op_code":5' in line and b'"trial_id":1' in line]
    assert len(asked) > 1
    for cut in asked:
        journal.write_bytes(b"".join(lines[:cut]))
        study = SweepStudy(journal, "t", file, 1)
        (suggestion,) = study.leftovers()
        assert suggestion.number == 1
        kept = {path: value for path, value in suggestion.params.items() if path in study.trials()[1].params}
        assert kept == study.trials()[1].params
        assert ("hypernet.chunk_size" in kept) == (kept["hypernet.name"] == "chunked")


def test_a_grid_has_each_cell_that_its_conditions_allow_once(tmp_path: Path) -> None:
    file = loads(
        """
experiment: {tasks: {name: split_digits}}
space:
  hypernet.chunk_size: {choice: [500, 42000], when: {hypernet.name: chunked}}
  hypernet.name: {choice: [chunked, full]}
  hypernet.hidden: {choice: [[10, 10], []]}
search: {sampler: grid}
pruner: {name: hyperband}
""",
        "x",
    )
    cells = []
    while (asked := planner_of(file).next(SweepStudy(tmp_path / "j", "t", file, 1))) is not None:
        cells.append(
            (asked.params["hypernet.name"], asked.params["hypernet.hidden"], asked.params.get("hypernet.chunk_size"))
        )
    shapes = ("[10, 10]", "[]")
    expected = [("chunked", shape, size) for shape in shapes for size in (500, 42000)]
    assert sorted(cells, key=str) == sorted([*expected, *(("full", shape, None) for shape in shapes)], key=str)


ENTRIES: dict[str, list[dict[str, Any]]] = {
    "method.lookahead": [{"choice": [True, False]}],
    "method.beta": [
        {"uniform": [0.01, 1]},
        {"log_uniform": [1e-3, 1]},
        {"choice": [0.01, 0]},
        {"uniform": [0, 0.04], "step": 0.01},
    ],
    "hypernet.task_embedding": [{"int": [6, 96], "step": 9}, {"int_log": [8, 96]}, {"choice": [8, 96]}],
    "hypernet.hidden": [{"choice": [[10, 10], [], [50]]}, {"equals": "[hypernet.task_embedding, 50]"}],
    "training.batch_size": [{"equals": "hypernet.task_embedding + 32"}, {"choice": [128, 32]}],
    "training.optimizer.lr": [{"equals": "method.beta / 10 + 1e-4"}, {"log_uniform": [1e-4, 1e-2]}],
    "training.clip_norm": [{"choice": [None, 1.0]}],
}


@st.composite
def spaces(draw_: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Some entries, each of one of its forms; conditions on entries before it, so that there is no circle."""
    found: dict[str, dict[str, Any]] = {}
    for path in draw_(st.permutations(list(ENTRIES))):
        if draw_(st.booleans()):
            continue
        entry = dict(draw_(st.sampled_from(ENTRIES[path])))
        parents = [other for other, given in found.items() if "choice" in given]
        if parents and draw_(st.booleans()):
            parent = draw_(st.sampled_from(parents))
            values = found[parent]["choice"]
            wanted = draw_(st.lists(st.sampled_from(values), min_size=1, unique_by=repr))
            entry["when"] = {parent: wanted}
        found[path] = entry
    return found


def is_drawn(space: dict[str, dict[str, Any]]) -> bool:
    """Whether anything is left to search."""
    return any("equals" not in entry for entry in space.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(space=spaces().filter(is_drawn), seed=st.integers(0, 1000))
def test_any_setting_of_any_space_is_an_experiment_and_comes_back_from_the_journal(space: dict, seed: int) -> None:
    base = loads("experiment: {tasks: {name: split_digits}}", "x").experiment
    text = {
        "experiment": resolved(base),
        "space": space,
        "search": {"include_base": False, "sampler": "random", "seed": seed},
    }
    file = SweepFile.model_validate(text)
    check_sweep(file, "x")
    with tempfile.TemporaryDirectory() as folder:
        study = SweepStudy(Path(folder) / "j", "t", file, 1)
        asked = [study.ask() for _ in range(3)]
        again = SweepStudy(Path(folder) / "j", "t", file, 1)
        assert again.leftovers() == asked
        assert SweepFile.model_validate(resolved(file)) == file
    for suggestion in asked:
        assert suggestion is not None
        experiment = experiment_of(file.experiment, file.space, suggestion.params)
        found = settings_of(file.experiment, file.space, suggestion.params)
        assert Experiment.model_validate(resolved(experiment)) == experiment
        for path, value in found.items():
            assert lookup(experiment, path) == value
        for path, one in file.space.items():
            assert one.equals is not None or path not in found or one.contains(found[path])
        for path in set(file.space) - set(found):
            assert lookup(experiment, path) == lookup(base, path)


def test_a_suggestion_beyond_its_distribution_is_refused(file: SweepFile) -> None:
    with pytest.raises(UserError, match=r"hypernet\.task_embedding"):
        params_of(file.experiment, file.space, {"hypernet.task_embedding": 7})
    assert params_of(file.experiment, {"p": Distribution.model_validate({"choice": [1, 2]})}, {"p": 1.0}) == {"p": 1}
