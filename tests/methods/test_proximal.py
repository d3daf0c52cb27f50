"""Steps of hnet that are found by several, against the definition by autograd and torch's own optimisers."""

from typing import Any

import pytest
import torch
from test_learners import batch, learner, trained
from test_replicas import doubled
from torch.nn.functional import cross_entropy

from hypercl.methods import StepInfo

TASK, ALPHA, BETA, RATE = 2, 0.3, 0.1, 1e-3


@pytest.mark.parametrize("kind", ["output", "value_preserving"])
@pytest.mark.parametrize(("optimizer", "torchs"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)])
def test_theta_takes_the_change_that_steps_find_and_the_embedding_a_step_after_it(
    kind: str, optimizer: str, torchs: Any
) -> None:
    section = f"{{name: {optimizer}, lr: {RATE}}}"
    keywords = {"momentum": 0.9} if optimizer == "sgd" else {}
    changes = [f"method.regularizer.kind={kind}", f"method.beta={BETA}", f"training.optimizer={section}"]
    changes += ["method.regularizer.mask_heads=false", f"method.proximal={{steps: 3, weight: {ALPHA}}}"]
    method: Any = learner(*changes)
    state = doubled(method.start_task(trained(method, TASK), TASK))
    context = method.task_context(state, TASK)
    hypernet, target = method.spec.hypernet, method.spec.target
    theta = {name: value.clone() for name, value in state["theta"].items()}
    rows = [state["embeddings"][task : task + 1].clone() for task in range(TASK)]
    olds = [hypernet(theta, row)[0] for row in rows]
    embedding = state["embeddings"][TASK : TASK + 1].clone().requires_grad_()
    change = {name: torch.zeros_like(value).requires_grad_() for name, value in theta.items()}
    of_change = torchs(list(change.values()), lr=RATE, **keywords)
    of_embedding = torchs([embedding], lr=RATE, **keywords)

    def loss(at: dict[str, Any], inputs: Any, labels: Any) -> Any:
        outputs, _ = target(hypernet(at, embedding)[0], {}, inputs, training=True)
        return cross_entropy(outputs[:, 4:6], labels)

    for number in range(3):
        inputs, labels = batch(200 + number)
        inputs = inputs.double()
        with torch.no_grad():
            for value in change.values():
                value.zero_()
        befores = olds if kind == "output" else [hypernet(theta, row)[0].detach() for row in rows]
        for _ in range(3):
            ahead = {name: theta[name] + change[name] for name in theta}
            held = torch.stack(
                [(hypernet(ahead, row)[0] - old).square().sum() for row, old in zip(rows, befores, strict=True)]
            ).mean()
            of_change.zero_grad()
            total = loss(ahead, inputs, labels) + BETA * held
            total = total + ALPHA * torch.cat([value.flatten() for value in change.values()]).norm()
            total.backward(inputs=list(change.values()))
            of_change.step()
        theta = {name: theta[name] + change[name].detach() for name in theta}
        of_embedding.zero_grad()
        after = loss(theta, inputs, labels)
        after.backward(inputs=[embedding])
        of_embedding.step()
        state, losses = method.step(state, context, [(inputs, labels)], StepInfo(TASK, number, RATE))
        assert torch.isfinite(held)
        # Adam divides by the size of gradients, and so enlarges the rounding of those that are nearly 0
        torch.testing.assert_close(losses["regularizer"], held.detach(), rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(losses["task"], after.detach(), rtol=1e-7, atol=1e-10)
        for name, value in theta.items():
            torch.testing.assert_close(state["theta"][name], value, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(state["embeddings"][TASK : TASK + 1], embedding.detach(), rtol=1e-9, atol=1e-9)


def test_the_first_task_takes_ordinary_steps() -> None:
    proximal, ordinary = learner("method.proximal=true"), learner()
    assert torch.equal(trained(proximal, 1)["theta"]["head"], trained(ordinary, 1)["theta"]["head"])
