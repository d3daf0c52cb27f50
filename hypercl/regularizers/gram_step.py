"""One evaluation of the output regulariser through Gram matrices; the formulas are in `hypercl.regularizers.gram`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from hypercl.regularizers.masks import OwnRows
from hypercl.regularizers.output import Anchor, Strength, Tensors, for_matrices
from hypercl.regularizers.pairs import Grid, Listed, Pairs, Partition, Run, add_product_, grid_product

NUMBERS_AT_ONCE = 2_000_000
"""Numbers in the largest tensor that a block of pairs forms, on the CPU.

PermutedMNIST-100 at 99 earlier tasks on two cores, best of four: 4 million 0.71 s, 2 million 0.74, 250,000 0.84 and
125,000 1.02; the peak of memory was 172 MiB with 2 million and 74 with 125,000.
"""
ON_ACCELERATORS = 4
"""Times as many there, where a call costs more than its arithmetic; a guess: none was at hand."""


class LinearHead(Protocol):
    """A hypernetwork with a linear head, in the terms that the Gram form reads."""

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
    """Without a trunk, the task's part of z*, and 0: (tasks, h + 1); with one, terms of its first layer."""
    of_chunks: Tensor
    """Without a trunk, the chunk's part of z*, and 1: (chunks, h + 1); with one, terms of its first layer."""
    hidden: Tensor | None
    """Z*: (chunks, tasks, h + 1); None without a trunk, where it is a sum of the two terms."""
    owning: Listed
    """Pairs that hold weights of their task's own head, on the CPU; none without a mask."""
    own: tuple[OwnRows, ...]
    """Which of those pairs' weights are of the task's own head."""
    num_pairs: int
    """Pairs of which a weight counts."""
    held: tuple[Tensor, ...] = ()
    """P over all tasks, for each run of chunks."""

    @property
    def num_tasks(self) -> int:
        return self.embeddings.shape[-2]

    def of_replica(self, index: int) -> "GramAnchor":
        """That of one replica among several."""
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
    """Instead of that, pairs one by one, on the CPU; those that hold nothing but heads are not among them."""
    owning: Tensor
    """Those that hold weights of their task's own head, as indices into the anchor's, on the CPU."""
    scale: float
    """What the sum of squares is multiplied with."""


@dataclass(frozen=True)
class Moments:
    """Sums over pairs of products of their hidden activations."""

    moved: Tensor
    """Q = dZ^T dZ: (h, h)."""
    mixed: Tensor
    """S = Z*^T dZ: (h + 1, h)."""
    held: Tensor
    """P = Z*^T Z*: (h + 1, h + 1)."""

    def add(self, other: "Moments") -> "Moments":
        """The sums over the pairs of both."""
        return Moments(self.moved + other.moved, self.mixed + other.mixed, self.held + other.held)


@dataclass(frozen=True)
class Block:
    """Pairs that go through the trunk at once."""

    pairs: Pairs
    parts: list[tuple[int, slice]]
    """The runs that they belong to, by index, and which of the pairs."""


@dataclass(frozen=True)
class HeadProducts:
    """Sums over rows of the head of products of its entries, (h + 1, h + 1) each."""

    gram: Tensor
    """A^T A."""
    drift: Tensor
    """dA^T A."""
    moved: Tensor
    """dA^T dA."""

    def add(self, other: "HeadProducts") -> "HeadProducts":
        """The sums over the rows of both."""
        return HeadProducts(self.gram + other.gram, self.drift + other.drift, self.moved + other.moved)


@dataclass(frozen=True)
class GramSetting:
    """What is compared in every task."""

    net: LinearHead
    partition: Partition
    head_rows: slice
    """Rows of the head that make weights of the target's heads, and those between."""


@dataclass(frozen=True)
class Point:
    """Where R is evaluated."""

    theta: Tensors
    embeddings: Tensor | None
    """Of all earlier tasks (tasks, dim), where they are trained; None for the anchor's."""


