"""Regularisers of the look-ahead step, against their definition with whole Jacobians."""

from typing import Any

import pytest
import torch
from test_output_regularizer import HEADS, NUM_WEIGHTS, OUTPUT_OF, TASKS, Setting
from torch import Tensor

from hypercl.regularizers import FirstOrder, HeadMask, Point, StepForm, ValuePreserving

KINDS = {"first order": FirstOrder, "value-preserving": ValuePreserving}
SUBSET = torch.tensor([3, 1])


class Definition(Setting):
    """R of a kind, one task and one weight at a time, by autograd's Jacobians."""

    def residual(self, kind: str, at: dict[str, Tensor], step: dict[str, Tensor], task: int) -> Tensor:
        names = list(at)

        def generated(*params: Tensor) -> Tensor:
            theta = dict(zip(names, params, strict=True))
            return self.hypernet(theta, theta.pop("embeddings")[task : task + 1])[0]

        if kind == "value-preserving":
            return generated(*[at[name] + step[name] for name in names]) - generated(*at.values())
        jacobians: Any = torch.autograd.functional.jacobian(generated, tuple(at.values()), create_graph=True)
        return sum(part.flatten(1) @ step[name].flatten() for name, part in zip(names, jacobians, strict=True))

    def value(
        self,
        kind: str,
        at: dict[str, Tensor],
        step: dict[str, Tensor],
        tasks: list[int],
        masked: bool,
        importance: Tensor,
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for task in tasks:
            residual = self.residual(kind, at, step, task)
            for weight in range(NUM_WEIGHTS):
                own = OUTPUT_OF[weight]
                if not masked or own == -1 or HEADS[task, 0] <= own < HEADS[task, 1]:
                    total = total + importance[task, weight % importance.shape[1]] * residual[weight] ** 2
        return total / len(tasks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)])
@pytest.mark.parametrize(
    ("masked", "tasks", "moving"), [(False, None, True), (True, SUBSET, False), (True, None, True)]
)
def test_value_and_gradients_equal_those_of_the_definition(
    kind: str, hidden: tuple[int, ...], masked: bool, tasks: Tensor | None, moving: bool
) -> None:
    setting = Definition(hidden)
    form: StepForm = KINDS[kind](setting.hypernet, HeadMask(OUTPUT_OF, HEADS) if masked else None)
    moved = setting.embeddings + 0.1 if moving else None
    origin = Point(setting.before, setting.embeddings if moving else None)
    gradient = {name: torch.ones_like(value) for name, value in setting.before.items()}
    of_step = {name: torch.zeros_like(value) for name, value in setting.before.items()}
    if moving:
        gradient["embeddings"] = torch.ones_like(setting.embeddings)
    importance = torch.rand(TASKS, NUM_WEIGHTS if moving else 1, dtype=torch.float64)
    anchor = form.anchor(setting.before, setting.embeddings, importance)
    options: dict[str, Any] = {"tasks": tasks, "embeddings": moved, "origin": origin, "of_step": of_step}
    value = form.add_gradient_(gradient, setting.now, anchor, 0.5, **options)

    before = {**setting.before, "embeddings": setting.embeddings}
    ahead = {**setting.now, "embeddings": setting.embeddings if moved is None else moved}
    at = {name: tensor.clone().requires_grad_() for name, tensor in before.items()}
    step = {name: (ahead[name] - tensor).requires_grad_() for name, tensor in before.items()}
    expected = setting.value(kind, at, step, [3, 1] if tasks is not None else list(range(TASKS)), masked, importance)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-9, atol=1e-9)
    found = torch.autograd.grad(expected, [*at.values(), *step.values()], materialize_grads=True)
    of_at, of_steps = dict(zip(at, found, strict=False)), dict(zip(step, found[len(at) :], strict=True))
    for name in gradient:
        torch.testing.assert_close(gradient[name], 1 + 0.5 * of_at[name], rtol=1e-9, atol=1e-9)
    for name in of_step:
        torch.testing.assert_close(of_step[name], 0.5 * of_steps[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_costs_nothing(kind: str) -> None:
    setting = Setting()
    form = KINDS[kind](setting.hypernet)
    gradient = {name: torch.zeros_like(value) for name, value in setting.before.items()}
    anchor = form.anchor(setting.before, setting.embeddings)
    value = form.add_gradient_(gradient, setting.before, anchor, origin=Point(setting.before, None))
    assert value == 0
    assert not any(grad.any() for grad in gradient.values())


def test_the_first_order_is_the_limit_of_small_steps() -> None:
    setting = Setting()
    values: dict[str, Tensor] = {}
    ahead = {name: value + 1e-6 * (setting.now[name] - value) for name, value in setting.before.items()}
    for kind, form in KINDS.items():
        gradient = {name: torch.zeros_like(value) for name, value in setting.before.items()}
        built = form(setting.hypernet)
        anchor = built.anchor(setting.before, setting.embeddings)
        values[kind] = built.add_gradient_(gradient, ahead, anchor, origin=Point(setting.before, None))
    torch.testing.assert_close(values["first order"], values["value-preserving"], rtol=1e-5, atol=0)
