"""The experiment's own values, as a space writes them."""

import pytest

from hypercl.config import loads
from hypercl.config.checks.conditions import completed
from hypercl.sweep.study.space import listed

TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  training: {iterations: 20, optimizer: {name: adam, lr: 1e-3}}
space: {training.optimizer: {choice: [{name: sgd, lr: 0.1}, {name: adam, lr: 1e-3}]}}
"""


def test_a_choice_of_sections_holds_the_experiments_own_with_its_defaults_left_out() -> None:
    file = loads(TEXT, "x")
    own, problems = completed(file.experiment, file.space, {})
    assert own == {"training.optimizer": {"name": "adam", "lr": 1e-3}}
    assert not problems


@pytest.mark.parametrize("own", [0.2, 0.3, 0.6, 0.7])
def test_a_grid_has_its_values_as_they_are_written(own: float) -> None:
    target = "target: {name: mlp, hidden: [10], dropout: 0.3}"
    space = "space: {target.dropout: {uniform: [0, 0.9], step: 0.1}}"
    text = f"experiment: {{tasks: {{name: split_digits}}, {target}}}\n{space}\n"
    assert own in listed(loads(text, "x").space)["target.dropout"]