class GramStep:
    """One evaluation.

    The trunk's gradient is gathered in leaves for its parameters and for the terms of its first layer, from which
    `compare` takes it to the first layer's parameters and to the embeddings at last; so the pairs can go through the
    trunk in blocks.

    Args:
        setting: what is compared in every task.
        anchor: what it is compared with.
        point: where.
        gradient: what the gradient is added to, by the names in theta, and `embeddings` where they are trained.
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
        # Autograd may give two leaves without a gradient the same tensor, into which a second pass would add twice.
        self.of_tasks, self.of_chunks = (_leaf(term, torch.zeros_like(term)) for term in self.terms)

    @torch.no_grad()
    def compare(self, compared: Compared, strength: Strength) -> Tensor:
        """R of what is compared; strength times its gradient is added to what it is gathered in."""
        partition = self.setting.partition
        self.factor = 2 * compared.scale * for_matrices(strength)
        blocks = [self._head_products(block) for block in range(len(partition.rows))]
        heads = [reduce(HeadProducts.add, [blocks[block] for block in run.blocks]) for run in partition.runs]
        value, found = self.head.new_zeros(self.head.shape[:-2]), self._moments(compared, heads)
        for head, moments in zip(heads, found, strict=True):
            value += _inner(head.gram[..., :-1, :-1], moments.moved)
            value += 2 * _inner(head.drift[..., :-1], moments.mixed) + _inner(head.moved, moments.held)
        self._reach_head(found)
        if len(compared.owning):
            value += self._compare_own_heads(compared.owning)
        self._reach_first_layer()
        return value.clamp_(min=0) * compared.scale

    def _reach_first_layer(self) -> None:
        """Carries the gradient from the first layer's terms on to the leaves that they were made of."""
        sides = zip(self.terms, (self.of_tasks, self.of_chunks), strict=True)
        reached = [(term, side.grad) for term, side in sides if term.requires_grad]
        if reached:
            torch.autograd.backward([term for term, _ in reached], [grad for _, grad in reached])

    def _head_products(self, block: int) -> HeadProducts:
        rows = self.setting.partition.rows[block]
        before, step = self.anchor.head[..., rows, :], self.head_step[..., rows, :]
        cross, moved = before.mT @ step, step.mT @ step
        drift = cross.mT + moved
        return HeadProducts(self.anchor.grams[block] + cross + drift, drift, moved)

    def _moments(self, compared: Compared, heads: list[HeadProducts]) -> list[Moments]:
        """Q, S and P of each run; its gradient dZ A^T A + Z* dA^T A goes on to the leaves."""
        runs, held = self.setting.partition.runs, self._held(compared)
        if self.anchor.hidden is None and compared.drawn is None:
            grids_of_runs = [Grid(compared.tasks, run.chunks) for run in runs]
            return [self._moments_of_grid(*each) for each in zip(grids_of_runs, heads, held, strict=True)]
        grams = [self.factor * head.gram[..., :-1, :-1] for head in heads]
        drifts = [self.factor * head.drift[..., :-1] for head in heads]
        sums = zip(grams, drifts, held, strict=True)
        found = [Moments(torch.zeros_like(gram), torch.zeros_like(drift), each) for gram, drift, each in sums]

        def go_through(block: Block) -> None:  # a call of its own: a block is let go before the next one is made
            now, all_stars = self._now(block.pairs), self.anchor.stars(block.pairs)
            all_steps = now.detach() - all_stars[..., :-1]
            pulls: list[Tensor] = []
            for run, rows in block.parts:
                steps, stars, moments = all_steps[..., rows, :], all_stars[..., rows, :], found[run]
                add_product_(moments.moved, steps.mT, steps)
                add_product_(moments.mixed, stars.mT, steps)
                if compared.drawn is not None:
                    add_product_(moments.held, stars.mT, stars)
                pulls.append(add_product_(steps @ grams[run], stars, drifts[run]))
            torch.autograd.backward(now, pulls.pop() if len(pulls) == 1 else torch.cat(pulls, -2))

        for block in self._blocks(compared):
            go_through(block)
        return found

    def _held(self, compared: Compared) -> list[Tensor]:
        """P of each run; zero where pairs are drawn, whose sums are to come."""
        if compared.drawn is not None:
            return [torch.zeros_like(held) for held in self.anchor.held]
        if compared.tasks is None:
            return list(self.anchor.held)
        return [self.anchor.products(Grid(compared.tasks, run.chunks)) for run in self.setting.partition.runs]

    def _blocks(self, compared: Compared) -> Iterator[Block]:
        """What is compared, in blocks of as many pairs as may be formed at once."""
        net, runs = self.setting.net, self.setting.partition.runs
        if compared.drawn is not None:
            for index, run in enumerate(runs):
                for pairs in self._drawn(compared.drawn, run):
                    yield Block(pairs, [(index, slice(0, len(pairs)))])
            return
        tasks = self.anchor.num_tasks if compared.tasks is None else len(compared.tasks)
        for chunks in self.setting.partition.spans:
            for grid in grids(net, Grid(compared.tasks, chunks), tasks, self.head.device):
                yield Block(grid, list(_runs_of(grid.chunks, runs, tasks)))

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

    def _reach_head(self, found: list[Moments]) -> None:
        """Adds A* (Q + S^T) + dA (Q + S + S^T + P), one block of rows after the other."""
        partition, head = self.setting.partition, self.anchor.head
        for block, rows in enumerate(partition.rows):
            counted = [moments for run, moments in zip(partition.runs, found, strict=True) if block in run.blocks]
            moments = reduce(Moments.add, counted)
            of_before = functional.pad(moments.moved, (0, 1, 0, 1))
            of_before[..., :-1, :].add_(moments.mixed.mT)
            of_step = of_before + moments.held
            of_step[..., :-1].add_(moments.mixed)
            reached = self.head_gradient[..., rows, :]
            add_product_(reached, head[..., rows, :], of_before.mul_(self.factor))
            add_product_(reached, self.head_step[..., rows, :], of_step.mul_(self.factor))

    def _compare_own_heads(self, owning: Tensor) -> Tensor:
        """The sum of squared differences of the weights that count for their own task only, made and compared."""
        anchor, value, device = self.anchor, self.head.new_zeros(self.head.shape[:-2]), self.head.device
        pairs = anchor.owning.only(owning).to(device)
        now, all_stars = self._now(pairs), anchor.stars(pairs)
        all_steps, pull = now.detach() - all_stars[..., :-1], torch.zeros_like(now)
        for own in anchor.own:
            those, counts = own.among(owning, len(anchor.owning))
            weight, reached = self.head[..., own.rows, :-1], self.head_gradient[..., own.rows, :]
            residual = all_steps[..., those, :] @ weight.mT
            add_product_(residual, all_stars[..., those, :], self.head_step[..., own.rows, :].mT)
            residual *= counts
            value += residual.square().sum((-2, -1))
            residual *= self.factor
            add_product_(reached[..., :-1], residual.mT, now.detach()[..., those, :])
            reached[..., -1].add_(residual.sum(-2))
            pull.index_add_(-2, those, residual @ weight)
        torch.autograd.backward(now, pull)
        return value

    def _now(self, pairs: Pairs) -> Tensor:
        """Z of some pairs, on the graph of the leaves, without the 1: (pairs, h)."""
        with torch.enable_grad():
            return self.setting.net.hidden_from_first_layer(self.leaves, pairs.sums(self.of_tasks, self.of_chunks))

    def _drawn(self, drawn: Listed, run: Run) -> Iterator[Listed]:
        """The drawn pairs of a run in blocks."""
        among = (drawn.chunks >= run.chunks.start) & (drawn.chunks < run.chunks.stop)
        for part in drawn.only(among).parts(pairs_at_once(self.setting.net, self.head.device)):
            yield part.to(self.head.device)


