"""Back-propagation through the step of an optimiser, which moves each number by a function of its own gradient."""

from collections.abc import Callable, Sequence
from functools import partial
from math import log

import torch
from torch import Tensor

from hypercl.config.models import SGD, Adam, AdamW, RMSprop
from hypercl.regularizers.optimizers import Rate
from hypercl.tensors import Tensors

Slope = Callable[[Tensor, Callable[[str], Tensor]], Tensor]
"""The derivative of a step, divided by -lr, with respect to the gradient (weight decay included): from that gradient
and the parts of the state by kind."""


def step_back(
    config: Adam | SGD | RMSprop, reached: Tensors, params: Tensors, grads: Tensors, state: Tensors, lr: Rate
) -> tuple[Tensors, Tensors]:
    """The gradient with respect to what a step of an optimiser depends on, of a function of the step.

    The second derivative of a root is infinite where a running square is 0: there the root counts as constant, as it
    is for a gradient that stays 0.

    Args:
        config: of the optimiser.
        reached: the gradient with respect to the step, the change of the parameters.
        params: before the step.
        grads: their gradients.
        state: of the optimiser, before the step.
        lr: the rate, or one per replica.

    Returns:
        The gradient with respect to the parameters at constant `grads`, which is weight decay's; and with respect to
        `grads`; by name.
    """
    slope = _slope(config)
    decoupled = config.weight_decay if isinstance(config, AdamW) else 0.0
    coupled = 0.0 if isinstance(config, AdamW) else config.weight_decay
    of_params, of_grads = Tensors(), Tensors()
    for name, value in reached.items():
        rate = lr
        if isinstance(rate, Sequence):
            several = [one for one in rate if isinstance(one, Tensor)]
            of_each = torch.stack(several) if several else torch.tensor(rate, dtype=value.dtype, device=value.device)
            rate = of_each.view(-1, *[1] * (value.ndim - 1))
        decayed = grads[name].add(params[name], alpha=coupled)
        of_grads[name] = -rate * slope(decayed, partial(_part, state, name)) * value
        of_params[name] = coupled * of_grads[name] - rate * decoupled * value
    return of_params, of_grads


def _part(state: Tensors, name: str, kind: str) -> Tensor:
    return state[f"{kind}/{name}"]


def _slope(config: Adam | SGD | RMSprop) -> Slope:
    match config:
        case SGD():
            slope = 1 + config.momentum if config.nesterov else 1.0
            return lambda grad, _: torch.full_like(grad, slope)
        case RMSprop():
            return partial(_of_rmsprop, config)
        case Adam():
            return partial(_of_adam, config)


def _of_adam(config: Adam, grad: Tensor, part: Callable[[str], Tensor]) -> Tensor:
    first, second = config.betas
    step = part("step").to(grad.dtype) + 1
    of_mean, of_square = _correction(first, step), _correction(second, step)
    mean = first * part("mean") + (1 - first) * grad
    root = ((second * part("square") + (1 - second) * grad.square()) / of_square).sqrt()
    below = root + config.eps
    of_root = _over((1 - second) / of_square * grad, root)
    return ((1 - first) - mean * of_root / below) / below / of_mean


def _correction(beta: float, step: Tensor) -> Tensor:
    """1 - beta^step; of the difference itself, float32 would keep three digits less."""
    return -torch.expm1(step * log(beta)) if beta else torch.ones_like(step)


def _of_rmsprop(config: RMSprop, grad: Tensor, part: Callable[[str], Tensor]) -> Tensor:
    alpha = config.alpha
    spread, slope = alpha * part("square") + (1 - alpha) * grad.square(), (1 - alpha) * grad
    if config.centered:
        mean = alpha * part("mean") + (1 - alpha) * grad
        spread, slope = (spread - mean.square()).clamp(min=0), slope - (1 - alpha) * mean
    root = spread.sqrt()
    below = root + config.eps
    return (1 - grad * _over(slope, root) / below) / below


def _over(numbers: Tensor, root: Tensor) -> Tensor:
    return torch.where(root > 0, numbers / root, 0.0)
