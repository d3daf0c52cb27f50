"""The output regulariser through Gram matrices, for a hypernetwork whose head is linear.

With `Z` (pairs, h + 1) the hidden activations of all pairs (task, chunk) and a 1, and `A = [weight, bias]`
(rows, h + 1) the head, the residual of the generated weights is Z A^T - Z* A*^T = dZ A^T + Z* dA^T, where a star marks
what was before the task and dZ = Z - Z*, dA = A - A*. The differences are formed first, which keeps float32 accurate.
Then

    R     = <A^T A, Q> + 2 <dA^T A, S> + <dA^T dA, P>      Q = dZ^T dZ,  S = Z*^T dZ,  P = Z*^T Z*
    dR/dA = 2 [A* (Q + S^T) + dA (Q + S + S^T + P)]
    dR/dZ = 2 [dZ (A^T A) + Z* (dA^T A)]

need matrices of (h + 1)^2 numbers, never one of pairs x rows. With X = A*^T dA and Y = dA^T dA, dA^T A = X^T + Y and
A^T A = A*^T A* + X + X^T + Y. Source: our own derivation from von Oswald et al. (2020), eq. 2; exact algebra.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from hypercl.regularizers.costs import Sizes
from hypercl.regularizers.gram_step import Compared, GramAnchor, GramSetting, GramStep, Point, grids, mixed
from hypercl.regularizers.masks import HeadMask, OwnRows, divide_rows
from hypercl.regularizers.output import OutputRegularizer, Strength
from hypercl.regularizers.pairs import Grid, Listed, divide
from hypercl.regularizers.trunk_pass import LinearHead
from hypercl.tensors import Tensors, on_device


class GramForm(OutputRegularizer[GramAnchor]):
    """Compares without generating: the cost of the head does not grow with the number of tasks.

    Weights of the target's heads, which count for some tasks only, are generated where they count and compared
    directly. Everything is computed in full precision: TF32 and autocast are off. Value and gradient equal those of
    `DirectForm` up to rounding; in float32 the gradient's error is bounded by c eps (|dZ A^T| + |Z* dA^T|) with a small
    c: digits are lost where the two parts nearly cancel.
    """

    def __init__(self, hypernet: LinearHead, mask: HeadMask | None = None) -> None:
        super().__init__(hypernet, mask)
        weights, size = hypernet.num_weights, hypernet.chunk_size
        partition = divide(weights, size, [(0, weights)] if mask is None else mask.always(weights))
        self.setting = GramSetting(hypernet, partition, slice(0, 0) if mask is None else mask.rows(size))

    @torch.no_grad()
    def anchor(self, theta: Tensors, embeddings: Tensor) -> GramAnchor:
        net, partition = self.setting.net, self.setting.partition
        embeddings = embeddings.detach().clone()
        with _full_precision(embeddings.device):
            head = theta["head"].detach()
            of_tasks, of_chunks = net.first_layer_terms(theta, embeddings)
            hidden = None if net.additive else self._hidden(theta, of_tasks, of_chunks)
            if hidden is None:
                of_tasks, of_chunks = functional.pad(of_tasks, (0, 1)), functional.pad(of_chunks, (0, 1), value=1.0)
            num_tasks = embeddings.shape[-2]
            owning, n = self._owning(num_tasks), head.shape[-1]
            parts = [head[..., rows, :] for rows in partition.rows]
            grams = torch.stack([part.mT @ part for part in parts], -3) if parts else head.new_empty(0, n, n)
            blocks = range(len(parts))
            counting = [[float(block in run.blocks) for block in blocks] for run in partition.runs]
            blocks_of_runs = torch.tensor(counting, dtype=head.dtype, device=head.device)
            anchor = GramAnchor(
                embeddings=embeddings,
                heads=torch.cat([head, torch.zeros_like(head)], -1),
                grams=grams,
                grams_of_runs=mixed(blocks_of_runs, grams) if parts else grams,
                blocks_of_runs=blocks_of_runs,
                of_tasks=of_tasks,
                of_chunks=of_chunks,
                hidden=hidden,
                owning=owning,
                owning_there=owning.to(embeddings.device),
                own=() if self.mask is None else self._own(self.mask, owning.to(embeddings.device)),
                num_pairs=self.num_pairs(num_tasks),
                held=grams,
            )
            return replace(anchor, held=anchor.products(None, partition.runs))

    def add_gradient_(
        self,
        gradient: Tensors,
        theta: Tensors,
        anchor: GramAnchor,
        strength: Strength = 1.0,
        tasks: Tensor | None = None,
        embeddings: Tensor | None = None,
        pairs: Tensor | None = None,
    ) -> Tensor:
        """As `OutputRegularizer.add_gradient_`; with `pairs` instead of `tasks`, an unbiased estimate of all.

        `pairs` are the pairs (task, chunk) compared: int64 (m,), distinct numbers below `anchor.num_pairs`. Value and
        gradient are scaled so that their mean over all draws of m pairs is that of all pairs.
        """
        compared = self._compared(anchor, tasks) if pairs is None else self._drawn(anchor, pairs.cpu())
        with _full_precision(anchor.head.device):
            return GramStep(self.setting, anchor, Point(theta, embeddings), gradient).compare(compared, strength)

    def sizes(self, tasks: int) -> Sizes:
        """What the cost of comparing this number of tasks depends on, in either form."""
        net, rows = self.setting.net, self.setting.head_rows
        trunk = sum(prod(net.shapes[f"trunk.{layer}.weight"]) for layer in range(len(net.hidden)))
        return Sizes(
            pairs=tasks * net.num_chunks,
            own_weights=len(self._owning(tasks)) * (rows.stop - rows.start),
            inputs=net.shapes["head"][1] - 1,
            rows=net.chunk_size,
            trunk=trunk,
            linear=net.additive,
            layers=len(net.hidden),
            widest=max(net.hidden, default=1),
            blocks=len(self.setting.partition.rows),
        )

    def num_pairs(self, tasks: int) -> int:
        """Pairs (task, chunk) of which a weight counts: those that `pairs` of `add_gradient_` numbers."""
        return tasks * self.setting.partition.num_chunks + len(self._only_owning(self._owning(tasks)))

    def _compared(self, anchor: GramAnchor, tasks: Tensor | None) -> Compared:
        """All chunks of all tasks or of some."""
        if tasks is None:
            return Compared(None, None, torch.arange(len(anchor.owning)), 1 / anchor.num_tasks)
        owning = torch.isin(anchor.owning.tasks, tasks.cpu()).nonzero().flatten()
        return Compared(on_device(tasks, anchor.head.device), None, owning, 1 / len(tasks))

    def _drawn(self, anchor: GramAnchor, pairs: Tensor) -> Compared:
        """Pairs by their numbers: first those of the runs, task after task, then those that hold heads alone."""
        runs, net = self.setting.partition.runs, self.setting.net
        chunks = torch.tensor([chunk for run in runs for chunk in range(run.chunks.start, run.chunks.stop)])
        regular = anchor.num_tasks * len(chunks)
        first, last = pairs[pairs < regular], pairs[pairs >= regular] - regular
        size = max(len(chunks), 1)
        drawn = Listed(first // size, chunks[first % size].long())
        alone = self._only_owning(anchor.owning).only(last)
        ids = torch.cat([drawn.ids(net.num_chunks), alone.ids(net.num_chunks)])
        owning = torch.isin(anchor.owning.ids(net.num_chunks), ids).nonzero().flatten()
        return Compared(None, drawn, owning, anchor.num_pairs / len(pairs) / anchor.num_tasks)

    def _owning(self, tasks: int) -> Listed:
        """Pairs of the first tasks that hold weights of their task's own head; empty without a mask."""
        if self.mask is None:
            return Listed(*torch.empty(2, 0, dtype=torch.int64))
        return Listed(*self.mask.owning_pairs(tasks, self.setting.net.chunk_size))

    def _own(self, mask: HeadMask, owning: Listed) -> tuple[OwnRows, ...]:
        """Which weights of those pairs, in the rows that hold heads, belong to the task's own head."""
        rows, size = self.setting.head_rows, self.setting.net.chunk_size
        numbers = torch.arange(rows.start, rows.stop, device=owning.tasks.device)
        own = torch.empty(len(owning), len(numbers), dtype=torch.bool, device=numbers.device)
        for index in range(len(owning)):  # one by one: int64 indices take eight times the memory of the result
            pair = owning.only(slice(index, index + 1))
            own[index] = mask.counts(pair.tasks, pair.chunks.unsqueeze(1) * size + numbers)[0]
        return divide_rows(own, rows.start, self.setting.net.shapes["head"][1] - 1)

    def _only_owning(self, owning: Listed) -> Listed:
        """Owning pairs without any weight that counts for every task."""
        alone = torch.ones(self.setting.net.num_chunks, dtype=torch.bool)
        for run in self.setting.partition.runs:
            alone[run.chunks] = False
        return owning.only(alone[owning.chunks])

    def _hidden(self, theta: Tensors, of_tasks: Tensor, of_chunks: Tensor) -> Tensor:
        """Z* of all pairs: (chunks, tasks, h + 1)."""
        net, (*replicas, num_tasks, _) = self.setting.net, of_tasks.shape
        hidden = of_tasks.new_ones(*replicas, net.num_chunks, num_tasks, net.shapes["head"][1])
        for grid in grids(net, Grid(None, slice(0, net.num_chunks)), num_tasks, of_tasks.device):
            block = net.hidden_from_first_layer(theta, grid.sums(of_tasks, of_chunks))
            hidden[..., grid.chunks, :, :-1] = block.unflatten(-2, (-1, num_tasks))
        return hidden


@contextmanager
def _full_precision(device: torch.device) -> Generator[None]:
    """Matrix products in full float32: no autocast, no TF32."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
