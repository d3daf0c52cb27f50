"""Steps of hnet with each regulariser of the look-ahead, against autograd through the whole step."""

from typing import Any

import pytest
import torch
from test_learners import batch, learner, trained
from test_replicas import doubled
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.methods import StepInfo
from tests.textbook_steps import moved

TASK = 2
OPTIMIZERS = {
    "adam": "{name: adam, lr: 0.01}",
    "adamw": "{name: adamw, lr: 0.01, weight_decay: 0.1}",
    "nesterov": "{name: sgd, lr: 0.01, momentum: 0.9, nesterov: true, weight_decay: 0.1}",
    "rmsprop": "{name: rmsprop, lr: 0.01, centered: true, momentum: 0.5, eps: 0.001}",
}
BACK = "method.backpropagate_lookahead=true"


def total(tensors: list[Tensor]) -> Tensor:
    return torch.stack([tensor.sum() for tensor in tensors]).sum()


def clipped(grads: dict[str, Tensor], bound: float | None) -> dict[str, Tensor]:
    if bound is None:
        return grads
    norm = total([grad**2 for grad in grads.values()]).sqrt()
    return {name: grad * torch.minimum(bound / (norm + 1e-6), torch.ones_like(norm)) for name, grad in grads.items()}


def residual(kind: str, generated: Any, ahead: dict[str, Tensor], at: dict[str, Tensor], old: Any) -> Tensor:
    """Of one task; `generated` maps theta to its weights."""
    if kind == "output":
        return generated(ahead) - old
    if kind == "value_preserving":
        return generated(ahead) - generated(at)
    names = list(at)
    rows = torch.autograd.functional.jacobian(
        lambda *values: generated(dict(zip(names, values, strict=True))), tuple(at.values()), create_graph=True
    )
    parts = [row.flatten(1) @ (ahead[name] - at[name]).flatten() for name, row in zip(names, rows, strict=True)]
    return torch.stack(parts).sum(0)


@pytest.mark.parametrize(
    ("kind", "optimizer", "bound"),
    [
        *[("output", name, bound) for name in OPTIMIZERS for bound in (None, 0.1)],
        ("value_preserving", "adamw", 0.1),
        ("first_order", "adam", None),
        ("first_order", "nesterov", 0.1),
    ],
)
def test_a_step_is_that_of_autograd(kind: str, optimizer: str, bound: float | None) -> None:
    beta = 0.1 if optimizer == "nesterov" else 2  # it diverges at more
    changes = [
        f"method.regularizer.kind={kind}",
        BACK,
        f"method.beta={beta}",
    ]
    changes += [f"training.optimizer={OPTIMIZERS[optimizer]}", f"training.clip_norm={bound or 'null'}"]
    method: Any = learner(*changes, "method.regularizer.mask_heads=false")
    state = doubled(method.start_task(trained(method, TASK), TASK))
    context, config = method.task_context(state, TASK), method.spec.training.optimizer
    hypernet, target, embeddings = method.spec.hypernet, method.spec.target, state["embeddings"]
    olds = [hypernet(state["theta"], embeddings[task : task + 1])[0] for task in range(TASK)]
    for number in range(3):
        inputs, labels = batch(200 + number)
        inputs = inputs.double()
        at = {name: value.clone().requires_grad_() for name, value in state["theta"].items()}
        outputs, _ = target(hypernet(at, embeddings[TASK : TASK + 1])[0], {}, inputs, training=True)
        loss = cross_entropy(outputs[:, 4:6], labels)
        of_task = dict(zip(at, torch.autograd.grad(loss, list(at.values()), create_graph=True), strict=True))
        moments = {name: value.clone() for name, value in state["optimizer"]["theta"].items()}
        used = clipped(of_task, bound)
        step = {name: moved(config, at[name], used[name], moments, name, 1e-2) - at[name] for name in at}
        ahead = {name: value + step[name] for name, value in at.items()}
        values = []
        for task, old in enumerate(olds):
            row = embeddings[task : task + 1].clone()

            def generated(theta: dict[str, Tensor], row: Tensor = row) -> Tensor:
                return hypernet(theta, row)[0]

            values.append((residual(kind, generated, ahead, at, old) ** 2).sum())
        value = torch.stack(values).mean()
        whole = dict(zip(at, torch.autograd.grad(loss + beta * value, list(at.values())), strict=True))
        used = clipped(whole, bound)
        expected = {name: moved(config, at[name], used[name], moments, name, 1e-2) for name in at}
        state, losses = method.step(state, context, [(inputs, labels)], StepInfo(TASK, number, 1e-2))
        torch.testing.assert_close(losses["regularizer"], value.detach(), rtol=1e-9, atol=1e-12)
        for name, reached in expected.items():
            torch.testing.assert_close(state["theta"][name], reached.detach(), rtol=1e-9, atol=1e-9)
