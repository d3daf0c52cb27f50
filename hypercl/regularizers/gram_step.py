"""One evaluation of the output regulariser through Gram matrices; the formulas are in `hypercl.regularizers.gram`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from hypercl.regularizers.masks import OwnRows
from hypercl.regularizers.output import Anchor, Strength, for_matrices
from hypercl.regularizers.pairs import Grid, Listed, Pairs, Partition, Run, add_product_, grid_product
from hypercl.tensors import Tensors

NUMBERS_AT_ONCE = 2_000_000
"""Size of the largest tensor formed for a block of pairs, on the CPU.

PermutedMNIST-100 at 99 earlier tasks on two cores, best of four: 4 million 0.71 s, 2 million 0.74, 250,000 0.84 and
125,000 1.02; peak memory was 172 MiB with 2 million and 74 with 125,000.
"""
ON_ACCELERATORS = 4
"""Factor for accelerators, where a call costs more than its arithmetic; an untested guess."""


class LinearHead(Protocol):
    """What the Gram form reads of a hypernetwork with a linear head."""

    @property
    def num_weights(self) -> int: ...
    @property
    def chunk_size(self) -> int: ...
    @property
    def num_chunks(self) -> int: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def shapes(self) -> dict[str, tuple[int, ...]]: ...
    def __call__(self, theta: Tensors, embeddings: Tensor) -> Tensor: ...
    def first_layer_terms(self, theta: Tensors, embeddings: Tensor) -> tuple[Tensor, Tensor]: ...
    def hidden_from_first_layer(self, theta: Tensors, sums: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class GramAnchor(Anchor):
    """Head and hidden activations before the current task; no generated weights."""

    head: Tensor
    """A*: (chunk_size, h + 1)."""
    grams: tuple[Tensor, ...]
    """A*^T A* of each block of rows."""
    of_tasks: Tensor
    """The task's part of z*, and 0: (tasks, h + 1); with a trunk, terms of its first layer."""
    of_chunks: Tensor
    """The chunk's part of z*, and 1: (chunks, h + 1); with a trunk, terms of its first layer."""
    hidden: Tensor | None
    """Z*: (chunks, tasks, h + 1); None without a trunk, where it is a sum of the two terms."""
    owning: Listed
    """Pairs that hold weights of their task's own head, on the CPU; empty without a mask."""
    owning_there: Listed
    """The same on the device."""
    own: tuple[OwnRows, ...]
    """Which weights of those pairs belong to the task's own head."""
    num_pairs: int
    """Pairs of which a weight counts."""
    held: tuple[Tensor, ...] = ()
    """P over all tasks, for each run of chunks."""

    @property
    def num_tasks(self) -> int:
        return self.embeddings.shape[-2]

    def of_replica(self, index: int) -> "GramAnchor":
        return replace(
            self,
            embeddings=self.embeddings[index],
            head=self.head[index],
            grams=tuple(gram[index] for gram in self.grams),
            of_tasks=self.of_tasks[index],
            of_chunks=self.of_chunks[index],
            hidden=None if self.hidden is None else self.hidden[index],
            held=tuple(held[index] for held in self.held),
        )

    def stars(self, pairs: Pairs) -> Tensor:
        """Z* of some pairs: (pairs, h + 1)."""
        return pairs.sums(self.of_tasks, self.of_chunks) if self.hidden is None else pairs.rows(self.hidden)

    def products(self, grid: Grid) -> Tensor:
        """P of a grid: (h + 1, h + 1)."""
        if self.hidden is None:
            terms = grid.terms(self.of_tasks, self.of_chunks)
            return grid_product(terms, terms)
        stars = self.stars(grid)
        return stars.mT @ stars


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


class Moments(NamedTuple):
    """Sums over pairs of products of their hidden activations."""

    moved: Tensor
    """Q = dZ^T dZ: (h, h)."""
    mixed: Tensor
    """S = Z*^T dZ: (h + 1, h)."""
    held: Tensor
    """P = Z*^T Z*: (h + 1, h + 1)."""


class HeadProducts(NamedTuple):
    """Sums over rows of the head of products of its entries, (h + 1, h + 1) each."""

    gram: Tensor
    """A^T A."""
    drift: Tensor
    """dA^T A."""
    moved: Tensor
    """dA^T dA."""


Sums = TypeVar("Sums", Moments, HeadProducts)


