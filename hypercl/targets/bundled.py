"""One module called with several vectors of weights at once: replicas of a run, or the networks of several tasks."""

import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from hypercl.formatting import first_line
from hypercl.tensors import random_state_kept

Way = Literal["stacked", "vmap", "loop"]
"""How a bundle is computed: by the module itself, whose layers take stacked weights; by torch.vmap; one by one."""


def vmapped(
    module: nn.Module, state: dict[str, Tensor], buffers: tuple[str, ...], inputs: Tensor, shared: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs (bundle, batch, outputs) and the buffers after the pass, by torch.vmap.

    The state are parameters and buffers, (bundle, ...), `buffers` names the latter; inputs are (bundle, batch, ...), or
    (batch, ...) if shared. The module is already in the mode of the pass.
    """

    def forward(member: dict[str, Tensor], inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        after = {name: value.clone() if name in buffers else value for name, value in member.items()}
        outputs = functional_call(module, after, (inputs,))
        return outputs, {name: after[name] for name in buffers}

    return torch.vmap(forward, in_dims=(0, None if shared else 0))(state, inputs)


def vmap_failure(
    module: nn.Module, state: dict[str, Tensor], buffers: tuple[str, ...], inputs: Tensor, modes: tuple[bool, ...]
) -> str | None:
    """Why torch.vmap cannot run a module, with the innermost layer that failed; None if it can.

    Arguments as of `vmapped`, for one member of a bundle; `modes` to try: whether training.
    """
    stacked = {name: torch.stack([value, value]) for name, value in state.items()}
    for mode in modes:
        module.train(mode)
        with random_state_kept(), torch.no_grad(), _innermost(module) as running:
            try:
                vmapped(module, stacked, buffers, torch.stack([inputs, inputs]), shared=False)
            except Exception as error:
                return f"{running[-1] if running else type(module).__name__}: {first_line(error)}"
    return None


class Convolutions(TorchFunctionMode):
    """While active, `seen` becomes true when any layer or function calls a convolution.

    A mode of functions, not of dispatch: the first of those imports torch's compiler, three seconds on a CPU core.
    """

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen |= getattr(func, "__name__", "").startswith("conv")
        return func(*args, **(kwargs or {}))


@contextmanager
def _innermost(module: nn.Module) -> Generator[list[str]]:
    """The layers that are running while active, the innermost last; one that raised stays."""
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
    """Draws from the global state of torch (on the CPU and on a device), NumPy and `random` come from a seed.

    `nn.Dropout`, `functional.dropout` and `torch.rand` take no generator, so the global state is seeded and restored
    afterwards; the states of other devices are never touched.
    """
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    with random_state_kept():
        try:
            torch.default_generator.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            if cuda is not None:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            if mps is not None:
                torch.mps.manual_seed(seed)
            yield
        finally:
            if cuda is not None:
                torch.cuda.set_rng_state(cuda, device)
            if mps is not None:
                torch.mps.set_rng_state(mps)
