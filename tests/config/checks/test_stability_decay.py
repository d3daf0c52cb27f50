"""What a sweep under protocol stability_decay may say, and what in it would have no effect."""

import pytest

from hypercl.config import ConfigError, check_sweep, loads, resolved
from hypercl.config.models.sweep import SweepFile
from hypercl.config.reading.validation import validated

BASE = """
experiment: {tasks: {name: split_digits}, method: {name: hnet}}
space: {method.beta: {log_uniform: [1, 10]}, training.optimizer.lr: {log_uniform: [1e-5, 1e-4]}}
protocol: {name: stability_decay}
"""


def problems(*overrides: str, text: str = BASE) -> dict[str, str]:
    """Key path -> message."""
    try:
        check_sweep(loads(text, "file.yaml", overrides), "file.yaml")
    except ConfigError as error:
        return {problem.path: problem.message for problem in error.problems}
    return {}


def test_there_is_no_base_where_nothing_is_said_though_the_base_lies_outside_of_the_space() -> None:
    file = loads(BASE, "file.yaml")
    assert problems() == {}
    assert (file.pruner.name, file.search.include_base) == ("none", False)
    again, wrong = validated(SweepFile, resolved(file), {})
    assert (again, wrong) == (file, [])


def test_other_protocols_keep_their_base() -> None:
    file = loads(BASE, "file.yaml", ["protocol.name=stream"])
    assert (file.pruner.name, file.search.include_base) == ("none", True)


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("pruner.name=median", "pruner.name"),
        ("search.include_base=true", "search.include_base"),
        ("search.sampler=random", "search.sampler"),
        ("search.startup_trials=3", "search.startup_trials"),
        ("search.enqueue=[{method.beta: 2}]", "search.enqueue"),
        ("search.race={}", "search.race"),
        ("final.settings=2", "final.settings"),
        ("objective.minimize=validation/forgetting", "objective"),
        ("objective={maximize: [validation/final_accuracy, validation/during_accuracy]}", "objective"),
        ("space.hypernet.chunk_size={int: [500, 600]}", "space.hypernet.chunk_size"),
        ("space.method.beta={choice: [0]}", "space.method.beta"),
        ("space.method.beta={choice: [null]}", "space.method.beta"),
        ("space.method.beta={equals: 3}", "space.method.beta"),
        ("experiment.by_task.method.beta=[1, 1, 1, 1, 1]", "experiment.by_task"),
        ("experiment.method.train_earlier_embeddings=true", "experiment.method.train_earlier_embeddings"),
    ],
)
def test_what_the_protocol_decides_itself_or_cannot_use_is_refused(override: str, path: str) -> None:
    assert path in problems(override)


def test_the_space_holds_the_methods_strength_and_the_learning_rate() -> None:
    text = BASE.replace("method.beta: {log_uniform: [1, 10]}, ", "")
    assert "needs method.beta here" in problems(text=text)["space"]
    ewc = BASE.replace("{name: hnet}", "{name: ewc}").replace("method.beta", "method.strength")
    assert problems(text=ewc) == {}


@pytest.mark.parametrize("method", ["lwf", "er", "finetune", "hnet_replay"])
def test_a_method_without_a_strength_is_refused(method: str) -> None:
    text = BASE.replace("{name: hnet}", f"{{name: {method}}}").replace("method.beta: {log_uniform: [1, 10]}, ", "")
    assert "has none that is plain fine-tuning at 0" in problems(text=text)["experiment.method.name"]


@pytest.mark.parametrize("protocol", ["first_k", "first_task"])
def test_values_for_each_task_cannot_be_cut_to_a_part_of_the_stream(protocol: str) -> None:
    text = BASE.replace("method.beta: {log_uniform: [1, 10]}, ", "").replace("[1e-5, 1e-4]", "[1e-5, 1]")
    given = [f"protocol.name={protocol}", "experiment.by_task.method.beta=[1, 1, 1, 1, 1]"]
    assert list(problems(*given, text=text)) == ["experiment.by_task"]
    assert problems("protocol.name=stream", *given[1:], text=text) == {}


def test_a_space_beside_values_for_each_task_would_do_nothing() -> None:
    text = BASE.replace("[1, 10]", "[1e-3, 10]").replace("[1e-5, 1e-4]", "[1e-5, 1]")
    found = problems("protocol.name=stream", "experiment.by_task.method.beta=[1, 1, 1, 1, 1]", text=text)
    assert list(found) == ["space.method.beta"]
