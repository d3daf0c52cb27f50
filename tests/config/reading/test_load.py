"""Reading a file: every mistake at once, numbers as people write them, overrides."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.config import ConfigError, assign, check_sweep, known_paths, load, loads, lookup, to_yaml

SHIPPED = sorted(Path(__file__).parents[3].glob("search_spaces/*.yaml"))
SMALLEST = "experiment: {tasks: {name: split_digits}}"


def problems_of(text: str, *overrides: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, "file.yaml", overrides)
    return {problem.path: problem.render("file.yaml") for problem in caught.value.problems}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_file_is_valid_and_survives_being_written_out(file: Path) -> None:
    model = load(file)
    check_sweep(model, str(file))
    assert loads(to_yaml(model), "again") == model


def test_six_files_are_shipped() -> None:
    expected = {"quickstart", "split_mnist", "permuted_mnist", "permuted_mnist_100", "cifar", "cifar_zenke"}
    assert {file.stem for file in SHIPPED} >= expected


def test_everything_but_the_stream_has_a_default() -> None:
    model = loads(SMALLEST, "x")
    assert model.experiment.training.iterations == 2000
    assert model.experiment.method.name == "hnet"
    assert model.objective.metric == "validation/final_accuracy"


def test_every_mistake_is_told_at_once_with_its_line_value_and_fix() -> None:
    found = problems_of(
        """
experiment:
  tasks:    {name: split_mnits}
  hypernet: {name: chunked, chunk_sze: 10, task_embedding: 2.5}
  method:   {beta: -1}
  training: {optimizer: {name: adam, lr: fast}}
space:
  method.beta: {log_uniform: [10, 1e-3]}
