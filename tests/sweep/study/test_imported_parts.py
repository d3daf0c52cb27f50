"""Samplers, pruners and importance evaluators by import path."""

from pathlib import Path

import optuna
import pytest
import users_search

from hypercl.config import ConfigError, SweepFile, UserError, loads
from hypercl.config.models import imports_of
from hypercl.sweep.study.imported_parts import evaluator_of
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.pruners import pruner_in_words, pruner_of
from hypercl.sweep.study.samplers import sampler_of
from hypercl.sweep.study.study import SweepStudy

TEXT = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {log_uniform: [1e-4, 1]}}
search: {include_base: false}
"""
HERE = [Path(users_search.__file__).parent]


def file_of(*more: str) -> SweepFile:
    return loads(TEXT, "x", more)


def sampler(given: str) -> str:
    return f"search.sampler={given}"


def test_any_sampler_of_optunas_takes_its_keyword_arguments_and_the_sweeps_seed() -> None:
    file = file_of(sampler('{import: "optuna.samplers:TPESampler", kwargs: {n_startup_trials: 3}}'))
    one, same, later = (sampler_of(file, there).inner for there in (0, 0, 5))
    assert isinstance(one, optuna.samplers.TPESampler)
    assert one._n_startup_trials == 3
    draws = [each._rng.rng.random() for each in (one, same, later)]
    assert draws[0] == draws[1] != draws[2]


def test_a_sampler_and_a_pruner_of_the_users_own_decide(tmp_path: Path) -> None:
    own = sampler('{import: "users_search:Near", kwargs: {share: 1.0}}')
    file = file_of(own, 'pruner={import: "users_search:Lowest", warmup_tasks: 1}')
    study = SweepStudy(tmp_path / "j", "t", file, 1, HERE)
    first, *others = [study.ask() for _ in range(4)]
    assert [study.report(each.number, 4, value) for each, value in zip(others, (0.3, 0.2, 0.1), strict=True)] == [
        False,
        False,
        True,
    ]
    assert not study.report(first.number, 3, 0.0), "before the warm-up it is not asked"
    study.decide(first.number, Outcome("complete", value=0.9))
    study.settle(first.number)
    assert study.ask().params == first.params
    assert pruner_in_words(file) == "users_search:Lowest: asked from task 1 on, 4 times a task"
    once = file_of('pruner={import: "users_search:Lowest", warmup_tasks: 1, reports_per_task: 1}')
    assert pruner_in_words(once).endswith(", once a task")
    assert imports_of(file) == ("users_search:Near", "users_search:Lowest")


def test_a_sampler_that_fails_is_told_with_its_lines(tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "j", "t", file_of(sampler('{import: "users_search:Failing"}')), 1, HERE)
    with pytest.raises(UserError, match=r"search.sampler: users_search:Failing failed: RuntimeError: no idea\n.*raise"):
        study.ask()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{import: "users_search:number"}', "makes a int\n.*subclass of optuna.samplers.BaseSampler"),
        ('{import: "optuna.pruners:NopPruner"}', "makes a NopPruner"),
        ('{import: "users_search:Near", kwargs: {shade: 1}}', "failed: TypeError: .*shade"),
        ('{import: "users_searches:Near"}', "no module 'users_searches'"),
        ('{import: "subprocess:Popen"}', "is not called"),
    ],
)
def test_what_is_no_sampler_is_refused(given: str, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s)search.sampler: .*{message}"):
        sampler_of(file_of(sampler(given)), 0, HERE)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (sampler("{path: a:b}"), "search.sampler.path"),
        (sampler("{import: ab}"), "search.sampler.import"),
        (sampler("tpee"), "search.sampler"),
        ("pruner={import: ab}", "pruner.import"),
    ],
)
def test_a_mistake_in_it_is_located(given: str, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        file_of(given)
    assert path in [problem.path for problem in caught.value.problems]
    assert len(caught.value.problems) <= 2


def test_a_setting_of_another_sampler_has_no_effect_with_it() -> None:
    with pytest.raises(ConfigError, match="population has no effect with users_search:Near"):
        file_of(sampler('{import: "users_search:Near"}'), "search.population=4")


def test_an_evaluator_is_made_and_no_pruner_is_one() -> None:
    given = 'search.importance={import: "optuna.importance:MeanDecreaseImpurityImportanceEvaluator"}'
    found = evaluator_of(file_of(given), ())
    assert isinstance(found, optuna.importance.MeanDecreaseImpurityImportanceEvaluator)
    with pytest.raises(UserError, match=r"search.importance: .*makes a NopPruner"):
        evaluator_of(file_of('search.importance={import: "optuna.pruners:NopPruner"}'), ())


def test_optunas_own_genetic_sampler_sees_what_is_out_of_bounds(tmp_path: Path) -> None:
    file = file_of(sampler('{import: "optuna.samplers:NSGAIISampler", kwargs: {population_size: 4}}'))
    study = SweepStudy(tmp_path / "j", "t", file, 1)
    for outcome in (Outcome("complete", value=0.4), Outcome("diverged")):
        number = study.ask().number
        study.decide(number, outcome)
        study.settle(number)
    assert [trial.value for trial in study.optuna.sampler.view(study.optuna).get_trials()] == [0.4, 0.4]


def test_a_module_from_a_folder_of_the_files_own_needs_no_package(tmp_path: Path) -> None:
    hub = tmp_path / "hub_sampler"
    hub.mkdir()
    (hub / "__init__.py").write_text("from .sampler import Mine\n")
    (hub / "sampler.py").write_text("import optuna\n\n\nclass Mine(optuna.samplers.RandomSampler):\n    pass\n")
    made = sampler_of(file_of(sampler('{import: "hub_sampler:Mine"}')), 0, [tmp_path])
    assert type(made.inner).__module__ == "hub_sampler.sampler"
    assert isinstance(pruner_of(file_of('pruner={import: "optuna.pruners:NopPruner"}')), optuna.pruners.BasePruner)
