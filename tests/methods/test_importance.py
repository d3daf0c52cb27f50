"""What hnet weighs by Fisher information or by factors a task, against loops over samples, tasks and weights."""

from typing import Any

import pytest
import torch
from few_samples import FewSamples
from test_learners import batch, learner
from test_replicas import doubled
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.methods import StepInfo

SGD = "training.optimizer={name: sgd, lr: 0.01, momentum: 0}"
FACTORS = "method.regularizer.task_factors=[0.5, 2, 7]"


class Exact:
    """`FewSamples` in float64."""

    def __init__(self, task: int) -> None:
        self.samples = FewSamples(task)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        inputs, labels = self.samples[samples]
        return inputs.double(), labels


def until(method: Any, task: int, steps: int = 3) -> tuple[Any, list[Any]]:
    """A started task in float64, and the states after each of the tasks before it."""
    state, after = doubled(method.init()), []
    for earlier in range(task):
        state = doubled(method.start_task(state, earlier))
        context = method.task_context(state, earlier)
        for step in range(steps):
            inputs, labels = batch(100 * earlier + step)
            state, _ = method.step(state, context, [(inputs.double(), labels)], StepInfo(earlier, step, 1e-2))
        state = method.end_task(state, earlier, Exact(earlier))
        after.append(doubled(state))
    return doubled(method.start_task(state, task)), after


def squared_gradients(method: Any, task: int, params: list[Tensor], weights_of: Any, given: bool) -> list[Tensor]:
    """Mean over a task's samples, one sample at a time; of the task's own two outputs."""
    data, own = Exact(task), slice(2 * task, 2 * task + 2)
    totals = [torch.zeros_like(param) for param in params]
    for sample in range(len(data)):
        inputs, labels = data[torch.tensor([sample])]
        leaves = [param.clone().requires_grad_() for param in params]
        outputs, _ = method.spec.target(weights_of(leaves), {}, inputs, training=False)
        label = labels if given else outputs[:, own].argmax(1)
        grads = torch.autograd.grad(cross_entropy(outputs[:, own], label), leaves, materialize_grads=True)
        totals = [total + grad**2 / len(data) for total, grad in zip(totals, grads, strict=True)]
    return totals


@pytest.mark.parametrize("labels", ["predicted", "given"])
@pytest.mark.parametrize("factors", [(), (FACTORS,)])
def test_generated_weights_are_weighed_by_the_fisher_information_of_their_task(labels: str, factors: Any) -> None:
    options = ["method.regularizer.importance=fisher", f"method.regularizer.fisher_labels={labels}", *factors]
    method: Any = learner(SGD, "method.beta=20", "method.lookahead=false", *options)
    state, after = until(method, 2)
    hypernet, embeddings, beta = method.spec.hypernet, state["embeddings"], 20
    theta = {name: value.clone().requires_grad_() for name, value in state["theta"].items()}
    ahead = {name: value + 0.01 for name, value in theta.items()}
    terms = []
    for task, (then, factor) in enumerate(zip(after, (0.5, 2) if factors else (1, 1), strict=True)):
        learned = hypernet(then["theta"], embeddings[task : task + 1])[0]
        (fisher,) = squared_gradients(method, task, [learned], lambda leaves: leaves[0], labels == "given")
        torch.testing.assert_close(state["fisher"][task], fisher, rtol=1e-9, atol=1e-12)
        row = embeddings[task : task + 1]
        difference = hypernet(ahead, row)[0] - hypernet(state["theta"], row)[0].detach()
        first = next(iter(method.regularizer.direct.mask.drops(slice(task, task + 1))))
        kept = torch.ones_like(difference)
        kept[method.regularizer.direct.mask.span][first] = 0
        terms.append(factor * (fisher * kept * difference**2).sum())
    value = torch.stack(terms).mean()
    grads = torch.autograd.grad(beta * value, list(theta.values()))
    gradient = {name: torch.zeros_like(value) for name, value in state["theta"].items()}
    there = {name: value.detach() for name, value in ahead.items()}
    anchor = method.task_context(state, 2)
    found = method.regularizer.add_gradient_(gradient, there, anchor, method.strength)
    assert value > 0
    torch.testing.assert_close(found, value.detach(), rtol=1e-9, atol=1e-12)
    for name, grad in zip(gradient, grads, strict=True):
        torch.testing.assert_close(gradient[name], grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factors", [(), (FACTORS,)])
def test_theta_is_held_by_the_fisher_information_of_the_hypernetwork(factors: Any) -> None:
    method: Any = learner(SGD, "method.beta=20", "method.regularizer.kind=ewc", *factors)
    free: Any = learner(SGD, "method.name=finetune")
    state, after = until(method, 2)
    names, hypernet = list(state["theta"]), method.spec.hypernet
    pulls = [torch.zeros_like(value) for value in state["theta"].values()]
    total = torch.zeros((), dtype=torch.float64)
    for task, (then, factor) in enumerate(zip(after, (0.5, 2) if factors else (1, 1), strict=True)):
        row = state["embeddings"][task : task + 1]

        def generated(leaves: list[Tensor], row: Tensor = row) -> Tensor:
            return hypernet(dict(zip(names, leaves, strict=True)), row)[0]

        fishers = squared_gradients(method, task, list(then["theta"].values()), generated, given=False)
        for pull, fisher, name in zip(pulls, fishers, names, strict=True):
            moved = state["theta"][name] - then["theta"][name]
            pull += 20 * factor * fisher * moved
            total = total + factor * (fisher * moved**2).sum() / 2
    inputs, labels = batch(7)
    context = method.task_context(state, 2)
    unprotected = {name: value for name, value in doubled(state).items() if name not in ("held", "anchor")}
    unprotected = {
        name: ({**value} if isinstance(value, dict) else value.clone()) for name, value in unprotected.items()
    }
    unprotected["theta"] = {name: value.clone() for name, value in state["theta"].items()}
    unprotected, _ = free.step(unprotected, None, [(inputs.double(), labels)], StepInfo(2, 0, 1e-2))
    state, losses = method.step(state, context, [(inputs.double(), labels)], StepInfo(2, 0, 1e-2))
    assert total > 0
    torch.testing.assert_close(losses["regularizer"], total, rtol=1e-9, atol=1e-15)
    for name, pull in zip(names, pulls, strict=True):
        expected = unprotected["theta"][name] - 1e-2 * pull
        torch.testing.assert_close(state["theta"][name], expected, rtol=1e-9, atol=1e-12)


def test_a_factor_of_0_leaves_a_task_unprotected() -> None:
    some: Any = learner("method.regularizer.task_factors=[0, 1, 1]")
    state, _ = until(some, 1)
    context = some.task_context(state, 1)
    ahead = {name: value + 1 for name, value in state["theta"].items()}
    gradient = {name: torch.zeros_like(value) for name, value in ahead.items()}
    assert some.regularizer.add_gradient_(gradient, ahead, context, 1.0) == 0
    assert not any(grad.any() for grad in gradient.values())
