"""Conditions, computed values, settings to be tried first: what a file may say and what is refused."""

from typing import Any

import pytest

from hypercl.config import ConfigError, Distribution, SweepFile, check_sweep, load, loads
from hypercl.config.checks.conditions import completed, conditions_in_words, contexts, ordered, setting, span
from hypercl.config.reading.load import to_yaml

KINDS = """
  hypernet.name: {choice: [chunked, full]}
  hypernet.chunk_size: {int_log: [500, 50000], when: {hypernet.name: chunked}}
  training.optimizer.name: {choice: [adam, sgd, adamw]}
  training.optimizer.momentum: {uniform: [0, 0.95], when: {training.optimizer.name: sgd}}
  training.optimizer.nesterov: {choice: [true, false], when: {training.optimizer.name: [sgd], hypernet.name: full}}
"""


def sweep_file(space: str, rest: str = "") -> SweepFile:
    return loads(f"experiment: {{tasks: {{name: split_digits}}}}\nspace: {space}\n{rest}", "file.yaml")


def problems_of(space: str, rest: str = "") -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        check_sweep(sweep_file(space, rest), "file.yaml")
    return {problem.path: problem.render("file.yaml") for problem in caught.value.problems}


def test_keys_of_other_kinds_than_the_experiments_can_be_varied_under_their_condition() -> None:
    check_sweep(sweep_file(KINDS), "x")


def test_a_bound_is_tried_under_its_condition() -> None:
    found = problems_of(KINDS.replace("[0, 0.95]", "[0, 1.5]"))
    assert list(found) == ["space.training.optimizer.momentum"]
    assert "1.5 is not allowed here" in found["space.training.optimizer.momentum"]


@pytest.mark.parametrize("form", ["{int_log: [500, 50000]}", "{equals: 42000}"])
def test_a_key_that_another_kind_lacks_needs_a_condition_and_the_fix_is_named(form: str) -> None:
    found = problems_of(f"{{hypernet.name: {{choice: [chunked, full]}}, hypernet.chunk_size: {form}}}")
    assert "the key does not exist with hypernet.name full" in found["space.hypernet.chunk_size"]
    assert "add when: {hypernet.name: chunked}" in found["space.hypernet.chunk_size"]


BETA, EMBEDDING = "method.beta: {log_uniform: [1e-3, 1]", "hypernet.task_embedding: {choice: [48, 96]"


@pytest.mark.parametrize(
    ("space", "path", "words"),
    [
        (f"{{{BETA}, when: {{method.name: hnet}}}}}}", "method.beta.when.method.name", "the space has no such key"),
        (
            f"{{{BETA}, when: {{hypernet.task_embedding: 7}}}}, {EMBEDDING}}}}}",
            "method.beta.when.hypernet.task_embedding",
            "never has this value",
        ),
        (
            f"{{{BETA}, when: {{hypernet.task_embedding: []}}}}, {EMBEDDING}}}}}",
            "method.beta.when.hypernet.task_embedding",
            "an empty list never holds",
        ),
        (
            f"{{{BETA}, when: {{hypernet.task_embedding: 48}}}}, {EMBEDDING}, when: {{method.beta: 0.01}}}}}}",
            "method.beta",
            "in a circle: method.beta, hypernet.task_embedding",
        ),
        (
            f"{{{EMBEDDING}}}, hypernet.chunk_embedding: {{choice: [8, 96], when: {{hypernet.task_embedding: 48}}}}, "
            f"{BETA}, when: {{hypernet.task_embedding: 96, hypernet.chunk_embedding: 8}}}}}}",
            "method.beta.when",
            "never hold together",
        ),
        (
            f"{{{EMBEDDING}}}, hypernet.chunk_embedding: {{equals: hypernet.task_embedding}}, "
            f"{BETA}, when: {{hypernet.chunk_embedding: 8}}}}}}",
            "method.beta.when.hypernet.chunk_embedding",
            "a computed value takes no condition",
        ),
    ],
)
def test_conditions_that_cannot_be_followed_are_refused(space: str, path: str, words: str) -> None:
    found = problems_of(space)
    assert list(found) == [f"space.{path}"]
    assert words in found[f"space.{path}"]


def test_a_list_that_is_itself_a_choice_is_one_value() -> None:
    file = sweep_file(
        "{hypernet.hidden: {choice: [[10, 10], [50], []]}, method.lookahead: {choice: [true, false], when: "
        "{hypernet.hidden: [10, 10]}}, method.beta: {uniform: [0, 1], when: {hypernet.hidden: [[50], []]}}}"
    )
    check_sweep(file, "x")
    assert contexts(file.space, "method.lookahead") == [{"hypernet.hidden": [10, 10]}]
    assert contexts(file.space, "method.beta") == [{"hypernet.hidden": [50]}, {"hypernet.hidden": []}]


def test_without_conditions_the_order_is_the_files() -> None:
    space = sweep_file("{method.beta: {uniform: [0, 1]}, hypernet.task_embedding: {choice: [96]}}").space
    assert ordered(space) == ["method.beta", "hypernet.task_embedding"]


