"""A recorder of steps that is pretended: it keeps the operations of a function and makes them again in the same memory.

As with a CUDA graph, a replay knows nothing of the host: numbers of the host are those of the recording, and so is
memory that was new then. What a graph cannot hold is an error: a wait of the host, a draw, a copy from the host.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hypercl.training.recorder import WARM_UPS
from tests.pretended_gpu import ALWAYS_WAIT, NO_KERNEL, WITH_INDICES, PretendedTensor, is_view

aten = torch.ops.aten


class PretendedRecorder:
    """As `hypercl.training.recorder.CudaRecorder`; for the CPU, too."""

    recordings = 0
    """How many were made."""
    replays = 0
    """How many were replayed."""

    def __init__(self, device: torch.device) -> None:
        del device

    def record(self, function: Callable[[], object]) -> Callable[[], object]:
        for _ in range(WARM_UPS):
            function()
        with _Recording() as recording:
            function()
        PretendedRecorder.recordings += 1

        def replay() -> None:
            PretendedRecorder.replays += 1
            recording.replay()

        return replay


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Any, Any, Any]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be skipped by it, torch would import its compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        _require_recordable(func, args, kwargs)
        result = func(*args, **kwargs)
        if not is_view(func) and func.overloadpacket not in NO_KERNEL:
            self._calls.append((func, args, kwargs, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, before in self._calls:
            result = func(*args, **kwargs)
            given = {id(leaf) for leaf in tree_leaves((args, kwargs))}
            for into, value in zip(tree_leaves(before), tree_leaves(result), strict=True):
                if isinstance(into, Tensor) and id(into) not in given:
                    into.copy_(value)


def _require_recordable(func: Any, args: Any, kwargs: Any) -> None:
    leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    indices = tree_leaves(args[1]) if func.overloadpacket in WITH_INDICES else []
    masks = any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices)
    if masks or func.overloadpacket in ALWAYS_WAIT:
        raise RuntimeError(f"{func}: the host waits for a stream that is being recorded")
    if torch.Tag.nondeterministic_seeded in func.tags:
        raise RuntimeError(f"{func}: a draw in a stream that is being recorded")
    there = {isinstance(leaf, PretendedTensor) for leaf in leaves if leaf.dim()}
    moved = kwargs.get("device") is not None and func.overloadpacket is aten._to_copy
    if len(there) == 2 or (moved and torch.device(kwargs["device"]).type != leaves[0].device.type):
        raise RuntimeError(f"{func}: a copy between host and device in a stream that is being recorded")
