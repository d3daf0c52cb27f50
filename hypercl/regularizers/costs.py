"""What a step of either form of the output regulariser costs, and which form is cheaper.

On a CPU the costs are in multiply-adds of one core. On an accelerator, where a call costs as much as millions of them,
they are in seconds, from the calls, products and numbers of a form and what each takes on the device (`DeviceSpeed`).
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch

from hypercl.regularizers.device_speed import DeviceSpeed, speed_of

FormName = Literal["gram", "direct"]

OPERATIONS_PER_NUMBER = 32
"""Multiply-adds in the time that one float32 is read or written, on two CPU cores."""
OPERATIONS_OF_OVERHEAD = 80_000_000
"""Extra cost of the Gram form's many small calls over the direct form's few, in multiply-adds of one CPU core."""

PARTS_OF_OWN_HEADS = 2
"""Parts in which rows of the target's heads are compared: one or two in the shipped settings."""
MOST_GENERATED = 64_000_000
"""Weights of earlier tasks, 256 MB, above which an accelerator does not generate them all for one step."""
CALLS_OF_A_PASS = 8
NUMBERS_AT_ONCE = 2_000_000
"""Size of the largest tensor formed for a block of pairs, on the CPU.

PermutedMNIST-100 at 99 earlier tasks on two cores, best of four: 4 million 0.71 s, 2 million 0.74, 250,000 0.84 and
125,000 1.02; peak memory was 172 MiB with 2 million and 74 with 125,000.
"""


@dataclass(frozen=True)
class Sizes:
    """What the cost of a step depends on."""

    pairs: int
    """Pairs (task, chunk) compared."""
    own_weights: int
    """Generated weights of the pairs that hold their task's own head, if heads are masked."""
    inputs: int
    """h, inputs of the head."""
    rows: int
    """Outputs of the head: weights a chunk."""
    trunk: int
    """Multiply-adds of the trunk for a pair."""
    linear: bool
    """Whether there is no trunk, so that the Gram form forms no pairs."""
    layers: int
    """Hidden layers."""
    widest: int
    """Units of the widest hidden layer, 1 without one."""
    blocks: int
    """Blocks of the head's rows that the Gram form compares."""


@dataclass(frozen=True)
class Work:
    """What a form asks of a device in a step."""

    calls: int
    operations: float
    """Multiply-adds of matrix products."""
    numbers: float
    """Read or written."""

    def seconds(self, speed: DeviceSpeed, recorded: bool, replicas: int) -> float:
        """On a device; `recorded` steps make their calls at once, and replicas share theirs."""
        call = speed.replayed_call if recorded else speed.call
        return self.calls * call + replicas * (self.operations * speed.operation + self.numbers * speed.number)


def direct_work(sizes: Sizes) -> Work:
    """Of the direct form: three products (weights, and the two gradients) of every pair.

    Its (pairs, rows) tensors are read or written about twelve times.
    """
    products = 3 * sizes.pairs * (sizes.trunk + sizes.inputs * sizes.rows)
    return Work(10 + 6 * sizes.layers, products, 12 * sizes.pairs * sizes.rows)


def gram_work(sizes: Sizes, pairs_at_once: int) -> Work:
    """Of the Gram form: four products of the head's rows and four of the pairs' activations.

    Weights of heads that count for some tasks only are compared directly.

    Args:
        sizes: of the step.
        pairs_at_once: that pass the trunk together.
    """
    pairs, h = 0 if sizes.linear else sizes.pairs, sizes.inputs
    products = 4 * sizes.rows * h * h + pairs * (4 * h * h + 3 * sizes.trunk) + 3 * sizes.own_weights * h
    passes = 9 * sizes.rows * h + 8 * pairs * h + 12 * sizes.own_weights
    trunk = 6 * sizes.layers
    calls = 17 + 7 * sizes.blocks + (12 if sizes.linear else trunk)
    calls += (max(1, ceil(pairs / pairs_at_once)) - 1) * (12 + trunk)
    if sizes.own_weights:
        calls += 10 + trunk + 15 * PARTS_OF_OWN_HEADS
    return Work(calls, products, passes)


def direct_cost(sizes: Sizes) -> float:
    """Cost of the direct form on the CPU, in multiply-adds."""
    work = direct_work(sizes)
    return work.operations + OPERATIONS_PER_NUMBER * work.numbers


def gram_cost(sizes: Sizes) -> float:
    """Cost of the Gram form on the CPU, in multiply-adds."""
    work = gram_work(sizes, sizes.pairs or 1)
    return work.operations + OPERATIONS_PER_NUMBER * work.numbers + OPERATIONS_OF_OVERHEAD


def cheaper_form(sizes: Sizes, device: torch.device, recorded: bool = False, replicas: int = 1) -> FormName:
    """The form whose step costs less on a device.

    Args:
        sizes: of the step.
        device: where.
        recorded: whether steps there are recorded and replayed (`training.capture`).
        replicas: computed at once, which the choice of a CPU does not depend on.
    """
    if device.type == "cpu":
        return "gram" if gram_cost(sizes) < direct_cost(sizes) else "direct"
    return quicker_form(sizes, speed_of(device), recorded, replicas)


def quicker_form(sizes: Sizes, speed: DeviceSpeed, recorded: bool, replicas: int = 1) -> FormName:
    """The form whose step takes less time on an accelerator; the Gram form where the other needs much memory."""
    if replicas * sizes.pairs * sizes.rows > MOST_GENERATED:
        return "gram"
    direct, gram = direct_work(sizes), gram_work(sizes, at_once(speed) // max(1, sizes.widest))
    in_gram, in_direct = (work.seconds(speed, recorded, replicas) for work in (gram, direct))
    return "gram" if in_gram < in_direct else "direct"


def numbers_at_once(device: torch.device) -> int:
    """Size of the largest tensor formed for a block of pairs."""
    return NUMBERS_AT_ONCE if device.type == "cpu" else at_once(speed_of(device))


def at_once(speed: DeviceSpeed) -> int:
    """As `numbers_at_once`, on an accelerator: passing over the tensor takes as long as `CALLS_OF_A_PASS` calls."""
    numbers = CALLS_OF_A_PASS * speed.call / speed.number
    return min(max(int(numbers), NUMBERS_AT_ONCE), MOST_GENERATED // 4)
