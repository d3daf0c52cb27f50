"""One module called with several vectors of weights at once: replicas of a run, or the networks of several tasks."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from hypercl.config import UserError
from hypercl.tensors import random_state_kept

Way = Literal["stacked", "vmap", "loop"]
"""How a bundle is computed: by the module itself, whose layers take stacked weights; by torch.vmap; one by one."""


def way_of(stacks: bool, draws: bool, convolves: bool, vmaps: bool, device: torch.device) -> Way:
    """The quickest way that is right.

    Args:
        stacks: the module takes stacked weights itself.
        draws: the pass draws random numbers: each member of the bundle draws its own, from its own seed.
        convolves: the module has convolutions. vmap makes grouped ones of them, which the CPU's library runs slower
            than one after the other (spec/exact_regularizer.md), and a GPU faster.
        vmaps: torch.vmap can run the module.
        device: where.
    """
    if draws:
        return "loop"
    if stacks:
        return "stacked"
    return "loop" if device.type == "cpu" and (convolves or not vmaps) else "vmap"


def vmapped(
    module: nn.Module, state: dict[str, Tensor], buffers: tuple[str, ...], inputs: Tensor, shared: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs (bundle, batch, outputs) and the buffers after the pass, by torch.vmap.

    Args:
        module: in the mode it is to run in.
        state: parameters and buffers, (bundle, ...).
        buffers: names of the buffers among them.
        inputs: (bundle, batch, ...), or (batch, ...) for all.
        shared: whether the inputs are for all.
    """

    def one(own: dict[str, Tensor], given: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        after = {name: value.clone() if name in buffers else value for name, value in own.items()}
        outputs = functional_call(module, after, (given,))
        return outputs, {name: after[name] for name in buffers}

    return torch.vmap(one, in_dims=(0, None if shared else 0))(state, inputs)


class _Bundled(Protocol):
    """What `vmap_failure` needs of a model."""

    module: nn.Module

    def initial_weights(self) -> Tensor: ...
    def initial_buffers(self) -> dict[str, Tensor]: ...
    def split(self, weights: Tensor) -> dict[str, Tensor]: ...


def vmap_failure(model: _Bundled, input_shape: tuple[int, ...], modes: tuple[bool, ...]) -> str | None:
    """Why torch.vmap cannot run a module, with the innermost layer in which it failed; None if it can.

    Args:
        model: with its module.
        input_shape: of one input.
        modes: the modes to try: whether training.
    """
    weights = model.initial_weights()
    state = model.split(weights) | model.initial_buffers()
    stacked = {name: torch.stack([value, value]) for name, value in state.items()}
    inputs = torch.zeros(2, 2, *input_shape, device=weights.device)
    for mode in modes:
        model.module.train(mode)
        with random_state_kept(), torch.no_grad(), _innermost(model.module) as running:
            try:
                vmapped(model.module, stacked, tuple(model.initial_buffers()), inputs, shared=False)
            except Exception as error:
                first = next(iter(str(error).strip().splitlines()), type(error).__name__)
                return f"{running[-1] if running else type(model.module).__name__}: {first}"
    return None


def cannot_bundle(failure: str) -> UserError:
    """The refusal of a module that torch.vmap cannot run where only that would pay."""
    return UserError(
        f"training.replicas: a layer of the target cannot be replicated on a GPU: {failure}\n"
        "    fix:     --set training.replicas=1, or --device cpu, where replicas run one after the other"
    )


class Convolutions(TorchFunctionMode):
    """Inside, `seen` tells whether a convolution was called, by whatever layer or function.

    A mode of functions, not of dispatch: the first of those imports torch's compiler, three seconds on a CPU core.
    """

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        self.seen |= getattr(func, "__name__", "").startswith("conv")
        return func(*args, **(kwargs or {}))


@contextmanager
def _innermost(module: nn.Module) -> Generator[list[str]]:
    """Inside, the layers that are running, the innermost last; one that raised stays."""
    running: list[str] = []
    hooks: list[RemovableHandle] = []
    layers: dict[str, nn.Module] = dict(module.named_modules())
    for path, layer in layers.items():
        name = f"layer '{path}' ({type(layer).__name__})" if path else type(layer).__name__
        hooks.append(layer.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        hooks.append(layer.register_forward_hook(lambda *_: running.pop() and None))
    try:
        yield running
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def drawn_from(seed: int, device: torch.device) -> Generator[None]:
    """Inside, what draws from torch's global state on the CPU and on a device draws from a seed.

    `nn.Dropout`, `functional.dropout` and `torch.rand` take no generator, so it is the state itself that is lent to
    them. It is put back afterwards; the states of other devices are never touched.
    """
    cpu = torch.default_generator
    before = cpu.get_state()
    elsewhere = _state_of(device)
    try:
        cpu.manual_seed(seed)
        _seed(device, seed)
        yield
    finally:
        cpu.set_state(before)
        _restore(device, elsewhere)


def _state_of(device: torch.device) -> torch.Tensor | None:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def _seed(device: torch.device, seed: int) -> None:
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def _restore(device: torch.device, state: torch.Tensor | None) -> None:
    if device.type == "cuda" and state is not None:
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps" and state is not None:
        torch.mps.set_rng_state(state)
