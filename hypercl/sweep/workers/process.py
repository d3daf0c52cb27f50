"""A worker's process between two trials: what one leaves behind is taken away, as if the process were new."""

import gc
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypercl.training import give_back_freed_memory

_CLEAR_REFS, _PEAK = Path("/proc/self/clear_refs"), "5"

_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, lambda _: torch.set_default_device(None)),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (lambda: torch.backends.cudnn.deterministic, lambda on: setattr(torch.backends.cudnn, "deterministic", on)),
    (lambda: torch.backends.cudnn.benchmark, lambda on: setattr(torch.backends.cudnn, "benchmark", on)),
    (lambda: torch.backends.cudnn.allow_tf32, lambda on: setattr(torch.backends.cudnn, "allow_tf32", on)),
)
"""What changes PyTorch's numbers or speed for a whole process: how it is asked for, and how it is set."""

_GENERATORS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_rng_state, torch.set_rng_state),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
)


class CleanProcess:
    """The process as it is before its first trial.

    A run puts back what it sets itself; a user's own target or stream may not. Modules stay imported and W&B's service
    stays up, which is what a process is kept for.
    """

    def __init__(self) -> None:
        self._settings = [ask() for ask, _ in _SETTINGS]
        self._generators = [ask() for ask, _ in _GENERATORS]

    def restore(self) -> None:
        """Puts settings and generators back, frees memory that is held in cycles only or kept, forgets the peak of it.

        The peak that a run reports is then its own, on top of what the process holds anyway. Only Linux can forget the
        peak of host memory; elsewhere it is that of all trials of the process so far.
        """
        for (ask, put), before in zip(_SETTINGS, self._settings, strict=True):
            # Only where it differs: some of the setters import a compiler, which takes 3 s.
            if ask() != before:
                put(before)
        for (_, put), before in zip(_GENERATORS, self._generators, strict=True):
            put(before)
        gc.collect()
        # What survives is modules; to look at them again after every trial would take 0.1 s.
        gc.freeze()
        give_back_freed_memory()
        with suppress(OSError):
            _CLEAR_REFS.write_text(_PEAK, encoding="ascii")
        if torch.cuda.is_initialized():
            # The other trials on this GPU need what is free.
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
