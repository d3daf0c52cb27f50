"""One quadratic stands for a list of them."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hypercl.regularizers import Quadratic

WEIGHTS = 7


def drawn(seed: int, tasks: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, and the precisions, some of them 0, and the centres of several tasks."""
    draw = torch.Generator().manual_seed(seed)
    precisions = torch.rand(tasks, WEIGHTS, generator=draw, dtype=dtype).sub_(0.3).clamp_(min=0)
    precisions *= 10.0 ** torch.randint(-8, 3, (tasks, WEIGHTS), generator=draw)
    return (
        torch.randn(WEIGHTS, generator=draw, dtype=dtype),
        precisions,
        torch.randn(tasks, WEIGHTS, generator=draw, dtype=dtype),
    )


def summed(precisions: Tensor, centres: Tensor) -> Quadratic:
    whole = Quadratic.around(torch.zeros(WEIGHTS, dtype=centres.dtype), torch.zeros(WEIGHTS, dtype=centres.dtype))
    for precision, centre in zip(precisions, centres, strict=True):
        whole = whole.plus(precision, centre)
    return whole


def of_list(weights: Tensor, precisions: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient of 1/2 sum over tasks and weights, task by task."""
    weights = weights.clone().requires_grad_()
    value = 0.5 * (precisions * (weights - centres) ** 2).sum()
    (gradient,) = torch.autograd.grad(value, weights)
    return value.detach(), gradient


@given(st.integers(0, 10_000), st.integers(0, 6), st.floats(0.1, 1e9))
def test_the_sum_of_penalties_is_the_penalty_of_the_list(seed: int, tasks: int, strength: float) -> None:
    weights, precisions, centres = drawn(seed, tasks)
    value, gradient = of_list(weights, precisions, centres)
    into = torch.ones(WEIGHTS, dtype=torch.float64)
    found = summed(precisions, centres).add_gradient_(into, weights, strength)
    torch.testing.assert_close(found, value, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(into, 1 + strength * gradient, rtol=1e-9, atol=1e-9)


def test_a_sum_of_fifty_penalties_is_exact_in_float32_where_weights_hardly_moved() -> None:
    draw = torch.Generator().manual_seed(0)
    start, fishers = torch.randn(WEIGHTS, generator=draw), torch.rand(50, WEIGHTS, generator=draw)
    centres = start + 1e-4 * torch.randn(50, WEIGHTS, generator=draw)
    weights = start + 1e-4 * torch.randn(WEIGHTS, generator=draw)
    value, gradient = of_list(weights.double(), fishers.double(), centres.double())
    into = torch.zeros(WEIGHTS)
    found = summed(fishers, centres).add_gradient_(into, weights)
    torch.testing.assert_close(found.double(), value, rtol=1e-3, atol=0)
    torch.testing.assert_close(into.double(), gradient, rtol=1e-2, atol=1e-2 * float(gradient.abs().max()))
    # the same sum as A w^2 - 2 B w + C has no digit left
    total, mixed, constant = fishers.sum(0), (fishers * centres).sum(0), (fishers * centres**2).sum()
    expanded = 0.5 * ((total * weights**2 - 2 * mixed * weights).sum() + constant)
    assert abs(float(expanded) - float(value)) > 0.5 * float(value)


def test_replicas_have_values_and_strengths_of_their_own() -> None:
    each = [drawn(seed, 1) for seed in range(3)]
    weights, precision, centre = (torch.stack([own[place].reshape(WEIGHTS) for own in each]) for place in range(3))
    strengths = torch.tensor([[0.0], [2.0], [1e8]], dtype=torch.float64)
    into = torch.zeros_like(weights)
    values = Quadratic.around(centre, precision).add_gradient_(into, weights, strengths)
    for replica in range(3):
        value, gradient = of_list(weights[replica], precision[replica : replica + 1], centre[replica : replica + 1])
        torch.testing.assert_close(values[replica], value)
        torch.testing.assert_close(into[replica], strengths[replica] * gradient)
