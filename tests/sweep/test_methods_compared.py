"""Several methods in one sweep: how it is written, what each trial trains, the table and the final step."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from hypercl.analysis.confirming import confirming_round
from hypercl.analysis.race_record import RaceRecord
from hypercl.analysis.racing import Plan
from hypercl.config import ConfigError, SweepFile, UserError, assign, check_sweep, loads
from hypercl.config.models import key_of
from hypercl.sweep.final.selection import choice
from hypercl.sweep.plan.plan import _methods
from hypercl.sweep.results.files import TrialsTable, ranked_rows, write_sweep
from hypercl.sweep.results.methods import methods_rows
from hypercl.sweep.study.constraints import Bounds
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.ranking import RACE
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.study.space import draw, experiment_of, method_of, params_of, settings_of
from hypercl.sweep.study.study import SweepStudy
from hypercl.training import sizes

HEAD = """
experiment:
  tasks: {name: split_digits}
  target: {name: mlp, hidden: [8]}
  hypernet: {chunk_size: 50, task_embedding: 4, chunk_embedding: 4}
  method: {name: hnet, beta: 0.05}
constraints: {compression_ratio: {max: 0.9}}
search: {trials: 12, sampler: random}
"""
SPACE = """
space:
  method.name: {choice: [hnet, ewc, si, er]}
  method.beta: {log_uniform: [1e-3, 10]}
  method.strength@ewc: {log_uniform: [1e3, 1e9]}
  method.strength@si: {log_uniform: [0.1, 1e3]}
  hypernet.chunk_size: {int_log: [20, 200]}
  training.optimizer.lr: {log_uniform: [1e-4, 0.1]}
"""
SPELLED_OUT = """
space:
  method.name: {choice: [hnet, ewc, si, er]}
  method.beta: {log_uniform: [1e-3, 10], when: {method.name: hnet}}
  method.strength@ewc: {log_uniform: [1e3, 1e9], when: {method.name: ewc}}
  method.strength@si: {log_uniform: [0.1, 1e3], when: {method.name: si}}
  hypernet.chunk_size: {int_log: [20, 200], when: {method.name: [hnet]}}
  training.optimizer.lr: {log_uniform: [1e-4, 0.1]}
