"""Structured chunking: chunks are whole filters of layers whose filters have one shape."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd, prod

from hypercl.hypernets.initialize import Shapes


@dataclass
class Group:
    """Tensors whose filters have one shape, and the chunks they are generated in."""

    filter_size: int
    """Weights of a filter: all that one unit or output channel reads; 1 in the group of biases, scales and shifts."""
    places: list[int] = field(default_factory=list[int])
    """Of its tensors, in the order of the flat vector."""
    weights: list[slice] = field(default_factory=list[slice])
    """Their ranges of the flat vector; tensors side by side share one."""
    common: int = 0
    """Greatest common divisor of their numbers of filters."""
    num_weights: int = 0

    def add(self, place: int, start: int, filters: int) -> None:
        """Takes in a tensor that begins at `start`."""
        stop = start + filters * self.filter_size
        joins = bool(self.weights) and self.weights[-1].stop == start
        start = self.weights.pop().start if joins else start
        self.weights.append(slice(start, stop))
        self.places.append(place)
        self.common, self.num_weights = gcd(self.common, filters), self.num_weights + filters * self.filter_size

    def chunk_size(self, most: int) -> int:
        """Weights of a chunk: as many whole filters as fit in `most`, at least one, and no chunk in two tensors."""
        fitting = max(1, most // self.filter_size)
        filters = next(count for count in range(min(self.common, fitting), 0, -1) if self.common % count == 0)
        return filters * self.filter_size


def grouped(shapes: Shapes) -> Sequence[Group]:
    """The tensors of a target by the shape of their filters, in the order of the first of each group.

    Example:
        >>> shapes = [("0.weight", (16, 3, 3, 3)), ("0.bias", (16,)), ("1.weight", (32, 3, 3, 3)), ("1.bias", (32,))]
        >>> [(group.places, group.chunk_size(most=300)) for group in grouped(shapes)]
        [([0, 2], 216), ([1, 3], 16)]
    """
    groups: dict[tuple[int, ...], Group] = {}
    start = 0
    for place, (_, shape) in enumerate(shapes):
        group = groups.setdefault(shape[1:], Group(prod(shape[1:])))
        group.add(place, start, shape[0] if shape else 1)
        start += prod(shape)
    return list(groups.values())
