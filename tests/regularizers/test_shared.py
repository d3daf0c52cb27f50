"""The regulariser of shared weights is the direct form of a hypernetwork that generates the same for every task."""

from typing import Any

import pytest
import torch
from torch import Tensor

from hypercl.hypernets import SharedWeights
from hypercl.regularizers import DirectForm, HeadMask, SharedForm

WEIGHTS, TASKS = 12, 4
HEADS = torch.tensor([[0, 1], [1, 3], [3, 4], [2, 4]])  # the last task has outputs of earlier ones
OUTPUT_OF = torch.tensor([-1, -1, -1, 0, 0, 1, 2, 3, 3, -1, 2, -1])


def drawn(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("importance", [None, 1, WEIGHTS])
@pytest.mark.parametrize("tasks", [None, [2, 0], [3]])
@pytest.mark.parametrize("replicas", [(), (3,)])
def test_value_and_gradient_are_those_of_the_direct_form(
    masked: bool, importance: int | None, tasks: list[int] | None, replicas: tuple[int, ...]
) -> None:
    mask = HeadMask(OUTPUT_OF, HEADS) if masked else None
    net = SharedWeights(WEIGHTS, WEIGHTS, hidden=(), task_embedding=0)
    before, theta = ({"head": drawn(*replicas, WEIGHTS, 1)} for _ in range(2))
    factors = None if importance is None else drawn(*replicas, TASKS, importance).abs()
    strength: Any = 0.7 if not replicas else torch.tensor([0.1, 0.7, 2.0], dtype=torch.float64)
    found: list[tuple[Tensor, Tensor]] = []
    forms: list[Any] = [DirectForm(net, mask), SharedForm(WEIGHTS, mask)]
    for form in forms:
        anchor = form.anchor(before, drawn(*replicas, TASKS, 0), factors)
        gradient = {"head": torch.ones_like(theta["head"])}
        subset = None if tasks is None else torch.tensor(tasks)
        value = form.add_gradient_(gradient, theta, anchor, strength, tasks=subset)
        found.append((value, gradient["head"]))
        if replicas:
            alone = {"head": torch.ones_like(theta["head"][1])}
            own = form.add_gradient_(alone, {"head": theta["head"][1]}, anchor.of_replica(1), 0.7, tasks=subset)
            torch.testing.assert_close((own, alone["head"]), (value[1], gradient["head"][1]))
    torch.testing.assert_close(found[1], found[0])