def _runs_of(chunks: slice, runs: tuple[Run, ...], tasks: int) -> Iterator[tuple[int, slice]]:
    """The runs that some successive chunks of so many tasks belong to, and the rows of their pairs."""
    for index, run in enumerate(runs):
        start, stop = max(run.chunks.start, chunks.start), min(run.chunks.stop, chunks.stop)
        if start < stop:
            yield index, slice((start - chunks.start) * tasks, (stop - chunks.start) * tasks)


def _leaf(value: Tensor, gradient: Tensor) -> Tensor:
    """A leaf whose gradient is added to another in place."""
    leaf = value.detach().requires_grad_()
    leaf.grad = gradient
    return leaf


def _inner(left: Tensor, right: Tensor) -> Tensor:
    """Sum of elementwise products of matrices."""
    return (left * right).sum((-2, -1))


def grids(net: LinearHead, grid: Grid, num_tasks: int, device: torch.device) -> Iterator[Grid]:
    """A grid of so many tasks in blocks of as many chunks as may be formed at once."""
    size = max(1, pairs_at_once(net, device) // num_tasks)
    for start in range(grid.chunks.start, grid.chunks.stop, size):
        yield Grid(grid.tasks, slice(start, min(start + size, grid.chunks.stop)))


def pairs_at_once(net: LinearHead, device: torch.device) -> int:
    """Pairs in a block."""
    numbers = NUMBERS_AT_ONCE * (1 if device.type == "cpu" else ON_ACCELERATORS)
    return max(1, numbers // max(net.hidden, default=1))
