"""Which generated weights of a task count where each task has its own head."""

from torch import Tensor


class HeadMask:
    """A weight of the head counts for a task only if its output is one of the task's own; all others always count.

    Args:
        output_of: the output that a weight belongs to, or -1: int64, (weights,).
        heads: first output of each task and the one after its last: int64, (tasks, 2).
    """

    def __init__(self, output_of: Tensor, heads: Tensor) -> None:
        owned = (output_of >= 0).nonzero().flatten().tolist()
        self._span = slice(owned[0], owned[-1] + 1) if owned else slice(0, 0)
        self._outputs = output_of[self._span]
        self._heads = heads

    def drops(self, tasks: Tensor | slice) -> Tensor:
        """Whether a weight between the head's first and last is left out: bool, (tasks, weights of that span)."""
        first, end = self._heads[tasks].unsqueeze(-1).unbind(-2)
        others = (self._outputs < first) | (self._outputs >= end)
        return others & (self._outputs >= 0)

    def apply_(self, residual: Tensor, tasks: Tensor | slice) -> Tensor:
        """Sets to zero, in place, what does not count.

        Args:
            residual: (..., tasks, weights).
            tasks: the tasks of the rows, as an index into `heads`.
        """
        residual[..., self._span].masked_fill_(self.drops(tasks), 0.0)
        return residual
