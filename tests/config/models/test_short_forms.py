"""A kind's name alone, and true or false, in the place of a section whose keys all have defaults."""

from pathlib import Path

import pytest

from hypercl.config import ConfigError, Experiment, SweepFile, load, load_sweep, loads, to_yaml
from hypercl.config.explain.explain import Part, explain_key

TEXT = "experiment: {tasks: split_digits}\n"
SHORT = {
    "hypernet.init=hyperfan_in": "hypernet.init={name: hyperfan_in}",
    "hypernet=full": "hypernet={name: full}",
    "training.optimizer=sgd": "training.optimizer={name: sgd}",
    "training.schedule=cosine": "training.schedule={name: cosine}",
    "method=finetune": "method={name: finetune}",
    "tasks=split_mnist": "tasks={name: split_mnist}",
    "protocol=test_leak": "protocol={name: test_leak}",
    "protocol=stability_decay": "protocol={name: stability_decay}",
    "pruner=none": "pruner={name: none}",
    "pruner.reports_per_task=2": "pruner={name: none, reports_per_task: 2}",
    "pruner.warmup_tasks=3": "pruner={name: asha, warmup_tasks: 3}",
    "pruner={name: patient, rule: median}": "pruner={name: patient, rule: {name: median}}",
    "logging.wandb=true": "logging.wandb={}",
    "logging.wandb=false": "logging.wandb=null",
    "training.early_stopping=true": "training.early_stopping={}",
    "search.race=true": "search.race={}",
}


@pytest.mark.parametrize(("short", "full"), SHORT.items())
def test_a_short_form_is_its_long_form_and_is_written_out_as_such(short: str, full: str) -> None:
    found, expected = loads(TEXT, "x", [short]), loads(TEXT, "x", [full])
    assert found == expected
    assert to_yaml(found) == to_yaml(expected)
    assert "name: split" in to_yaml(found)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("experiment: {tasks: split_digits, method: hnet}", "method.beta", 0.5),
        ("experiment: {tasks: split_digits, training: {optimizer: sgd}}", "training.optimizer.momentum", 0.5),
        ("experiment: {tasks: split_digits, training: {early_stopping: true}}", "training.early_stopping.patience", 3),
    ],
)
def test_a_key_of_a_section_in_short_form_can_be_set(section: str, key: str, value: float) -> None:
    found = loads(section, "x", [f"{key}={value}"]).experiment
    node: object = found
    for part in key.split("."):
        node = getattr(node, part)
    assert node == value


def test_over_an_included_section_of_its_kind_a_name_changes_nothing_and_another_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "below.yaml").write_text(
        "experiment: {tasks: split_digits, training: {optimizer: {name: sgd, momentum: 0.5}}}\n"
        "logging: {wandb: {project: mine}}\n"
    )
    above = "include: below.yaml\nexperiment: {training: {optimizer: %s}}\nlogging: {wandb: true}\n"
    (tmp_path / "same.yaml").write_text(above % "sgd")
    (tmp_path / "other.yaml").write_text(above % "rmsprop")
    same, other = load(tmp_path / "same.yaml"), load(tmp_path / "other.yaml")
    assert same == load(tmp_path / "below.yaml")
    assert other.experiment == loads(TEXT, "x", ["training.optimizer=rmsprop"]).experiment


def test_a_kind_that_needs_more_than_its_name_says_what() -> None:
    with pytest.raises(ConfigError, match=r"experiment\.target\.path: missing key"):
        loads(TEXT, "x", ["target=import"])


def test_a_space_names_the_key_that_tells_the_kind(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(TEXT + "space: {training.optimizer: {choice: [adam, sgd]}}\n")
    with pytest.raises(ConfigError, match=r"space\.training\.optimizer: .*(?s:.*)write training\.optimizer\.name"):
        load_sweep(file)


def test_a_misspelt_name_is_one_problem_and_hides_no_other() -> None:
    with pytest.raises(ConfigError) as caught:
        loads(TEXT, "x", ["hypernet.init=hyperfan", "method.beta=much"])
    assert {each.path for each in caught.value.problems} == {"experiment.hypernet.init", "experiment.method.beta"}
    assert "did you mean 'hyperfan_in'?" in str(caught.value)


@pytest.mark.parametrize("path", ["tasks", "target", "hypernet", "hypernet.init", "method", "training.optimizer"])
def test_explain_tells_what_a_kind_needs_beside_its_name(path: str) -> None:
    found = explain_key(path)
    assert isinstance(found, Part)
    for kind in found.kinds:
        try:
            loads(TEXT, "x", [f"{path}={kind.name}"])
        except ConfigError as error:
            missing = {each.path.rpartition(".")[2] for each in error.problems if "missing" in each.message}
            assert missing == set(kind.needs)
        else:
            assert kind.needs == ()


def test_the_models_take_short_forms_from_python() -> None:
    found = Experiment.model_validate({"tasks": "split_digits", "method": "ewc"})
    assert (found.method.name, found.hypernet.name) == ("ewc", "none")
    assert SweepFile.model_validate({"experiment": found, "pruner": "none"}).pruner.name == "none"


@pytest.mark.parametrize("name", ["[]", "{}", "3"])
def test_a_name_that_is_no_text_is_a_problem(name: str) -> None:
    with pytest.raises(ConfigError, match=r"experiment\.method\.name: unknown kind"):
        loads(TEXT, "x", [f"method.name={name}"])