def _add(left: Sums, right: Sums) -> Sums:
    return left._make(map(torch.add, left, right))


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
    """One evaluation of R against an anchor, whose gradient is added to `gradient` in place.

    The trunk's gradient accumulates in leaves for its parameters and for the terms of its first layer; `compare` then
    propagates the latter to the first layer's parameters and the embeddings. So pairs can pass the trunk in blocks.
    """

    def __init__(self, setting: GramSetting, anchor: GramAnchor, point: Point, gradient: Tensors) -> None:
        self.setting, self.anchor = setting, anchor
        self.head, self.head_gradient = point.theta["head"].detach(), gradient["head"]
        self.head_step = self.head - anchor.head
        self.leaves = {name: _leaf(value, gradient[name]) for name, value in point.theta.items() if name != "head"}
        embeddings = anchor.embeddings
        if point.embeddings is not None:
            embeddings = _leaf(point.embeddings, gradient["embeddings"])
        with torch.enable_grad():
            self.terms = setting.net.first_layer_terms(self.leaves, embeddings)
        # Autograd may give two leaves without a gradient one shared tensor, to which a second pass would add twice.
        self.of_tasks, self.of_chunks = (_leaf(term, torch.zeros_like(term)) for term in self.terms)

    @torch.no_grad()
    def compare(self, compared: Compared, strength: Strength) -> Tensor:
        """R; strength times its gradient is added in place."""
        partition = self.setting.partition
        self.factor = 2 * compared.scale * for_matrices(strength)
        blocks = [self._head_products(block) for block in range(len(partition.rows))]
        heads = [reduce(_add, [blocks[block] for block in run.blocks]) for run in partition.runs]
        value, all_moments = self.head.new_zeros(self.head.shape[:-2]), self._moments(compared, heads)
        for head, moments in zip(heads, all_moments, strict=True):
            value += _inner(head.gram[..., :-1, :-1], moments.moved)
            value += 2 * _inner(head.drift[..., :-1], moments.mixed) + _inner(head.moved, moments.held)
        self._add_head_gradient_(all_moments)
        if len(compared.owning):
            value += self._compare_own_heads(compared.owning)
        sides = zip(self.terms, (self.of_tasks, self.of_chunks), strict=True)
        reached = [(term, side.grad) for term, side in sides if term.requires_grad]
        if reached:
            torch.autograd.backward([term for term, _ in reached], [grad for _, grad in reached])
        return value.clamp_(min=0) * compared.scale

    def _head_products(self, block: int) -> HeadProducts:
        rows = self.setting.partition.rows[block]
        before, step = self.anchor.head[..., rows, :], self.head_step[..., rows, :]
        cross, moved = before.mT @ step, step.mT @ step
        drift = cross.mT + moved
        return HeadProducts(self.anchor.grams[block] + cross + drift, drift, moved)

    def _moments(self, compared: Compared, heads: list[HeadProducts]) -> list[Moments]:
        """Q, S and P of each run; its gradient dZ A^T A + Z* dA^T A goes to the leaves."""
        runs, held = self.setting.partition.runs, self._held(compared)
        if self.anchor.hidden is None and compared.drawn is None:
            grids_of_runs = [Grid(compared.tasks, run.chunks) for run in runs]
            return [self._moments_of_grid(*run) for run in zip(grids_of_runs, heads, held, strict=True)]
        grams = [self.factor * head.gram[..., :-1, :-1] for head in heads]
        drifts = [self.factor * head.drift[..., :-1] for head in heads]
        sums = zip(grams, drifts, held, strict=True)
        all_moments = [Moments(torch.zeros_like(gram), torch.zeros_like(drift), stars) for gram, drift, stars in sums]

        def add_block(pairs: Pairs, parts: list[tuple[int, slice]]) -> None:  # frees a block before the next
            now, all_stars = self._now(pairs), self.anchor.stars(pairs)
            all_steps = now.detach() - all_stars[..., :-1]
            gradients: list[Tensor] = []
            for run, rows in parts:
                steps, stars, moments = all_steps[..., rows, :], all_stars[..., rows, :], all_moments[run]
                add_product_(moments.moved, steps.mT, steps)
                add_product_(moments.mixed, stars.mT, steps)
                if compared.drawn is not None:
                    add_product_(moments.held, stars.mT, stars)
                gradients.append(add_product_(steps @ grams[run], stars, drifts[run]))
            torch.autograd.backward(now, gradients.pop() if len(gradients) == 1 else torch.cat(gradients, -2))

        for block in self._blocks(compared):
            add_block(*block)
        return all_moments

    def _held(self, compared: Compared) -> list[Tensor]:
        """P of each run; zero where pairs are drawn, to which their sums are added later."""
        if compared.drawn is not None:
            return [torch.zeros_like(held) for held in self.anchor.held]
        if compared.tasks is None:
            return list(self.anchor.held)
        return [self.anchor.products(Grid(compared.tasks, run.chunks)) for run in self.setting.partition.runs]

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

    def _moments_of_grid(self, grid: Grid, head: HeadProducts, held: Tensor) -> Moments:
        """Without a trunk all sums over pairs split into sums over tasks and over chunks."""
        with torch.enable_grad():
            now = grid.terms(self.of_tasks, self.of_chunks)
        before = grid.terms(self.anchor.of_tasks, self.anchor.of_chunks)
        steps = now[0].detach() - before[0][..., :-1], now[1].detach() - before[1][..., :-1]
        gram, drift = self.factor * head.gram[..., :-1, :-1], self.factor * head.drift[..., :-1]
        for side, other in ((0, 1), (1, 0)):
            others = now[other].shape[-2]
            step = others * steps[side] + steps[other].sum(-2, keepdim=True)
            star = others * before[side] + before[other].sum(-2, keepdim=True)
            torch.autograd.backward(now[side], add_product_(step @ gram, star, drift))
        return Moments(grid_product(steps, steps), grid_product(before, steps), held)

    def _add_head_gradient_(self, all_moments: list[Moments]) -> None:
        """Adds A* (Q + S^T) + dA (Q + S + S^T + P), one block of rows after the other."""
        partition, head = self.setting.partition, self.anchor.head
        for block, rows in enumerate(partition.rows):
            of_runs = zip(partition.runs, all_moments, strict=True)
            moments = reduce(_add, [moments for run, moments in of_runs if block in run.blocks])
            of_before = functional.pad(moments.moved, (0, 1, 0, 1))
            of_before[..., :-1, :].add_(moments.mixed.mT)
            of_step = of_before + moments.held
            of_step[..., :-1].add_(moments.mixed)
            reached = self.head_gradient[..., rows, :]
            add_product_(reached, head[..., rows, :], of_before.mul_(self.factor))
            add_product_(reached, self.head_step[..., rows, :], of_step.mul_(self.factor))

    def _compare_own_heads(self, owning: Tensor) -> Tensor:
        """The sum of squared differences of the weights that count for their own task only, generated and compared."""
        anchor, value, device = self.anchor, self.head.new_zeros(self.head.shape[:-2]), self.head.device
        every = len(owning) == len(anchor.owning)
        pairs = anchor.owning_there if every else anchor.owning.only(owning).to(device)
        now, all_stars = self._now(pairs), anchor.stars(pairs)
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
        torch.autograd.backward(now, gradient)
        return value

    def _now(self, pairs: Pairs) -> Tensor:
        """Z of some pairs, on the graph of the leaves, without the 1: (pairs, h)."""
        with torch.enable_grad():
            return self.setting.net.hidden_from_first_layer(self.leaves, pairs.sums(self.of_tasks, self.of_chunks))


