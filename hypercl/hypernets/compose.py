"""From the parts of a composition, which name layers of the target, to a hypernetwork of several."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from math import prod

import torch
from torch import Tensor

from hypercl.config import UserError, did_you_mean
from hypercl.config.models import ComposedHypernet, ComposedPart, SharedWeights, TaskWeights
from hypercl.config.models import FrozenWeights as FrozenConfig
from hypercl.hypernets import not_generated
from hypercl.hypernets.composite import CompositeHypernetwork, Net, Part
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.hypernets.initialize import Shapes
from hypercl.hypernets.self_attention import SelfAttentionHypernetwork

DrawWeights = Callable[[int], Tensor]
"""A target's own initial weights (num_weights,) from a seed, on the CPU."""

Build = Callable[..., Hypernetwork | CompositeHypernetwork | SelfAttentionHypernetwork]
"""Makes a part's hypernetwork from its config, number of weights and shapes."""


def composed(
    config: ComposedHypernet, shapes: Shapes, draw_weights: DrawWeights | None, build: Build
) -> CompositeHypernetwork:
    """The hypernetwork of a composition; arguments as of `build_hypernet`.

    Each part has its own columns of the task embedding.
    """
    parts: list[Part] = []
    columns = 0
    for part, places in zip(config.parts, _assigned(config.parts, shapes), strict=True):
        ranges, own = _ranges(shapes, places), [shapes[place] for place in places]
        count = sum(prod(shape) for _, shape in own)
        if isinstance(part.net, SharedWeights | FrozenConfig | TaskWeights):
            net = _not_generated(part.net, count, _drawn(draw_weights, ranges))
            made = [Part(net, tuple(ranges), slice(0, net.embedding_size))]
        else:
            made = list(_parts(build(part.net, count, target_shapes=own), ranges))
        end = columns + max(each.columns.stop for each in made)
        parts += [Part(each.net, each.weights, _moved(each.columns, columns)) for each in made]
        columns = end
    return CompositeHypernetwork(tuple(parts))


def _parts(
    net: Hypernetwork | CompositeHypernetwork | SelfAttentionHypernetwork, ranges: Sequence[slice]
) -> Iterator[Part]:
    """The parts of a part's hypernetwork, whose weights are counted within these ranges."""
    if not isinstance(net, CompositeHypernetwork):
        yield Part(net, tuple(ranges), slice(0, net.embedding_size))
        return
    for part in net.parts:
        yield Part(part.net, tuple(each for local in part.weights for each in _within(local, ranges)), part.columns)


def _within(local: slice, ranges: Sequence[slice]) -> Iterator[slice]:
    """Where a range of some ranges, counted from the start of the first, lies."""
    begin = 0
    for each in ranges:
        start, stop = max(local.start, begin), min(local.stop, begin + each.stop - each.start)
        if start < stop:
            yield slice(each.start + start - begin, each.start + stop - begin)
        begin += each.stop - each.start


def _moved(columns: slice, by: int) -> slice:
    return slice(columns.start + by, columns.stop + by)


def _ranges(shapes: Shapes, places: Sequence[int]) -> list[slice]:
    """The ranges of some tensors in the flat vector; those of neighbours are one."""
    ranges: list[slice] = []
    start = 0
    for place, (_, shape) in enumerate(shapes):
        stop = start + prod(shape)
        if place in places:
            joins = bool(ranges) and ranges[-1].stop == start
            ranges.append(slice(ranges.pop().start if joins else start, stop))
        start = stop
    return ranges


def _drawn(draw_weights: DrawWeights | None, ranges: Sequence[slice]) -> not_generated.Draw:
    def draw(seed: int) -> Tensor:
        assert draw_weights is not None
        weights = draw_weights(seed)
        return torch.cat([weights[each] for each in ranges])

    return draw


def _not_generated(config: SharedWeights | FrozenConfig | TaskWeights, count: int, draw: not_generated.Draw) -> Net:
    if isinstance(config, SharedWeights):
        return not_generated.SharedWeights(count, count, hidden=(), task_embedding=0, draw_weights=draw)
    kind = not_generated.FrozenWeights if isinstance(config, FrozenConfig) else not_generated.TaskWeights
    return kind(count, draw)


def names_all(patterns: Sequence[str], shapes: Shapes) -> bool:
    """Whether each tensor is named by one of the patterns."""
    return all(any(_fits(name, pattern) for pattern in patterns) for name, _ in shapes)


def _assigned(parts: Sequence[ComposedPart], shapes: Shapes) -> list[list[int]]:
    """The tensors of each part, in the order of the flat vector.

    Raises:
        UserError: a part has none, a pattern fits none, or a tensor is in no part.
    """
    names = [name for name, _ in shapes]
    places: list[list[int]] = [[] for _ in parts]
    for place, name in enumerate(names):
        owner = next((number for number, part in enumerate(parts) if any(_fits(name, p) for p in part.weights)), None)
        if owner is None:
            raise UserError(f"hypernet: no part names the weight {name}: add a part with weights ['*']")
        places[owner].append(place)
    for number, part in enumerate(parts):
        unused = next((pattern for pattern in part.weights if not any(_fits(name, pattern) for name in names)), None)
        if unused is not None:
            layers = _layers(names)
            hint = did_you_mean(unused, layers)
            raise UserError(
                f"hypernet: '{unused}' names no layer or weight of the target\n    allowed: {', '.join(layers)}"
                + (f"\n    fix:     {hint}" if hint else "")
            )
        if not places[number]:
            raise UserError(
                f"hypernet: an earlier part names all weights of {list(part.weights)}: leave that part out, or name "
                "other layers"
            )
    return places


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def _layers(names: Sequence[str]) -> list[str]:
    """The layers, those that differ by a number alone as one pattern: blocks.*.conv1."""
    layers = dict.fromkeys(name.rpartition(".")[0] or name for name in names)
    patterns = {layer: re.sub(r"(?<=\.)\d+(?=\.)", "*", layer) for layer in layers}
    alike = Counter(patterns.values())
    return list(dict.fromkeys(pattern if alike[pattern] > 1 else layer for layer, pattern in patterns.items()))
