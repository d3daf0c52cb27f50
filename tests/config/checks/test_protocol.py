"""What of a sweep its protocol leaves without an effect."""

import pytest

from hypercl.config import ConfigError, check_sweep, loads

TEXT = """
experiment: {tasks: {name: split_digits}, method: {name: METHOD}}
space: {PATH: {log_uniform: [1e-3, 1e9]}, training.optimizer.lr: {log_uniform: [1e-4, 1e-2]}}
"""


def refused(protocol: str, method: str = "hnet", path: str = "method.beta") -> list[str]:
    """Key paths of the problems."""
    text = TEXT.replace("METHOD", method).replace("PATH", path)
    try:
        check_sweep(loads(text, "file.yaml", [f"protocol={protocol}"]), "file.yaml")
    except ConfigError as error:
        return [problem.path for problem in error.problems]
    return []


@pytest.mark.parametrize("protocol", ["{name: first_task}", "{name: first_k, k: 1}"])
@pytest.mark.parametrize(
    ("method", "path"), [("hnet", "method.beta"), ("ewc", "method.strength"), ("si", "method.strength")]
)
def test_a_strength_is_not_tuned_on_a_first_task_that_it_does_not_act_on(protocol: str, method: str, path: str) -> None:
    assert refused(protocol, method, path) == [f"space.{path}"]


@pytest.mark.parametrize(
    "protocol", ["{name: first_k, k: 2}", "{name: stream}", "{name: transfer, to: {order_seed: 1}}"]
)
def test_it_is_tuned_on_more_tasks_than_one(protocol: str) -> None:
    assert refused(protocol) == []
