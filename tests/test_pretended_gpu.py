"""The pretended GPU computes what the CPU does, refuses what a GPU would, and counts what costs time there."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.pretended_gpu import DEVICE, PretendedGpu, pretended_gpu


@pytest.fixture(autouse=True)
def gpu() -> Iterator[PretendedGpu]:
    with pretended_gpu() as gpu:
        yield gpu


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape, device=DEVICE)


def test_values_and_gradients_are_those_of_the_cpu() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    found = []
    for device in ("cpu", DEVICE):
        leaf = values.clone().to(device).requires_grad_()
        (leaf.square() @ leaf.T).tanh().sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.device == torch.device(device)
        found.append(leaf.grad.tolist())
    assert found[0] == found[1]


def test_a_view_shares_its_values() -> None:
    whole = ones(3, 2)
    whole[1].mul_(5)
    whole[2:] = 7
    assert whole.tolist() == [[1, 1], [5, 5], [7, 7]]


def test_draws_need_a_generator_of_the_device_and_give_the_cpus_numbers() -> None:
    drawn = torch.rand(3, generator=torch.Generator(device=DEVICE).manual_seed(11), device=DEVICE)
    assert drawn.tolist() == torch.rand(3, generator=torch.Generator().manual_seed(11)).tolist()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, generator=torch.Generator().manual_seed(12), device=DEVICE)


def test_tensors_of_both_devices_are_an_error_and_a_number_of_the_host_is_none() -> None:
    for mixed in (lambda: ones(2) + torch.ones(2), lambda: torch.cat([torch.ones(1), ones(1)])):
        with pytest.raises(RuntimeError, match="one device"):
            mixed()
    assert (ones(2) + torch.tensor(2.0)).tolist() == [3, 3]


WAITING: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0, 0]),
    "condition": lambda x: bool(x.sum() > 1),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "list": lambda x: x[..., [0], :],
    "host indices": lambda x: x[torch.tensor([1])],
    "written by a list": lambda x: x.__setitem__([0, 1], ones(2, 2)),
    "from the host": lambda _: torch.ones(2).to(DEVICE),
    "new from numbers": lambda _: torch.tensor([1.0, 2.0], device=DEVICE),
    "copied into": lambda x: x.copy_(torch.ones(2, 2)),
    "copied out of": lambda x: torch.ones(2, 2).copy_(x),
    "repeats": lambda x: x.repeat_interleave(torch.tensor([1, 2], device="cpu").to(DEVICE), 0),
}


@pytest.mark.parametrize("what", WAITING)
def test_the_host_waits(gpu: PretendedGpu, what: str) -> None:
    given = ones(2, 2)
    WAITING[what](given)
    assert sum(gpu.waits.values()) >= 1
    assert not gpu.copies


FREE: dict[str, Callable[[Tensor], Any]] = {
    "arithmetic": lambda x: (x @ x).relu_().sum(),
    "device indices": lambda x: x[torch.arange(2, device=DEVICE)],
    "slices": lambda x: x[..., 0:1, :].add_(1),
    "a host number": lambda x: x.mul_(torch.tensor(2.0)),
    "where": lambda x: torch.where(x > 0, x, 0.0),
}


@pytest.mark.parametrize("what", FREE)
def test_the_host_does_not_wait(gpu: PretendedGpu, what: str) -> None:
    FREE[what](ones(2, 2))
    assert not gpu.waits


def test_a_copy_that_is_not_waited_for_is_counted_apart(gpu: PretendedGpu) -> None:
    on_device = torch.ones(2).to(DEVICE, non_blocking=True)
    on_device.copy_(torch.zeros(2), non_blocking=True)
    assert on_device.tolist() == [0, 0]
    assert sum(gpu.copies.values()) == 2


def test_kernels_are_counted_in_both_passes_and_views_are_not(gpu: PretendedGpu) -> None:
    leaf = ones(3, 4).requires_grad_()
    gpu.reset()
    rows = leaf[1:].unflatten(0, (1, 2)).mT
    assert not gpu.kernels
    (gradient,) = torch.autograd.grad(rows.exp(), leaf, grad_outputs=torch.empty_like(rows).detach())
    assert gpu.kernels["exp"] == 1
    assert gpu.kernels["mul"] == 1
    assert gradient.device == DEVICE


def test_outside_the_context_there_is_no_such_device(gpu: PretendedGpu) -> None:
    left = ones(2)
    gpu.__exit__(None, None, None)
    try:
        with pytest.raises(RuntimeError, match="inside pretended_gpu"):
            left + left
    finally:
        gpu.__enter__()