def _runs_of(chunks: slice, runs: tuple[Run, ...], tasks: int) -> Iterator[tuple[int, slice]]:
    """The runs that some successive chunks belong to, and the rows of their pairs, given the number of tasks."""
    for index, run in enumerate(runs):
        start, stop = max(run.chunks.start, chunks.start), min(run.chunks.stop, chunks.stop)
        if start < stop:
            yield index, slice((start - chunks.start) * tasks, (stop - chunks.start) * tasks)


def _leaf(value: Tensor, gradient: Tensor) -> Tensor:
    """A leaf whose gradient accumulates in `gradient`."""
    leaf = value.detach().requires_grad_()
    leaf.grad = gradient
    return leaf


def _inner(left: Tensor, right: Tensor) -> Tensor:
    """Sum of elementwise products of matrices."""
    return (left * right).sum((-2, -1))


def grids(net: LinearHead, grid: Grid, num_tasks: int, device: torch.device) -> Iterator[Grid]:
    """A grid of `num_tasks` tasks in blocks of at most `pairs_at_once` pairs."""
    size = max(1, pairs_at_once(net, device) // num_tasks)
    for start in range(grid.chunks.start, grid.chunks.stop, size):
        yield Grid(grid.tasks, slice(start, min(start + size, grid.chunks.stop)))


def pairs_at_once(net: LinearHead, device: torch.device) -> int:
    numbers = NUMBERS_AT_ONCE * (1 if device.type == "cpu" else ON_ACCELERATORS)
    return max(1, numbers // max(net.hidden, default=1))
