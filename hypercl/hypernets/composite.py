"""A hypernetwork made of several, each of which generates a part of the target's weights."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from hypercl.config.models import Initialization
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.hypernets.not_generated import FrozenWeights, SharedWeights, TaskWeights
from hypercl.hypernets.self_attention import SelfAttentionHypernetwork
from hypercl.tensors import Tensors

Net = Hypernetwork | SelfAttentionHypernetwork | TaskWeights | FrozenWeights


@dataclass(frozen=True)
class Part:
    """A hypernetwork, or what stands for one, and the weights it is for."""

    net: Net
    weights: tuple[slice, ...]
    """Ranges of the target's flat vector, in the order in which `net` generates them."""
    columns: slice
    """Of the embeddings, which `net` reads; several parts may read the same."""

    def of(self, vectors: Tensor) -> Tensor:
        """The part's weights of flat vectors: (..., num_weights) -> (..., weights of the part)."""
        return torch.cat([vectors[..., weights] for weights in self.weights], -1)


@dataclass(frozen=True)
class CompositeHypernetwork:
    """Several hypernetworks that together generate each weight once, each from some columns of the task embedding.

    Parameters of part k are named `<k>.<name>`, for example `0.head`. Otherwise its interface is that of
    `Hypernetwork`, and so is the meaning of leading axes. The noise of a step is one vector for all parts.

    Example:
        >>> parts = [Hypernetwork(8, 4, (5,), task_embedding=2, chunk_embedding=2), Hypernetwork(2, 2, (5,), 2)]
        >>> first = Part(parts[0], (slice(0, 4), slice(6, 10)), columns=slice(0, 2))
        >>> net = CompositeHypernetwork((first, Part(parts[1], (slice(4, 6),), columns=slice(0, 2))))
        >>> theta = net.init(torch.Generator().manual_seed(1))
        >>> net(theta, torch.randn(3, 2)).shape
        torch.Size([3, 10])
    """

    parts: tuple[Part, ...]

    @property
    def num_weights(self) -> int:
        return sum(part.net.num_weights for part in self.parts)

    @property
    def chunk_size(self) -> int:
        """That of the generated part with the largest chunks."""
        return max(net.chunk_size for net in self.generated)

    @property
    def generated(self) -> list[Hypernetwork | SelfAttentionHypernetwork]:
        """The hypernetworks of the parts that are generated."""
        nets = [part.net for part in self.parts]
        return [net for net in nets if not isinstance(net, SharedWeights | TaskWeights | FrozenWeights)]

    @property
    def embedding_size(self) -> int:
        return max(part.columns.stop for part in self.parts)

    @property
    def embedding_init(self) -> str:
        """One for all parts."""
        every = {part.net.embedding_init for part in self.parts}
        return "previous" if "previous" in every else "normal"

    @property
    def random(self) -> bool:
        return any(part.net.random for part in self.parts)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: size for number, part in enumerate(self.parts) for name, size in _named(number, part.net.shapes)}

    @property
    def num_parameters(self) -> int:
        return sum(part.net.num_parameters for part in self.parts)

    def initialized(self, embedding_scale: float, initialization: Initialization) -> "CompositeHypernetwork":
        """With another initialisation."""
        parts = (replace(part, net=part.net.initialized(embedding_scale, initialization)) for part in self.parts)
        return CompositeHypernetwork(tuple(parts))

    def init(self, generator: Generator) -> Tensors:
        """Initial parameters of all parts, drawn one after the other."""
        return self._joined([part.net.init(generator) for part in self.parts])

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        """Initial task embeddings, (tasks, embedding_size); columns that parts share are drawn once."""
        columns = {part.columns.start: part.net for part in self.parts if part.net.embedding_size}
        drawn = [columns[start].init_embeddings(tasks, generator) for start in sorted(columns)]
        return torch.cat([torch.zeros(tasks, 0, device=generator.device), *drawn], -1)

    def draw(self, tasks: int, generator: Generator) -> Tensors:
        parts = [part.net.draw(tasks, generator) for part in self.parts]
        noise = next((drawn["noise"] for drawn in parts if "noise" in drawn), None)
        return self._joined([drawn if noise is None else {**drawn, "noise": noise} for drawn in parts])

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        return self._placed([net(*inputs) for net, inputs in self._inputs(theta, embeddings, drawn)])

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """As `Hypernetwork.generate`."""
        generated = [net.generate(*inputs) for net, inputs in self._inputs(theta, embeddings, drawn)]

        def back(gradient: Tensor) -> tuple[Tensors, Tensor]:
            reached = [back(part.of(gradient)) for part, (_, back) in zip(self.parts, generated, strict=True)]
            of_embeddings = torch.zeros_like(embeddings)
            for part, (_, of_part) in zip(self.parts, reached, strict=True):
                of_embeddings[..., part.columns] += of_part
            by_name = self._joined([of_theta for of_theta, _ in reached])
            return {name: by_name[name] for name in theta}, of_embeddings

        return self._placed([weights for weights, _ in generated]), back

    def _inputs(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None
    ) -> Iterator[tuple[Net, tuple[Tensors, Tensor, Tensors | None]]]:
        """The arguments of each part's call."""
        for number, part in enumerate(self.parts):
            own = None if drawn is None else tensors_of_part(number, drawn)
            yield part.net, (tensors_of_part(number, theta), embeddings[..., part.columns], own)

    @staticmethod
    def _joined(parts: Sequence[Tensors]) -> Tensors:
        return {name: value for number, tensors in enumerate(parts) for name, value in _named(number, tensors)}

    @cached_property
    def _order(self) -> list[tuple[int, int]]:
        """Part and range of each stretch of the flat vector, in its order."""
        ranges = [
            (each.start, number, place)
            for number, part in enumerate(self.parts)
            for place, each in enumerate(part.weights)
        ]
        return [(number, place) for _, number, place in sorted(ranges)]

    def _placed(self, weights: Sequence[Tensor]) -> Tensor:
        """The weights of the parts in the order of the flat vector."""
        lengths = [[each.stop - each.start for each in part.weights] for part in self.parts]
        pieces = [torch.split(values, sizes, -1) for values, sizes in zip(weights, lengths, strict=True)]
        return torch.cat([pieces[number][place] for number, place in self._order], -1)


def tensors_of_part(number: int, tensors: Tensors) -> Tensors:
    """A part's tensors by their own names."""
    start = f"{number}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _named(number: int, tensors: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{number}.{name}", value) for name, value in tensors.items())
