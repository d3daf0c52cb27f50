"""One evaluation of the output regulariser through Gram matrices; the formulas are in `hypercl.regularizers.gram`.

Matrices that are multiplied by the same one lie side by side or one on the other, so that few calls are made: an
accelerator waits for calls, not for arithmetic, in networks of this size. With n = h + 1 and dZ continued by a zero:

    [A*, dA]^T dA = [X; Y]  (2n, n)        of each block of rows of the head
    [dZ, Z*]^T dZ = [Q; S]  (2n, n)        of each run of chunks
    K = [A^T A; dA^T A]     (2n, n)        dR/dZ = 2 [dZ, Z*] K
    W = [Q + S^T; Q + S^T + S + P]         dR/dA = 2 [A*, dA] W,  R = 2 <X, W_1> + <Y, W_2> + <A*^T A*, Q>
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hypercl.regularizers.costs import numbers_at_once
from hypercl.regularizers.masks import OwnRows
from hypercl.regularizers.output import Anchor, Strength, for_matrices
from hypercl.regularizers.pairs import Grid, Listed, Pairs, Partition, Run, over_pairs
from hypercl.regularizers.trunk_pass import LinearHead, TrunkPass
from hypercl.tensors import Tensors, add_product_


@dataclass(frozen=True)
class GramAnchor(Anchor):
    """Head and hidden activations before the current task; no generated weights."""

    heads: Tensor
    """[A*, dA], of which a step overwrites the second half: (chunk_size, 2 n)."""
    grams: Tensor
    """A*^T A* of each block of rows: (blocks, n, n)."""
    grams_of_runs: Tensor
    """Their sums over the blocks that count for a run: (runs, n, n)."""
    blocks_of_runs: Tensor
    """1 where a block of rows counts for a run of chunks, 0 elsewhere: (runs, blocks)."""
    of_tasks: Tensor
    """The task's part of z*, and 0: (tasks, n); with a trunk, terms of its first layer."""
    of_chunks: Tensor
    """The chunk's part of z*, and 1: (chunks, n); with a trunk, terms of its first layer."""
    hidden: Tensor | None
    """Z*: (chunks, tasks, n); None without a trunk, where it is a sum of the two terms."""
    owning: Listed
    """Pairs that hold weights of their task's own head, on the CPU; empty without a mask."""
    owning_there: Listed
    """The same on the device."""
    own: tuple[OwnRows, ...]
    """Which weights of those pairs belong to the task's own head."""
    num_pairs: int
    """Pairs of which a weight counts."""
    held: Tensor
    """P over all tasks, of each block of rows: (blocks, n, n)."""

    @property
    def num_tasks(self) -> int:
        return self.embeddings.shape[-2]

    @property
    def head(self) -> Tensor:
        """A*: (chunk_size, n)."""
        return self.heads[..., : self.heads.shape[-1] // 2]

    def of_replica(self, index: int) -> "GramAnchor":
        return replace(
            self,
            embeddings=self.embeddings[index],
            heads=self.heads[index],
            grams=self.grams[index],
            grams_of_runs=self.grams_of_runs[index],
            of_tasks=self.of_tasks[index],
            of_chunks=self.of_chunks[index],
            hidden=None if self.hidden is None else self.hidden[index],
            held=self.held[index],
        )

    def stars(self, pairs: Pairs) -> Tensor:
        """Z* of some pairs: (pairs, n)."""
        return pairs.sums(self.of_tasks, self.of_chunks) if self.hidden is None else pairs.rows(self.hidden)

    def sides(self, tasks: Tensor | None) -> Tensor:
        """Without a trunk, the terms of z* of some tasks and then those of all chunks: (tasks + chunks, n)."""
        of_tasks = self.of_tasks if tasks is None else self.of_tasks.index_select(-2, tasks)
        return torch.cat([of_tasks, self.of_chunks], -2)

    def to_blocks(self, of_runs: Tensor) -> Tensor:
        """Sums over the runs that each block of rows counts for: (runs, k, n) -> (blocks, k, n)."""
        return mixed(self.blocks_of_runs.mT, of_runs)

    def products(self, tasks: Tensor | None, runs: tuple[Run, ...]) -> Tensor:
        """P over some tasks, of each block of rows: (blocks, n, n)."""
        if self.hidden is None:
            sides = self.sides(tasks)
            tasks_in = sides.shape[-2] - self.of_chunks.shape[-2]
            of_runs = [_products(sides, sides, tasks_in, run.chunks) for run in runs]
        else:
            stars = [self.stars(Grid(tasks, run.chunks)) for run in runs]
            of_runs = [rows.mT @ rows for rows in stars]
        return self.to_blocks(torch.stack(of_runs, -3)) if runs else torch.zeros_like(self.grams)


def mixed(weights: Tensor, matrices: Tensor) -> Tensor:
    """Weighted sums of matrices: (m, k) and (k, rows, columns) -> (m, rows, columns)."""
    if weights.shape == (1, 1):
        return matrices
    return torch.unflatten(weights @ matrices.flatten(-2), -1, matrices.shape[-2:])


def _products(left: Tensor, right: Tensor, tasks: int, chunks: slice) -> Tensor:
    """Sum of l r^T over the pairs of all tasks and some chunks, of sides as in `over_pairs`."""
    found = [rows.mT @ right[..., places, :] for places, rows in over_pairs(left, tasks, chunks)]
    return found[0] + found[1]


@dataclass(frozen=True)
class Compared:
    """What one step compares."""

    tasks: Tensor | None
    """All chunks of these tasks; None for all tasks."""
    drawn: Listed | None
    """Instead of `tasks`: single pairs, on the CPU, without those that hold heads alone."""
    owning: Tensor
    """Pairs that hold weights of their task's own head, as indices into the anchor's, on the CPU."""
    scale: float
    """Factor of the sum of squares."""


@dataclass(frozen=True)
class GramSetting:
    """What is the same in every task."""

    net: LinearHead
    partition: Partition
    head_rows: slice
    """Span of the rows of the head that generate weights of the target's heads."""


@dataclass(frozen=True)
class Point:
    """Where R is evaluated."""

    theta: Tensors
    embeddings: Tensor | None
    """Of all earlier tasks (tasks, dim), where they are trained; None for the anchor's."""


class GramStep:
    """One evaluation of R against an anchor, whose gradient is added to `gradient` in place."""

    def __init__(self, setting: GramSetting, anchor: GramAnchor, point: Point, gradient: Tensors) -> None:
        self.setting, self.anchor = setting, anchor
        self.head, self.head_gradient = point.theta["head"].detach(), gradient["head"]
        self.n = self.head.shape[-1]
        self.head_step = anchor.heads[..., self.n :]
        embeddings = anchor.embeddings if point.embeddings is None else point.embeddings
        self.trunk = TrunkPass(setting.net, point.theta, embeddings, gradient)

    @torch.no_grad()
    def compare(self, compared: Compared, strength: Strength) -> Tensor:
        """R; strength times its gradient is added in place."""
        torch.sub(self.head, self.anchor.head, out=self.head_step)
        self.factor = 2 * compared.scale * for_matrices(strength)
        values: list[Tensor] = []
        if self.setting.partition.runs:
            values.append(self._compare_what_all_share(compared))
        if len(compared.owning):
            values.append(self._compare_own_heads(compared.owning))
        self.trunk.finish()
        if not values:
            return self.head.new_zeros(self.head.shape[:-2])
        return sum(values[1:], values[0]).clamp_(min=0) * compared.scale

    def _compare_what_all_share(self, compared: Compared) -> Tensor:
        """The sum of squared differences of the weights that count for every task."""
        anchor, partition, n = self.anchor, self.setting.partition, self.n
        products = self._head_products()
        moments, held = self._moments(compared, self._scaled(self._kernels(products)))
        sums, inner = anchor.to_blocks(moments), torch.empty_like(products)
        before = torch.add(sums[..., :n, :], sums[..., n:, :].mT, out=inner[..., :n, :])
        torch.add(before, sums[..., n:, :], out=inner[..., n:, :]).add_(held)
        scaled, alpha = self._scaled(inner), self._alpha
        for block, rows in enumerate(partition.rows):
            reached = self.head_gradient[..., rows, :]
            add_product_(reached, anchor.heads[..., rows, :], scaled[..., block, :, :], alpha)
        terms = products * inner
        terms[..., :n, :].mul_(2).addcmul_(anchor.grams, sums[..., :n, :])
        return terms.sum((-3, -2, -1))

    def _head_products(self) -> Tensor:
        """[X; Y] of each block of rows: (blocks, 2n, n)."""
        rows, anchor, n = self.setting.partition.rows, self.anchor, self.n
        products = self.head.new_empty(*self.head.shape[:-2], len(rows), 2 * n, n)
        for block, part in enumerate(rows):
            left, right = anchor.heads[..., part, :].mT, self.head_step[..., part, :]
            add_product_(products[..., block, :, :], left, right, beta=0)
        return products

    def _kernels(self, products: Tensor) -> Tensor:
        """K of each run: (runs, 2n, n)."""
        of_runs, n = mixed(self.anchor.blocks_of_runs, products), self.n
        kernels = torch.empty_like(of_runs)
        drift = torch.add(of_runs[..., :n, :].mT, of_runs[..., n:, :], out=kernels[..., n:, :])
        torch.add(of_runs[..., :n, :], drift, out=kernels[..., :n, :]).add_(self.anchor.grams_of_runs)
        return kernels

    def _moments(self, compared: Compared, kernels: Tensor) -> tuple[Tensor, Tensor]:
        """[Q; S] of each run (runs, 2n, n), and P of each block of rows; dR/dZ goes back through the trunk.

        `kernels` are K, scaled.
        """
        anchor, runs, n = self.anchor, self.setting.partition.runs, self.n
        begun = set(range(len(runs))) if compared.drawn is not None else set[int]()
        moments = torch.zeros_like(kernels) if begun else torch.empty_like(kernels)
        if anchor.hidden is None and compared.drawn is None:
            self._compare_sides(compared.tasks, kernels, moments)
            return moments, self._held(compared)
        held = None if compared.drawn is None else moments.new_zeros(*moments.shape[:-3], len(runs), n, n)

        def add_block(pairs: Pairs, parts: list[tuple[int, slice]]) -> None:  # frees a block before the next
            now, stars = self.trunk.hidden(pairs), anchor.stars(pairs)
            both = torch.cat([now.detach(), stars[..., -1:], stars], -1)
            steps, gradient = both[..., :n].sub_(stars), both.new_empty(stars.shape)
            for run, rows in parts:
                own = both[..., rows, :]
                add_product_(moments[..., run, :, :], own.mT, steps[..., rows, :], beta=float(run in begun))
                begun.add(run)
                add_product_(gradient[..., rows, :], own, kernels[..., run, :, :], self._alpha, beta=0)
                if held is not None:
                    add_product_(held[..., run, :, :], own[..., n:].mT, own[..., n:])
            self.trunk.back(now, gradient[..., :-1])

        for block in self._blocks(compared):
            add_block(*block)
        return moments, self._held(compared) if held is None else anchor.to_blocks(held)

    def _held(self, compared: Compared) -> Tensor:
        """P of each block of rows over whole tasks."""
        if compared.tasks is None:
            return self.anchor.held
        return self.anchor.products(compared.tasks, self.setting.partition.runs)

    def _compare_sides(self, tasks: Tensor | None, kernels: Tensor, moments: Tensor) -> None:
        """Adds up the moments without a trunk, where sums over pairs split into sums over tasks and over chunks."""
        stars, chunks = self.anchor.sides(tasks), self.anchor.of_chunks.shape[-2]
        count, of_tasks = stars.shape[-2] - chunks, self.trunk.of_tasks.detach()
        chosen = of_tasks if tasks is None else of_tasks.index_select(-2, tasks)
        now = torch.cat([chosen, self.trunk.of_chunks.detach()], -2)
        both = torch.cat([now, stars[..., -1:], stars], -1)
        steps = both[..., : self.n].sub_(stars)
        gradient = torch.zeros_like(stars)
        for run, each in enumerate(self.setting.partition.runs):
            for places, rows in over_pairs(both, count, each.chunks):
                beta = float(places.start > 0)  # the chunks come second
                add_product_(moments[..., run, :, :], rows.mT, steps[..., places, :], beta=beta)
                add_product_(gradient[..., places, :], rows, kernels[..., run, :, :], self._alpha)
        reached = gradient[..., :count, :-1]
        if tasks is not None:
            reached = torch.zeros_like(of_tasks).index_add_(-2, tasks, reached)
        self.trunk.back_from_terms(reached, gradient[..., count:, :-1])

    @property
    def _alpha(self) -> float:
        """The factor of the gradient, where it is one number; otherwise 1, and `_scaled` has it."""
        return 1.0 if isinstance(self.factor, Tensor) else self.factor

    def _scaled(self, matrices: Tensor) -> Tensor:
        """Matrices with the factors of several replicas: (replicas, k, rows, columns)."""
        return matrices * self.factor.unsqueeze(-1) if isinstance(self.factor, Tensor) else matrices

    def _blocks(self, compared: Compared) -> Iterator[tuple[Pairs, list[tuple[int, slice]]]]:
        """Blocks of pairs that pass the trunk at once; and the runs, by index, that rows of the block belong to."""
        net, runs, device = self.setting.net, self.setting.partition.runs, self.head.device
        if (drawn := compared.drawn) is not None:
            for index, run in enumerate(runs):
                of_run = drawn.only((drawn.chunks >= run.chunks.start) & (drawn.chunks < run.chunks.stop))
                for pairs in of_run.parts(pairs_at_once(net, device)):
                    yield pairs.to(device), [(index, slice(0, len(pairs)))]
            return
        tasks = self.anchor.num_tasks if compared.tasks is None else len(compared.tasks)
        for chunks in self.setting.partition.spans:
            for grid in grids(net, Grid(compared.tasks, chunks), tasks, device):
                yield grid, list(_runs_of(grid.chunks, runs, tasks))

    def _compare_own_heads(self, owning: Tensor) -> Tensor:
        """The sum of squared differences of the weights that count for their own task only, generated and compared."""
        anchor, value, device = self.anchor, self.head.new_zeros(self.head.shape[:-2]), self.head.device
        every = len(owning) == len(anchor.owning)
        pairs = anchor.owning_there if every else anchor.owning.only(owning).to(device)
        now, all_stars = self.trunk.hidden(pairs), anchor.stars(pairs)
        all_steps, gradient = now.detach() - all_stars[..., :-1], torch.zeros_like(now)
        for part in anchor.own:
            members, counts = part.among(owning, len(anchor.owning))
            weight, reached = self.head[..., part.rows, :-1], self.head_gradient[..., part.rows, :]
            residual = all_steps[..., members, :] @ weight.mT
            add_product_(residual, all_stars[..., members, :], self.head_step[..., part.rows, :].mT)
            residual *= counts
            value += residual.square().sum((-2, -1))
            residual *= self.factor
            add_product_(reached[..., :-1], residual.mT, now.detach()[..., members, :])
            reached[..., -1].add_(residual.sum(-2))
            gradient.index_add_(-2, members, residual @ weight)
        self.trunk.back(now, gradient)
        return value


def _runs_of(chunks: slice, runs: tuple[Run, ...], tasks: int) -> Iterator[tuple[int, slice]]:
    """The runs that some successive chunks belong to, and the rows of their pairs, given the number of tasks."""
    for index, run in enumerate(runs):
        start, stop = max(run.chunks.start, chunks.start), min(run.chunks.stop, chunks.stop)
        if start < stop:
            yield index, slice((start - chunks.start) * tasks, (stop - chunks.start) * tasks)


def grids(net: LinearHead, grid: Grid, num_tasks: int, device: torch.device) -> Iterator[Grid]:
    """A grid of `num_tasks` tasks in blocks of at most `pairs_at_once` pairs."""
    size = max(1, pairs_at_once(net, device) // num_tasks)
    for start in range(grid.chunks.start, grid.chunks.stop, size):
        yield Grid(grid.tasks, slice(start, min(start + size, grid.chunks.stop)))


def pairs_at_once(net: LinearHead, device: torch.device) -> int:
    return max(1, numbers_at_once(device) // max(net.hidden, default=1))
