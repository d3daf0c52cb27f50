"""Trees of tensors, and the few functions of torch whose types its own stubs leave open."""

import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypercl.config.models import is_mapping

Tensors = dict[str, Tensor]
"""Tensors by name."""


def leaves(tree: dict[str, Any]) -> Iterator[Tensor]:
    """The tensors of nested dicts."""
    for value in tree.values():
        if is_mapping(value):
            yield from leaves(value)
        else:
            yield value


def copied(tree: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts of tensors that later steps, which work in place, leave alone."""
    return {key: copied(value) if is_mapping(value) else value.clone() for key, value in tree.items()}


def same_tensors(tree: dict[str, Any]) -> dict[str, Any]:
    """New nested dicts that hold the same tensors."""
    return {key: same_tensors(value) if is_mapping(value) else value for key, value in tree.items()}


def rows_of(places: Sequence[int]) -> slice | list[int]:
    """Consecutive places as a slice: an accelerator makes the host wait for a list of indices."""
    first, end = places[0], places[-1] + 1
    return slice(first, end) if list(places) == list(range(first, end)) else list(places)


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, without waiting for it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def copied_at_once(tensors: Tensors) -> Tensors:
    """Clones, made in one call for each dtype: CUDA copies tensors of several one by one."""
    copies = {name: torch.empty_like(tensor) for name, tensor in tensors.items()}
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors.values()):
        names = [name for name, tensor in tensors.items() if tensor.dtype == dtype]
        into, values = [copies[name] for name in names], [tensors[name] for name in names]
        torch._foreach_copy_(into, values)  # pyright: ignore[reportPrivateImportUsage]
    return copies


def add_all_(totals: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Adds one tensor to each of several in place, in one call."""
    torch._foreach_add_(totals, values)  # pyright: ignore[reportPrivateImportUsage, reportCallIssue, reportArgumentType]


def sums_of(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[Tensor]:
    """The sums of tensors of two lists, made in one call."""
    return list(torch._foreach_add(left, right))  # pyright: ignore[reportPrivateImportUsage, reportCallIssue, reportArgumentType]


def joint_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of several tensors together: a scalar."""
    return vector_norm(torch.stack(torch._foreach_norm(list(tensors))), dim=0)  # pyright: ignore[reportPrivateImportUsage, reportArgumentType]


def numbers(tensor: Tensor) -> list[Any]:
    """The numbers of a tensor of one or more axes, in nested lists; waits for the device."""
    return tensor.tolist()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def add_product_(total: Tensor, left: Tensor, right: Tensor, alpha: float = 1.0, beta: float = 1.0) -> Tensor:
    """total = beta total + alpha left right in place, of matrices or of stacks: (n, k) and (k, m) to (n, m).

    With `beta` 0 what was in `total` is not read.
    """
    if total.ndim == 2:
        return total.addmm_(left, right, beta=beta, alpha=alpha)
    return total.baddbmm_(left, right, beta=beta, alpha=alpha)


def vecdot(left: Tensor, right: Tensor) -> Tensor:
    """Dot products along the last axis."""
    return torch.linalg.vecdot(left, right)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def vector_norm(tensor: Tensor, dim: int) -> Tensor:
    """Euclidean norms along an axis."""
    return torch.linalg.vector_norm(tensor, dim=dim)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@contextmanager
def random_state_kept(seed: int | None = None) -> Generator[None]:
    """Restores the global random state of torch (on the CPU), NumPy and `random` at its end.

    Inside, all three begin at the seed, if one is given: a user's code may draw from any of them.
    """
    numpy, python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        if seed is not None:
            torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
            np.random.seed(seed % 2**32)
            random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy)
            random.setstate(python)


def random_state() -> tuple[Any, ...]:
    """The global random state of torch (on the CPU), NumPy and `random`; two of them can be compared."""
    numpy: Any = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), numpy[1].tobytes(), numpy[2:], random.getstate()  # pyright: ignore[reportUnknownMemberType]
