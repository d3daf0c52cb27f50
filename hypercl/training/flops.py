"""Floating-point operations of training: counted at one real step of each task, by PyTorch's own counter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch

from hypercl.methods import Batch, Losses, Moment, State
from hypercl.training.bundle import leaves
from hypercl.training.journey import Journey

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode


class Stepping(Protocol):
    """What makes a step: a bundle of replicas."""

    def step(self, state: State, memory: Any, batches: Sequence[Batch], now: Moment) -> tuple[State, Losses]:
        """The state after a step, and its losses."""
        ...


def step_(journey: Journey, learner: Stepping, memory: Any, batches: Sequence[Batch], now: Moment) -> Losses:
    """A step of a journey's state, counted where its task has none counted yet; its losses."""
    if now.task in journey.flops_a_step or journey.uncounted:
        journey.state, losses = learner.step(journey.state, memory, batches, now)
        return losses
    journey.state, losses, found = counted_step(learner, journey.state, memory, batches, now)
    if isinstance(found, int):
        journey.flops_a_step[now.task] = found
    else:
        journey.uncounted = found
    return losses


def counted_step(
    learner: Stepping, state: State, memory: Any, batches: Sequence[Batch], now: Moment
) -> tuple[State, Losses, int | str]:
    """A step as `learner.step` makes it, bit for bit, and its floating-point operations.

    Counted are products of matrices and convolutions, forward and backward, a multiplication and its addition as two:
    what `torch.utils.flop_counter.FlopCounterMode` has a formula for (mm, addmm, bmm, baddbmm, convolution, scaled
    dot-product attention), and beside it the same products in place and those with a vector. What works on each number
    by itself counts nothing: activations, normalisation, losses, optimisers, penalties over weights.

    A step that cannot be made under the counter is made without it, from the state as it was.

    Args:
        learner: makes the step.
        state: changed in place, as by a plain step.
        memory: what the step needs beside the state.
        batches: of the tasks trained on.
        now: where in the stream.

    Returns:
        The new state; losses by name; operations of all replicas, or a sentence on why they are not counted.
    """
    same, saved = _structure(state), [(leaf, leaf.to("cpu", copy=True)) for leaf in leaves(state)]
    try:
        with _counter() as counter:
            new, losses = learner.step(state, memory, batches, now)
        return new, losses, counter.get_total_flops()
    except Exception as error:
        with torch.no_grad():
            for leaf, copy in saved:
                leaf.copy_(copy)
        new, losses = learner.step(same, memory, batches, now)
        return new, losses, f"a step cannot be made under the counter: {type(error).__name__}: {error}".split("\n")[0]


def _structure(tree: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts of the same tensors."""
    return {key: _structure(value) if isinstance(value, dict) else value for key, value in tree.items()}


def _counter() -> "FlopCounterMode":
    """PyTorch's counter; imported here, with a first step: what trains nothing needs none."""
    from torch.utils.flop_counter import FlopCounterMode

    aten = torch.ops.aten
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            aten.addmm_: _added,
            aten.baddbmm_: _added,
            aten.mv: _with_vector,
            aten.dot: _with_vector,
            aten.vdot: _with_vector,
        },
    )
    counter.mod_tracker = _NoModules()  # pyright: ignore[reportAttributeAccessIssue]
    return counter


def _added(_: torch.Size, first: torch.Size, second: torch.Size, **__: Any) -> int:
    """Of a product (..., n, m) x (..., m, k) that is added to something: 2 n m k each."""
    return 2 * first.numel() * second[-1]


def _with_vector(first: torch.Size, *_: Any, **__: Any) -> int:
    """Of a product with a vector: two for each number of what stands before it."""
    return 2 * first.numel()


class _NoModules:
    """In place of the counter's own, which hooks into every module to tell them apart."""

    parents: frozenset[str] = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *args: object) -> None: ...