def test_what_a_value_hangs_on_comes_before_it() -> None:
    space = sweep_file(
        "{hypernet.chunk_embedding: {equals: hypernet.task_embedding}, training.optimizer.momentum: {uniform: [0, 1], "
        "when: {training.optimizer.name: sgd}}, hypernet.task_embedding: {choice: [96]}, training.optimizer.name: "
        "{choice: [adam, sgd]}}"
    ).space
    assert ordered(space) == [
        "hypernet.task_embedding",
        "hypernet.chunk_embedding",
        "training.optimizer.name",
        "training.optimizer.momentum",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hypernet.task_embedding - 48", "with hypernet.task_embedding 48: this should be greater than or equal to 1"),
        ("hypernet.task_embeding", "did you mean 'hypernet.task_embedding'"),
        ("hypernet.chunk_embedding", "in a circle"),
        ("hypernet", "is a section, not a value"),
        ("96 / (hypernet.task_embedding - 96)", "division by zero"),
        ("2 * hypernet.task_embedding", "set experiment.hypernet.chunk_embedding to 192, or search.include_base"),
    ],
)
def test_an_expression_that_cannot_be_is_told_at_load(text: str, words: str) -> None:
    found = problems_of(f"{{{EMBEDDING}}}, hypernet.chunk_embedding: {{equals: {text}}}}}")
    assert words in found["space.hypernet.chunk_embedding"]


def test_computed_values_follow_from_the_setting_and_else_from_the_experiment() -> None:
    file = sweep_file(
        "{hypernet.task_embedding: {choice: [48, 96]}, "
        "hypernet.chunk_embedding: {equals: hypernet.task_embedding / 2}, "
        "hypernet.hidden: {equals: '[hypernet.chunk_embedding, training.batch_size]'}}",
        "search: {include_base: false}",
    )
    check_sweep(file, "x")
    found = setting(file.experiment, file.space, {"hypernet.task_embedding": 48}).hypernet
    assert (found.task_embedding, found.chunk_embedding, found.hidden) == (48, 24, (24, 128))


def test_what_a_setting_leaves_out_is_the_experiments_own_or_its_new_kinds_default() -> None:
    file = sweep_file(KINDS)
    values, problems = completed(file.experiment, file.space, {"training.optimizer.name": "sgd"})
    assert not problems
    assert values == {
        "hypernet.name": "chunked",
        "hypernet.chunk_size": 42000,
        "training.optimizer.name": "sgd",
        "training.optimizer.momentum": 0.9,
    }


@pytest.mark.parametrize(
    ("entry", "path", "words"),
    [
        ("{hypernet.chunk_size: 5}", "hypernet.chunk_size", "lies outside of the space"),
        ("{hypernet.chunksize: 5}", "hypernet.chunksize", "no such key"),
        (
            "{hypernet.name: full, hypernet.chunk_size: 500}",
            "hypernet.chunk_size",
            "only when hypernet.name is chunked",
        ),
        ("{training.optimizer.momentum: 0.5}", "training.optimizer.momentum", "when training.optimizer.name is sgd"),
    ],
)
def test_a_setting_to_be_tried_first_must_lie_inside(entry: str, path: str, words: str) -> None:
    found = problems_of(KINDS, f"search: {{enqueue: [{{hypernet.name: full}}, {entry}]}}")
    assert list(found) == [f"search.enqueue.1.{path}"]
    assert words in found[f"search.enqueue.1.{path}"]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("[{}]", "the experiment as written, which comes first"),
        ("[{hypernet.name: full}, {hypernet.name: full}]", "duplicate setting"),
    ],
)
def test_a_setting_is_tried_first_once(entries: str, words: str) -> None:
    assert words in str(problems_of(KINDS, f"search: {{enqueue: {entries}}}"))


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ("{sampler: random, startup_trials: 5}", "startup_trials has no effect with random"),
        ("{sampler: tpe, population: 5}", "population has no effect with tpe (it is a setting of nsga2, nsga3)"),
    ],
)
def test_a_setting_of_another_sampler_is_refused(search: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep_file(KINDS, f"search: {search}")
    assert words in str(caught.value)


def test_another_sampler_by_override_drops_the_settings_of_the_old_one() -> None:
    text = "experiment: {tasks: {name: split_digits}}\nsearch: {sampler: tpe, startup_trials: 5}"
    search = loads(text, "x", ["search.sampler=nsga2"]).search
    assert (search.startup_trials, search.population) == (None, 20)


def test_cmaes_needs_a_number_that_every_setting_has() -> None:
    space = "{hypernet.hidden: {choice: [[10, 10], []]}}"
    assert "cmaes models numbers" in problems_of(space, "search: {sampler: cmaes}")["search.sampler"]


def test_the_resolved_file_says_the_same(tmp_path: Any) -> None:
    computed = "  hypernet.chunk_embedding: {equals: hypernet.task_embedding, when: {hypernet.name: chunked}}\n"
    file = sweep_file(KINDS + computed, "search: {sampler: cmaes, enqueue: [{hypernet.name: full}]}")
    (tmp_path / "sweep.yaml").write_text(to_yaml(file))
    assert load(tmp_path / "sweep.yaml") == file


def test_values_are_told_as_they_are_written() -> None:
    flags = Distribution.model_validate({"choice": [True, None, "1"]})
    assert span(flags) == "true, null, '1'"
    momentum = Distribution.model_validate({"uniform": [0, 1], "when": {"a": [True, None], "b": False}})
    assert conditions_in_words(momentum) == "a is true or null and b is false"


def test_a_list_of_sections_is_varied_as_a_whole_and_begins_with_the_experiments_own():
    parts = [
        "[{weights: ['*'], net: full}]",
        "[{weights: [layers.0], net: {name: full, noise: 2}}, {weights: ['*'], net: task}]",
    ]
    text = f"""
experiment: {{tasks: {{name: split_digits}}, hypernet: {{name: composed, parts: {parts[1]}}}}}
space: {{hypernet.parts: {{choice: [{", ".join(parts)}]}}}}
"""
    file = loads(text, "x")
    check_sweep(file, "x")
    values, problems = completed(file.experiment, file.space, {})
    assert not problems
    assert setting(file.experiment, file.space, values) == file.experiment