objectiv: 3
"""
    )
    assert set(found) == {
        "experiment.tasks.name",
        "experiment.hypernet.chunk_sze",
        "experiment.hypernet.task_embedding",
        "experiment.method.beta",
        "experiment.training.optimizer.lr",
        "space.method.beta",
        "objectiv",
    }
    assert "file.yaml:3" in found["experiment.tasks.name"]
    assert "did you mean 'split_mnist'?" in found["experiment.tasks.name"]
    assert "did you mean 'chunk_size'?" in found["experiment.hypernet.chunk_sze"]
    assert "-1" in found["experiment.method.beta"]
    assert "inverted" in found["space.method.beta"]
    assert "did you mean 'objective'?" in found["objectiv"]


@pytest.mark.parametrize(
    ("text", "number"), [("1e-4", 1e-4), ("1E4", 1e4), ("5e3", 5000.0), ("-2e-1", -0.2), (".5e1", 5.0)]
)
def test_numbers_with_an_exponent_are_numbers(text: str, number: float) -> None:
    beta = f"experiment: {{tasks: {{name: split_digits}}, method: {{beta: {text}}}}}"
    if number < 0:
        assert "greater than or equal to 0" in problems_of(beta)["experiment.method.beta"]
    else:
        assert loads(beta, "x").experiment.method.beta == number


def test_a_whole_number_may_be_written_with_an_exponent_and_text_is_no_number() -> None:
    assert loads(SMALLEST, "x", ["training.iterations=1e3"]).experiment.training.iterations == 1000
    assert "experiment.training.iterations" in problems_of(SMALLEST, "training.iterations='7'")
    assert "experiment.training.iterations" in problems_of(SMALLEST, "training.iterations=true")


def test_iterations_and_epochs_exclude_each_other_but_an_override_wins() -> None:
    both = "experiment: {tasks: {name: split_digits}, training: {iterations: 5, epochs: 2}}"
    assert "keep one of them" in problems_of(both)["experiment.training"]
    changed = loads("experiment: {tasks: {name: split_digits}, training: {epochs: 2}}", "x", ["training.iterations=7"])
    assert (changed.experiment.training.iterations, changed.experiment.training.epochs) == (7, None)


@pytest.mark.parametrize("order", [1, -1])
def test_taking_a_length_away_leaves_the_other_whichever_comes_first(order: int) -> None:
    overrides = ["training.iterations=7", "training.epochs=null"][::order]
    training = loads("experiment: {tasks: split_digits}", "x", overrides).experiment.training
    assert (training.iterations, training.epochs) == (7, None)


def test_an_override_of_a_kind_keeps_the_keys_that_the_new_kind_knows() -> None:
    kinds = "method: {name: hnet, beta: 3}, hypernet: {chunk_size: 9, hidden: [3]}"
    text = f"experiment: {{tasks: {{name: split_digits}}, {kinds}}}"
    changed = loads(text, "x", ["method.name=finetune", "hypernet.name=full"]).experiment
    assert changed.method.name == "finetune"
    assert (changed.hypernet.name, changed.hypernet.hidden) == ("full", (3,))


def test_an_override_reaches_the_sections_beside_the_experiment() -> None:
    assert loads(SMALLEST, "x", ["search.trials=3", "pruner.name=none"]).search.trials == 3


def test_an_override_reaches_into_the_space() -> None:
    text = f"{SMALLEST}\nspace: {{method.beta: {{uniform: [0, 1]}}}}"
    changed = loads(text, "x", ["space.method.beta={choice: [1, 2]}"])
    assert changed.space["method.beta"].values == (1, 2)


@pytest.mark.parametrize("override", ["method.beta", "=3", "method.beta=[1", "method.betta=1", "tasks.name.deep=1"])
def test_a_wrong_override_is_a_problem(override: str) -> None:
    assert problems_of(SMALLEST, override)


def test_a_misspelt_section_of_an_override_is_told_the_nearest_of_the_file_and_of_the_experiment() -> None:
    with pytest.raises(ConfigError) as caught:
        loads(SMALLEST, "x", ["trainin.iterations=5", "serch.trials=3"])
    found = [(problem.path, problem.value, problem.fix) for problem in caught.value.problems]
    assert found == [
        ("--set trainin.iterations", "trainin", "did you mean 'training'?"),
        ("--set serch.trials", "serch", "did you mean 'search'?"),
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("search: {sampler: tpee}", "search.sampler"),
        ("objective: {maximize: validation/final_acuracy}", "objective.maximize"),
        ("objective: {maximize: [seconds, validation/final_acuracy]}", "objective.maximize.1"),
    ],
)
def test_a_misspelt_choice_is_one_problem_with_the_nearest_choice(text: str, path: str) -> None:
    found = problems_of(f"{SMALLEST}\n{text}")
    nearest = "tpe" if path == "search.sampler" else "validation/final_accuracy"
    assert list(found) == [path]
    assert f"did you mean '{nearest}'?" in found[path]


def test_a_section_written_one_level_too_deep_is_told_where_it_belongs() -> None:
    found = problems_of(f"{SMALLEST}\nsearch: {{constraints: {{parameters: {{max: 100}}}}}}")
    assert "write constraints at the top of the file, not in search" in found["search.constraints"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "just text",
        "a: [1",
        "experiment: !!python/object/apply:os.system [ls]",
        "experiment: {a: 1, a: 2}",
        "{? {a: b} : c}",
    ],
)
def test_what_is_not_a_file_of_sections_is_a_problem(text: str) -> None:
    assert problems_of(text)


def test_a_missing_file_is_a_problem_that_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "cifar.yaml").write_text(SMALLEST)
    with pytest.raises(ConfigError, match=r"did you mean 'cifar.yaml'"):
        load(tmp_path / "cifr.yaml")


def test_a_scenario_that_a_method_cannot_predict_in_is_refused_with_those_that_can() -> None:
    found = problems_of("experiment: {tasks: {name: split_digits, scenario: class}}")
    assert "hnet cannot predict in scenario class" in found["experiment"]
    assert "hnet_ent" in found["experiment"]


def test_every_known_path_can_be_looked_up_and_assigned_to_itself() -> None:
    experiment = loads(SMALLEST, "x").experiment
    values = {path: lookup(experiment, path) for path in known_paths(experiment)}
    given = {path: value for path, value in values.items() if value is not None}
    assert assign(experiment, given) == experiment
    with pytest.raises(KeyError):
        lookup(experiment, "method.betta")


@pytest.mark.parametrize("key", ["int", "nullable"])
def test_an_unknown_key_is_named_whatever_it_is_called(key: str) -> None:
    with pytest.raises(ConfigError, match=f"experiment.training.{key}: unknown key"):
        loads(f"experiment: {{tasks: {{name: split_digits}}, training: {{{key}: 3}}}}", "x.yaml")
    with pytest.raises(ConfigError, match=f"{key}: unknown key"):
        loads(f"{{{key}: []}}", "x.yaml")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_valid_or_a_list_of_problems(text: str) -> None:
    with pytest.raises(ConfigError):
        loads(text, "text.yaml")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("method.beta=-1", "this should be greater than or equal to 0"),
        ("search.enqueue={method.beta: 1}", "this should be a list"),
        ("space.method.beta=0.1", "this should be a mapping"),
        ("constraints.compression_ratio=3", "this should be a mapping"),
        ("target={name: import, path: 3}", "this should be text"),
        ("name=a/b", "this should match pattern"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_yaml(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        loads("experiment: {tasks: {name: split_digits}}", "test.yaml", [override])


def test_a_tab_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"(?s)test.yaml:2: .*tab found.*replace the tab with spaces"):
        loads("experiment:\n\ttasks: {name: split_digits}\n", "test.yaml")


def test_an_item_of_a_list_is_told_as_such() -> None:
    text = "experiment: {tasks: {name: split_digits}}\nspace: {method.beta: {log_uniform: [0, 1]}}\n"
    with pytest.raises(ConfigError, match=r"test.yaml:2  space\.method\.beta\.log_uniform\[0\]: this should"):
        loads(text, "test.yaml")


@pytest.mark.parametrize(
    ("override", "fix"),
    [
        ("beta=0.1", "write it as experiment.method.beta or experiment.method.generator.beta"),
        ("method.lr=0.1", "write it as experiment.training.optimizer.lr"),
        ("method={name: finetune, beta: 0.1}", "remove the key"),
    ],
)
def test_a_key_in_the_wrong_section_is_told_its_full_path(override: str, fix: str) -> None:
    (problem,) = problems_of(SMALLEST, override).values()
    assert problem.endswith(f"fix:     {fix}")


@pytest.mark.parametrize(
    ("override", "allowed"),
    [("training.capture=true", "auto, false"), ("search.confirm=perhaps", "auto, true, false")],
)
def test_a_switch_is_told_the_words_that_it_takes_and_no_other(override: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads("experiment: {tasks: {name: split_digits}}", "test.yaml", [override])
    (problem,) = caught.value.problems
    assert problem.allowed == allowed
