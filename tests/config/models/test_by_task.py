"""Settings that change along the stream: what may be given, and what holds at a task."""

import pytest

from hypercl.config import ConfigError, at_task, check_sweep, loads, lookup
from hypercl.config.models.by_task import CHANGING

BASE = "experiment: {tasks: {name: split_digits, num_tasks: 3}, method: {name: hnet}}"


def experiment(*overrides: str, text: str = BASE):
    return loads(text, "file.yaml", overrides).experiment


def test_each_task_has_its_own_value_and_what_is_not_given_stays() -> None:
    found = experiment("by_task.method.beta=[0.5, 0, 2]", "training.optimizer.lr=0.003")
    assert [at_task(found, task).method.beta for task in (0, 1, 2, -1)] == [0.5, 0, 2, 2]
    assert at_task(found, 1).training == found.training
    assert at_task(experiment(), 1) == experiment()


@pytest.mark.parametrize("path", CHANGING)
def test_each_path_that_may_change_does(path: str) -> None:
    method = {"method.strength": "ewc", "method.generator.beta": "hnet_replay"}.get(path, "hnet")
    text = f"experiment: {{tasks: {{name: split_digits, num_tasks: 3}}, method: {{name: {method}}}}}"
    found = experiment(f"by_task.{path}=[0.1, 0.2, 0.3]", text=text)
    assert [lookup(at_task(found, task), path) for task in range(3)] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("by_task.method.beta=[0.1, 0.2]", "2 are given, the stream has 3"),
        ("by_task.method.beta=[0.1, 0.2, -1]", "method.beta cannot be -1 at task 3: it should be greater than"),
        ("by_task.training.optimizer.lr=[0, 1, 1]", "training.optimizer.lr cannot be 0 at task 1"),
        ("by_task.method.betta=[1, 1, 1]", "did you mean 'method.beta'?"),
        ("by_task.hypernet.chunk_size=[500, 600, 700]", "only training.optimizer.lr and method.beta"),
        ("by_task.method.strength=[1, 1, 1]", "method hnet has no method.strength"),
        ("by_task.method.beta=[1, a, 1]", "valid number"),
    ],
)
def test_what_cannot_change_or_does_not_fit_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match="by_task") as caught:
        experiment(override)
    assert message in str(caught.value)


def test_a_value_is_judged_with_its_whole_section() -> None:
    with pytest.raises(ConfigError, match="train_earlier_embeddings would have no effect with beta 0"):
        experiment("by_task.method.beta=[1, 0, 1]", "method.train_earlier_embeddings=true")


def test_a_stream_whose_length_nobody_knows_has_no_value_for_each_task() -> None:
    tasks = "{name: import, path: 'streams:Mine', input_shape: [2], classes_per_task: 2, scenario: domain}"
    with pytest.raises(ConfigError, match=r"give tasks\.num_tasks"):
        experiment(
            "by_task.training.optimizer.lr=[1, 1]", text=f"experiment: {{tasks: {tasks}, method: {{name: finetune}}}}"
        )


def test_a_space_cannot_vary_it() -> None:
    file = loads(f"{BASE}\nspace: {{by_task.method.beta: {{uniform: [0, 1]}}}}", "file.yaml")
    with pytest.raises(ConfigError, match="found task by task, by protocol"):
        check_sweep(file, "file.yaml")
