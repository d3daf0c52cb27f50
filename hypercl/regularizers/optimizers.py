"""Optimisers as pure functions, so that a look-ahead shares every digit with the step that is taken.

A step is `delta, state = optimizer.delta(params, grads, state, lr)`; the look-ahead is the same call with the new state
dropped. The arithmetic is that of torch.optim.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hypercl.config.training import SGD, Adam, AdamW, RMSprop

Tensors = dict[str, Tensor]


class Optimizer(ABC):
    """A step as a function of parameters, gradients and state; nothing is changed in place."""

    @abstractmethod
    def init(self, params: Tensors) -> Tensors:
        """The state before the first step: a flat dict of tensors."""

    @abstractmethod
    def delta(self, params: Tensors, grads: Tensors, state: Tensors, lr: float) -> tuple[Tensors, Tensors]:
        """What one step adds to the parameters, and the state after it.

        Args:
            params: name -> parameter.
            grads: name -> gradient, for all parameters.
            state: from `init` or an earlier step.
            lr: the rate of this step, schedule included.
        """


def build_optimizer(config: Adam | SGD | RMSprop) -> Optimizer:
    """The optimiser of a settings section."""
    match config:
        case SGD():
            return _SGD(config)
        case RMSprop():
            return _RMSprop(config)
        case Adam():
            return _Adam(config)


class _Adam(Optimizer):
    """Adam (Kingma & Ba 2015), and AdamW (Loshchilov & Hutter 2019), whose decay stays out of the means."""

    def __init__(self, config: Adam) -> None:
        decoupled = isinstance(config, AdamW)
        self.betas = config.betas
        self.eps = config.eps
        self.l2 = 0.0 if decoupled else config.weight_decay
        self.shrink = config.weight_decay if decoupled else 0.0

    def init(self, params: Tensors) -> Tensors:
        device = next(iter(params.values())).device
        means = {f"{kind}/{name}": torch.zeros_like(p) for name, p in params.items() for kind in ("mean", "square")}
        return {"step": torch.zeros((), dtype=torch.int64, device=device)} | means

    @torch.no_grad()
    def delta(self, params: Tensors, grads: Tensors, state: Tensors, lr: float) -> tuple[Tensors, Tensors]:
        beta1, beta2 = self.betas
        after = {"step": state["step"] + 1}
        step = after["step"].to(next(iter(params.values())).dtype)
        rate, root_unbias = -lr / _unbias(beta1, step), _unbias(beta2, step).sqrt()
        deltas: Tensors = {}
        for name, param in params.items():
            grad = grads[name].add(param, alpha=self.l2) if self.l2 else grads[name]
            mean = state[f"mean/{name}"].lerp(grad, 1 - beta1)
            square = (state[f"square/{name}"] * beta2).addcmul_(grad, grad, value=1 - beta2)
            root = square.sqrt().div_(root_unbias).add_(self.eps)
            deltas[name] = mean.div(root).mul_(rate)
            if self.shrink:
                deltas[name].sub_(param, alpha=lr * self.shrink)
            after |= {f"mean/{name}": mean, f"square/{name}": square}
        return deltas, after


class _SGD(Optimizer):
    """Gradient descent with momentum, in torch's form: buffer = momentum * buffer + gradient."""

    def __init__(self, config: SGD) -> None:
        self.momentum = config.momentum
        self.nesterov = config.nesterov
        self.l2 = config.weight_decay

    def init(self, params: Tensors) -> Tensors:
        return {f"momentum/{name}": torch.zeros_like(p) for name, p in params.items()} if self.momentum else {}

    @torch.no_grad()
    def delta(self, params: Tensors, grads: Tensors, state: Tensors, lr: float) -> tuple[Tensors, Tensors]:
        after: Tensors = {}
        deltas: Tensors = {}
        for name, param in params.items():
            direction = grad = grads[name].add(param, alpha=self.l2) if self.l2 else grads[name]
            if self.momentum:
                buffer = state[f"momentum/{name}"].mul(self.momentum).add_(grad)
                direction = grad.add(buffer, alpha=self.momentum) if self.nesterov else buffer
                after[f"momentum/{name}"] = buffer
            deltas[name] = direction * -lr
        return deltas, after


class _RMSprop(Optimizer):
    """The gradient over the root of its running mean square, in torch's form: eps outside of the root."""

    def __init__(self, config: RMSprop) -> None:
        self.config = config

    def init(self, params: Tensors) -> Tensors:
        kinds = ["square"]
        kinds += ["mean"] if self.config.centered else []
        kinds += ["momentum"] if self.config.momentum else []
        return {f"{kind}/{name}": torch.zeros_like(p) for name, p in params.items() for kind in kinds}

    @torch.no_grad()
    def delta(self, params: Tensors, grads: Tensors, state: Tensors, lr: float) -> tuple[Tensors, Tensors]:
        alpha, l2, momentum = self.config.alpha, self.config.weight_decay, self.config.momentum
        after: Tensors = {}
        deltas: Tensors = {}
        for name, param in params.items():
            grad = grads[name].add(param, alpha=l2) if l2 else grads[name]
            square = (state[f"square/{name}"] * alpha).addcmul_(grad, grad, value=1 - alpha)
            after[f"square/{name}"] = spread = square
            if self.config.centered:
                mean = state[f"mean/{name}"].lerp(grad, 1 - alpha)
                after[f"mean/{name}"] = mean
                # gradients that hardly change leave a variance that rounds to less than 0; torch goes to nan there
                spread = square.addcmul(mean, mean, value=-1).clamp_(min=0)
            direction = grad / spread.sqrt().add_(self.config.eps)
            if momentum:
                direction = direction.add_(state[f"momentum/{name}"], alpha=momentum)
                after[f"momentum/{name}"] = direction
            deltas[name] = direction * -lr
        return deltas, after


def _unbias(beta: float, step: Tensor) -> Tensor:
    """1 - beta ** step, exact to the last digits in float32, where a plain power loses four of seven at beta 0.999."""
    return -torch.expm1(step * (math.log(beta) if beta else -math.inf))
