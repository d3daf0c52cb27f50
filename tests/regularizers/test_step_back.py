"""The gradient of a step, against autograd through each optimiser's formula."""

from typing import Any

import pytest
import torch
from test_optimizers import each_setting, gradients, rate, start
from torch import Tensor

from hypercl.config.models.training import Adam, RMSprop
from hypercl.regularizers import build_optimizer, step_back
from tests.textbook_steps import moved


@each_setting
@pytest.mark.parametrize("steps", [0, 6])
@pytest.mark.parametrize("rates", [1e-2, (1e-2, 3e-2)])
def test_it_is_autograds_through_the_formula_of_a_step(setting: Any, steps: int, rates: Any) -> None:
    config, *_ = setting
    params, optimizer = start(torch.float64), build_optimizer(config)
    bundled = isinstance(rates, tuple)
    if bundled:
        params = {name: torch.stack([value, 2 * value]) for name, value in params.items()}
    state = optimizer.init(params)
    for step in range(steps):
        optimizer.step_(params, gradients(params, step), state, rates)
    grads, reached = gradients(params, steps), gradients(params, 50)
    at = {name: value.clone().requires_grad_() for name, value in params.items()}
    of_loss = {name: value.clone().requires_grad_() for name, value in grads.items()}

    def lr(value: Tensor) -> Any:
        return torch.tensor(rates, dtype=value.dtype).view(-1, *[1] * (value.ndim - 1)) if bundled else rates

    ahead = {name: moved(config, at[name], of_loss[name], state, name, lr(at[name])) for name in params}
    taken = optimizer.look_ahead(params, grads, state, rates)
    total = torch.zeros((), dtype=torch.float64)
    for name, value in ahead.items():
        torch.testing.assert_close(value.detach(), taken[name], rtol=1e-6, atol=1e-6)
        total = total + ((value - at[name]) * reached[name]).sum()
    found = torch.autograd.grad(total, [*at.values(), *of_loss.values()])
    of_params, of_grads = step_back(config, reached, params, grads, state, rates)
    for name, of_param, of_grad in zip(params, found, found[len(params) :], strict=False):
        torch.testing.assert_close(of_params[name], of_param, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(of_grads[name], of_grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("config", [Adam(), RMSprop(), RMSprop(centered=True)])
def test_a_gradient_that_was_always_0_has_a_finite_slope(config: Any) -> None:
    params = {"weight": torch.ones(3)}
    zero = {"weight": torch.zeros(3)}
    _, of_grads = step_back(config, params, params, zero, build_optimizer(config).init(params), rate(0))
    assert of_grads["weight"].isfinite().all()
