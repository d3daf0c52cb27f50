"""In-place optimisers, whose look-ahead is exactly the step that would be taken.

Adam, AdamW and SGD are torch's fused kernels, one pass over parameter, gradient and moments: on two CPU cores such a
step of two million numbers took 3 ms, the same arithmetic in single operations 60 ms.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from hypercl.config.models import SGD, Adam, AdamW, RMSprop
from hypercl.tensors import Tensors, copied, copied_at_once, joint_norm, vector_norm

OneRate = float | Tensor
"""A learning rate; a tensor () where a step is recorded once and replayed with other rates."""
Rate = OneRate | Sequence[OneRate]
"""A learning rate, or one per replica where the first axis of all tensors is the replica."""


Config = TypeVar("Config", Adam, SGD, RMSprop)

Update = tuple[Tensors, Tensors, Tensors]
"""Parameters, contiguous; their gradients; and the state of their optimiser."""


class Optimizer(ABC, Generic[Config]):
    """Steps of parameters by their gradients, with a separate state for each set of parameters."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def init(self, params: Tensors) -> Tensors:
        """The state before the first step: a flat dict of tensors."""

    def step_(self, params: Tensors, grads: Tensors, state: Tensors, lr: Rate) -> None:
        """One step: changes `params`, contiguous, and `state`, from `init`; `lr` includes the schedule."""
        self.step_all_([(params, grads, state)], lr)

    def step_all_(self, updates: Sequence[Update], lr: Rate) -> None:
        """As `step_`, of several sets of parameters in one call."""
        params, grads, state = updates[0] if len(updates) == 1 else _joined(updates)
        # the fused kernels ignore strides
        grads = {name: grads[name].contiguous() for name in params}
        if isinstance(lr, Sequence):
            self._step_each(params, grads, state, lr)
        else:
            self._step(params, grads, state, lr)

    @torch.no_grad()
    def look_ahead(self, params: Tensors, grads: Tensors, state: Tensors, lr: Rate) -> Tensors:
        """Where `step_` would take the parameters; nothing is changed."""
        copies = copied_at_once(params | state)  # names of the state begin with a kind and a slash
        ahead = {name: copies[name] for name in params}
        self.step_(ahead, grads, {name: copies[name] for name in state}, lr)
        return ahead

    @abstractmethod
    def _step(self, params: Tensors, grads: Tensors, state: Tensors, lr: OneRate) -> None: ...

    def _step_each(self, params: Tensors, grads: Tensors, state: Tensors, rates: Sequence[OneRate]) -> None:
        """One replica after the other; they share their step counts, which have no replica axis."""
        counts = {name: value.clone() for name, value in state.items() if name.startswith("step/")}
        for replica, rate in enumerate(rates):
            part, part_grads = ({name: tensors[name][replica] for name in params} for tensors in (params, grads))
            moments = {name: value[replica] for name, value in state.items() if name not in counts}
            self._step(part, part_grads, moments | copied(counts), rate)
        for name in counts:
            state[name].add_(1)


def _joined(updates: Sequence[Update]) -> Update:
    """Several sets as one; the tensors are the same."""
    params, grads, state = Tensors(), Tensors(), Tensors()
    for place, (own, own_grads, own_state) in enumerate(updates):
        params |= {f"{place}.{name}": value for name, value in own.items()}
        grads |= {f"{place}.{name}": own_grads[name] for name in own}
        for key, value in own_state.items():
            kind, _, name = key.partition("/")
            state[f"{kind}/{place}.{name}"] = value
    return params, grads, state


def build_optimizer(config: Adam | SGD | RMSprop) -> Optimizer[Any]:
    """The optimiser of a section `optimizer`."""
    match config:
        case SGD():
            return _SGD(config)
        case RMSprop():
            return _RMSprop(config)
        case Adam():
            return _Adam(config)


