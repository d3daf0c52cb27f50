"""What records a step on a device and replays it: CUDA graphs, where there are any."""

from collections.abc import Callable
from typing import Protocol

import torch

WARM_UPS = 3
"""Calls before the recording, in which libraries set themselves up, as PyTorch's documentation of graphs has it."""


class Recorder(Protocol):
    """Records what a function does on a device."""

    def record(self, function: Callable[[], object]) -> Callable[[], object]:
        """Calls a function several times and records its last call.

        Args:
            function: reads and writes the same memory at each call.

        Returns:
            What does the same with what is in that memory then, in one call of the host.

        Raises:
            RuntimeError: the function waits for the device, draws random numbers, or does what else a recording cannot
                hold; or memory did not suffice.
        """
        ...


class CudaRecorder:
    """Records a CUDA graph: the kernels of a function, launched together.

    Memory that the function takes in its last call is the graph's as long as it lives.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def record(self, function: Callable[[], object]) -> Callable[[], object]:
        """As of a `Recorder`. The calls before the recording are on its stream, as the last one is."""
        with torch.cuda.device(self._device):
            stream, current, graph = torch.cuda.Stream(), torch.cuda.current_stream(), torch.cuda.CUDAGraph()
            stream.wait_stream(current)
            try:
                with torch.cuda.stream(stream):  # left in any case: older graphs keep theirs where a recording fails
                    for _ in range(WARM_UPS):
                        function()
                    with torch.cuda.graph(graph, stream=stream):
                        function()
            finally:
                current.wait_stream(stream)
        return graph.replay


RECORDERS: dict[str, Callable[[torch.device], Recorder]] = {"cuda": CudaRecorder}
"""By the type of the device; on any other a step is never recorded."""