"""


def file_of(space: str = SPACE, head: str = HEAD, *more: str) -> SweepFile:
    file = loads(head + space, "x", more)
    check_sweep(file, "x")
    return file


@pytest.mark.parametrize("space", [SPACE, SPELLED_OUT])
def test_each_method_has_its_own_parameters_and_only_hypernetworks_a_hypernetwork(space: str) -> None:
    file, rng = file_of(space), random.Random(0)
    met = {}
    for _ in range(60):
        experiment = experiment_of(file.experiment, file.space, draw(file.space, rng))
        met.setdefault(experiment.method.name, []).append(experiment)
    assert set(met) == {"hnet", "ewc", "si", "er"}
    for name, experiments in met.items():
        assert {each.hypernet.name for each in experiments} == {"chunked" if name == "hnet" else "none"}
    assert min(each.method.strength for each in met["ewc"]) >= 1e3
    assert max(each.method.strength for each in met["si"]) <= 1e3
    assert len({each.hypernet.chunk_size for each in met["hnet"]}) > 3
    assert {each.hypernet.task_embedding for each in met["hnet"]} == {4}


def test_the_setting_as_written_is_that_of_its_method_and_others_begin_at_their_defaults() -> None:
    file = file_of()
    written = params_of(file.experiment, file.space, {})
    assert written == {
        "method.name": "hnet",
        "method.beta": 0.05,
        "hypernet.chunk_size": 50,
        "training.optimizer.lr": 0.001,
    }
    ewc = params_of(file.experiment, file.space, {"method.name": "ewc"})
    assert ewc["method.strength@ewc"] == 1e7
    si = params_of(file.experiment, file.space, {"method.name": "si", "method.strength": 5})
    assert settings_of(file.experiment, file.space, si)["method.strength"] == 5.0
    assert "method.strength@ewc" not in si
    with pytest.raises(UserError, match="only when"):
        params_of(file.experiment, file.space, {"method.name": "er", "method.strength@si": 5})


def test_with_a_baseline_as_written_a_hypernetwork_has_its_defaults() -> None:
    head = HEAD.replace("  hypernet: {chunk_size: 50, task_embedding: 4, chunk_embedding: 4}\n", "").replace(
        "{name: hnet, beta: 0.05}", "{name: ewc}"
    )
    file = file_of("space: {method.name: {choice: [ewc, hnet]}, hypernet.chunk_size: {int_log: [20, 200]}}", head)
    assert file.experiment.hypernet.name == "none"
    made = experiment_of(file.experiment, file.space, {"method.name": "hnet", "hypernet.chunk_size": 30})
    assert (made.hypernet.name, made.hypernet.chunk_size, made.hypernet.task_embedding) == ("chunked", 30, 96)


def test_another_method_has_its_own_defaults_but_for_what_its_family_shares() -> None:
    base = file_of().experiment
    ewc = assign(base, {"method.name": "ewc", "method.strength": 3.0})
    assert assign(ewc, {"method.name": "si"}).method.strength == 50.0
    assert assign(ewc, {"method.name": "online_ewc"}).method.strength == 1e8
    domain = assign(base, {"tasks.scenario": "domain", "method.name": "hnet_ent", "method.temperature": 2.0})
    assert (domain.method.beta, assign(domain, {"method.name": "hnet_tir"}).method.beta) == (0.05, 0.05)
    head = HEAD.replace("{name: hnet, beta: 0.05}", "{name: ewc, strength: 5e3}").replace("  hypernet: {ch", "  #")
    si = file_of(SPACE.replace("  hypernet.chunk_size: {int_log: [20, 200]}\n", ""), head)
    assert params_of(si.experiment, si.space, {"method.name": "si"})["method.strength@si"] == 50.0
    with pytest.raises(UserError, match="no entry for it is part of this setting"):
        params_of(si.experiment, si.space, {"method.name": "er", "method.strength": 5})


def test_methods_may_be_whole_sections() -> None:
    methods = "{choice: [{name: hnet, beta: 0.05}, {name: er, budget: 50}]}"
    file = file_of(f"space: {{method: {methods}, hypernet.chunk_size: {{int_log: [20, 200]}}}}")
    assert file.methods == ("hnet", "er")
    rng = random.Random(0)
    drawn = [draw(file.space, rng) for _ in range(20)]
    for params in drawn:
        experiment = experiment_of(file.experiment, file.space, params)
        assert method_of(params) == experiment.method.name
        assert (experiment.hypernet.name == "none") == (experiment.method.name == "er") == (len(params) == 1)
    assert {method_of(params) for params in drawn} == {"hnet", "er"}


def test_methods_that_may_have_a_hypernetwork_keep_the_one_that_is_written() -> None:
    space = "space: {method.name: {choice: [hnet, finetune, ewc]}, hypernet.chunk_size: {int_log: [20, 200]}}"
    file = file_of(space)
    assert file.space["hypernet.chunk_size"].when == {"method.name": ["hnet", "finetune"]}
    assert _methods(file) == [
        (
            "methods",
            "hnet, finetune: weights from the hypernetwork. ewc: the target's own weights, no hypernetwork; the bound "
            "on the compression ratio does not concern them",
        )
    ]


def test_a_bound_on_the_compression_ratio_is_one_on_hypernetworks() -> None:
    file = file_of()
    bounds = Bounds(file, sizes)
    assert bounds.judge({"method.name": "ewc", "method.strength@ewc": 1e4}).feasible
    assert not bounds.judge({"method.name": "hnet", "hypernet.chunk_size": 200}).feasible


@pytest.mark.parametrize(
    ("space", "path", "message"),
    [
        (
            "{method.name: {choice: [hnet, ewc]}, method.strength@a: {uniform: [0, 1], when: {method.name: ewc}}, "
            "method.strength@b: {uniform: [0, 1], when: {method.name: [ewc]}}}",
            "space.method.strength@a",
            "both this and",
        ),
        (
            "{method.name: {choice: [hnet, ewc]}, method.strength: {uniform: [0, 1]}, "
            "method.strength@ewc: {uniform: [0, 1]}}",
            "space.method.strength",
            "both this and",
        ),
        (
            "{method.name: {choice: [hnet, er]}, method.beta@lwf: {uniform: [0, 1]}}",
            "space.method.beta@lwf",
            "is none of",
        ),
        (
            "{method.name: {choice: [hnet, er]}, method.beta@er: {uniform: [0, 1]}}",
            "space.method.beta@er",
            "no such key",
        ),
        ("{method.name: {choice: [hnet]}, method.beta@: {uniform: [0, 1]}}", "space.method.beta@", "needs a name"),
        ("{method.name: {choice: [hnet, dgr, hnet_ent]}}", "space.method.name", "cannot predict in scenario task"),
        ("{method.name: {choice: [ewc, si]}}", "space.method.name", "lies outside"),
    ],
)
def test_what_cannot_be_compared_is_refused(space: str, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        file_of(f"space: {space}")
    assert [problem for problem in caught.value.problems if problem.path == path and message in problem.message]


def told(study: SweepStudy, outcome: Outcome) -> None:
    number = study.ask().number
    study.decide(number, outcome)
    study.settle(number)


@pytest.fixture
def study(tmp_path: Path) -> SweepStudy:
    """Complete trials: hnet the best two, then er, ewc; si diverged."""
    given = [
        ({"method.name": "hnet", "method.beta": 1.0}, Outcome("complete", value=0.9, seconds=2.0)),
        ({"method.name": "si"}, Outcome("diverged")),
        ({"method.name": "ewc", "method.strength": 1e5}, Outcome("complete", value=0.6, seconds=1.0)),
        ({"method.name": "er"}, Outcome("complete", value=0.7, seconds=1.0)),
    ]
    file = file_of(SPACE, HEAD, "search.confirm=false", "final.settings=3")
    study = SweepStudy(tmp_path / "study.journal", "t", file, 1)
    for params, _ in given:
        study.enqueue(params_of(file.experiment, file.space, params))
    for outcome in [Outcome("complete", value=0.89, seconds=2.0), *(outcome for _, outcome in given)]:
        told(study, outcome)
    write_sweep(tmp_path, file, "t")
    return study


def test_the_report_has_a_row_for_each_method(study: SweepStudy) -> None:
    rows = methods_rows(study.record(), None)
    assert [(row["method"], row["trained"], row["best trial"]) for row in rows] == [
        ("hnet", 2, 1),
        ("er", 1, 4),
        ("ewc", 1, 3),
        ("si", 1, ""),
    ]
    assert [row["value"] for row in rows] == [0.9, 0.7, 0.6, ""]
    assert rows[-1]["expected"] == ""
    assert methods_rows(study.record(), None) == methods_rows(read_sweep(study.folder), None)


@pytest.fixture
def all_four(study: SweepStudy) -> SweepStudy:
    """As `study`, and a complete trial of si, the worst."""
    study.enqueue(params_of(study.file.experiment, study.file.space, {"method.name": "si", "method.strength": 5}))
    told(study, Outcome("complete", value=0.5, seconds=1.0))
    return study


@pytest.mark.parametrize("wanted", [1, 3, "all"])
def test_the_final_step_takes_the_best_of_each_method_however_few_settings_are_wanted(
    all_four: SweepStudy, wanted: int | str
) -> None:
    record = all_four.record()
    asked = record.asked.model_copy(update={"final": record.asked.final.model_copy(update={"settings": wanted})})
    labels = [chosen.label for chosen in choice(replace(record, asked=asked))]
    assert labels == ["trial-1", "trial-4", "trial-3", "trial-5", "base"]


def test_where_the_setting_as_written_stays_the_best_of_each_other_method_still_stands(all_four: SweepStudy) -> None:
    plan = Plan(3, 3, 0.05, (3,))
    values = {1: (0.6, 0.6, 0.6), 0: (0.9, 0.9, 0.9)}
    kept = confirming_round(values, 3, plan, 0, True)
    race = RaceRecord(6, (1, 0), plan, 0.05, True, values, written=0, decided=(kept,))
    all_four.optuna.set_user_attr(RACE, {"races": [race.plain()]})
    record = all_four.record()
    assert record.best().number == 0
    assert [chosen.label for chosen in choice(record)] == ["base", "trial-4", "trial-3", "trial-5"]
    assert {row["method"]: row["best trial"] for row in methods_rows(record, None)} == {
        "hnet": 0,
        "er": 4,
        "ewc": 3,
        "si": 5,
    }


def test_of_several_goals_the_best_of_each_method_stands_beside_the_front(tmp_path: Path) -> None:
    goals = "objective: {maximize: validation/final_accuracy, minimize: compression_ratio}\n"
    file = file_of(SPACE, HEAD + goals, "final.settings=1")
    study = SweepStudy(tmp_path / "study.journal", "t", file, 1)
    for name in ("er", "ewc", "si"):
        study.enqueue(params_of(file.experiment, file.space, {"method.name": name}))
    for accuracy in (0.9, 0.7, 0.6, 0.8):
        told(study, Outcome("complete", value=accuracy, metrics={"compression_ratio": 0.5}))
    assert [chosen.label for chosen in choice(study.record())] == ["base", "trial-3", "trial-1", "trial-2"]


def test_tables_have_a_column_a_key(study: SweepStudy) -> None:
    head, *lines = TrialsTable(study.file).text(study.trials()).splitlines()
    assert head.endswith("method.name,method.beta,method.strength,hypernet.chunk_size,training.optimizer.lr")
    assert "ewc,,100000.0,," in lines[3]
    assert [row["method.strength"] for row in ranked_rows(study.record())] == ["", "", "", 1e5]
    assert all(key_of(key) == key for key in ranked_rows(study.record())[0])