class _Adam(Optimizer[Adam]):
    """Adam (Kingma & Ba 2015), and AdamW (Loshchilov & Hutter 2019), whose decay stays out of the means."""

    def init(self, params: Tensors) -> Tensors:
        moments = {f"{kind}/{name}": torch.zeros_like(p) for kind in ("mean", "square") for name, p in params.items()}
        return moments | {f"step/{name}": torch.zeros((), device=p.device) for name, p in params.items()}

    @torch.no_grad()
    def _step(self, params: Tensors, grads: Tensors, state: Tensors, lr: OneRate) -> None:
        adam(
            list(params.values()),
            list(grads.values()),
            [state[f"mean/{name}"] for name in params],
            [state[f"square/{name}"] for name in params],
            [],
            [state[f"step/{name}"] for name in params],
            fused=True,
            amsgrad=False,
            beta1=self.config.betas[0],
            beta2=self.config.betas[1],
            lr=lr,
            weight_decay=self.config.weight_decay,
            eps=self.config.eps,
            maximize=False,
            decoupled_weight_decay=isinstance(self.config, AdamW),
        )


class _SGD(Optimizer[SGD]):
    """Gradient descent with momentum, in torch's form: buffer = momentum * buffer + gradient."""

    def init(self, params: Tensors) -> Tensors:
        return {f"momentum/{name}": torch.zeros_like(p) for name, p in params.items()} if self.config.momentum else {}

    @torch.no_grad()
    def _step(self, params: Tensors, grads: Tensors, state: Tensors, lr: OneRate) -> None:
        sgd(
            list(params.values()),
            list(grads.values()),
            [state.get(f"momentum/{name}") for name in params],
            fused=True,
            weight_decay=self.config.weight_decay,
            momentum=self.config.momentum,
            lr=lr,  # pyright: ignore[reportArgumentType]
            dampening=0.0,
            nesterov=self.config.nesterov,
            maximize=False,
        )


class _RMSprop(Optimizer[RMSprop]):
    """The gradient over the root of its running mean square, in torch's form: eps outside the root."""

    def init(self, params: Tensors) -> Tensors:
        kinds = ["square"]
        kinds += ["mean"] if self.config.centered else []
        kinds += ["momentum"] if self.config.momentum else []
        return {f"{kind}/{name}": torch.zeros_like(p) for name, p in params.items() for kind in kinds}

    @torch.no_grad()
    def _step(self, params: Tensors, grads: Tensors, state: Tensors, lr: OneRate) -> None:
        alpha, l2 = self.config.alpha, self.config.weight_decay
        for name, param in params.items():
            grad = grads[name].add(param, alpha=l2) if l2 else grads[name]
            spread = state[f"square/{name}"].mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
            if self.config.centered:
                mean = state[f"mean/{name}"].lerp_(grad, 1 - alpha)
                # the variance of nearly constant gradients may round below 0, where torch returns nan
                spread = spread.addcmul(mean, mean, value=-1).clamp_(min=0)
            direction = grad / spread.sqrt().add_(self.config.eps)
            if self.config.momentum:
                direction = state[f"momentum/{name}"].mul_(self.config.momentum).add_(direction)
            if isinstance(lr, Tensor):
                param.addcmul_(direction, lr, value=-1)
            else:
                param.sub_(direction, alpha=lr)


def clip_norm(gradients: dict[str, Tensor], bound: float | None, replicas: bool = False) -> dict[str, Tensor]:
    """Gradients scaled so that their joint Euclidean norm is at most `bound`; None leaves them as they are.

    The arithmetic of `torch.nn.utils.clip_grad_norm_`, without waiting for the device. A norm that is not finite makes
    the result not finite. With `replicas` the first axis is the replica, and each replica has its own norm.
    """
    if bound is None:
        return gradients
    if not replicas:
        scale = (bound / (joint_norm(list(gradients.values())) + 1e-6)).clamp(max=1.0)
        return {name: gradient * scale for name, gradient in gradients.items()}
    flat = {name: gradient.flatten(1) for name, gradient in gradients.items()}
    norms = [vector_norm(values, dim=-1) for values in flat.values()]
    scale = (bound / (vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1.0)
    return {name: (values * scale.unsqueeze(-1)).view_as(gradients[name]) for name, values in flat.items()}
