"""Random numbers of a module's own, such as dropout masks, drawn from a seed instead of the process's state."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def drawn_from(seed: int, device: torch.device) -> Iterator[None]:
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
