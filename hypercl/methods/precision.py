"""In which number format the networks run."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Where the networks run: in bfloat16 if `training.precision` says bf16, otherwise as they are.

    It belongs around the forward passes of the hypernetwork and of the target in the task's loss and in predictions,
    and around nothing else. Parameters, gradients, optimiser and losses are float32 either way. The regulariser stays
    outside: it squares differences between outputs that are nearly equal, and bfloat16, which keeps 8 bits, would
    round most of them to nothing.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
