"""One step of each optimiser by its formula, for autograd to go through."""

from typing import Any

import torch
from torch import Tensor

from hypercl.config.models.training import SGD, Adam, AdamW, RMSprop


def moved(config: Any, param: Tensor, grad: Tensor, state: dict[str, Tensor], name: str, lr: Any) -> Tensor:
    """One step, as the papers and torch's documentation write it."""
    before = {kind: state.get(f"{kind}/{name}", torch.zeros(())) for kind in ("mean", "square", "step", "momentum")}
    decay = config.weight_decay
    if isinstance(config, AdamW):
        param = param - lr * decay * param
    else:
        grad = grad + decay * param
    if isinstance(config, SGD):
        buffer = config.momentum * before["momentum"] + grad
        return param - lr * (grad + config.momentum * buffer if config.nesterov else buffer)
    if isinstance(config, RMSprop):
        square = config.alpha * before["square"] + (1 - config.alpha) * grad**2
        mean = config.alpha * before["mean"] + (1 - config.alpha) * grad
        root = root_of(square - mean**2 if config.centered else square)
        return param - lr * (config.momentum * before["momentum"] + grad / (root + config.eps))
    assert isinstance(config, Adam)
    (first, second), step = config.betas, before["step"].double() + 1
    mean = (first * before["mean"] + (1 - first) * grad) / (1 - first**step)
    square = (second * before["square"] + (1 - second) * grad**2) / (1 - second**step)
    return param - lr * mean / (root_of(square) + config.eps)


def root_of(square: Tensor) -> Tensor:
    """The root, of which autograd gives a slope of 0 at 0."""
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)
