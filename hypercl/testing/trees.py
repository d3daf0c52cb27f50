"""Nested dicts of tensors: what a learner's state is, compared leaf by leaf."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor


def leaves(tree: Any, name: str = "state") -> Iterator[tuple[str, Any]]:
    """What the dicts hold, each under its name as one would write it: `state['theta']['head']`."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{name}[{key!r}]")
    else:
        yield name, tree


def strangers(state: Any) -> str:
    """What is no tensor, in words; '' where there is nothing else."""
    found = [f"{name} is a {type(value).__name__}" for name, value in leaves(state) if not isinstance(value, Tensor)]
    found += [] if isinstance(state, dict) else [f"the state is a {type(state).__name__}, not a dict"]
    return "; ".join(found)


def copied(tree: Any) -> Any:
    """A copy that steps, which work in place, leave alone."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return tree.clone() if isinstance(tree, Tensor) else deepcopy(tree)


def doubled(tree: Any) -> Any:
    """All numbers in float64."""
    if isinstance(tree, dict):
        return {key: doubled(value) for key, value in tree.items()}
    return tree.double() if isinstance(tree, Tensor) and tree.is_floating_point() else tree


def of_replica(tree: Any, index: int) -> Any:
    """A replica's part of a bundle's state; a scalar is everyone's, such as the count of steps."""
    if isinstance(tree, dict):
        return {key: of_replica(value, index) for key, value in tree.items()}
    return tree[index] if tree.dim() else tree


def part_like(tree: Any, part: Any) -> Any:
    """What a tree has under the keys of a part of it; where it lacks one, nothing."""
    if isinstance(tree, dict) and isinstance(part, dict):
        return {key: part_like(tree[key], part[key]) for key in part if key in tree}
    return tree


def difference(left: Any, right: Any, tolerance: float = 0.0, name: str = "state") -> str:
    """The first place where two differ, in words; '' where they are equal, bit for bit without a tolerance."""
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return f"{name} has the keys {sorted(left)} and {sorted(right)}"
        found = (difference(left[key], right[key], tolerance, f"{name}[{key!r}]") for key in left)
        return next((each for each in found if each), "")
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        return "" if type(left) is type(right) and left == right else f"{name}: {left!r} and {right!r}"
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{name}: {left.dtype} {list(left.shape)} and {right.dtype} {list(right.shape)}"
    if torch.equal(left, right) or (tolerance and torch.allclose(left, right, rtol=tolerance, atol=tolerance)):
        return ""
    largest = (left.double() - right.double()).abs().max()
    return f"{name} differs by up to {float(largest):.3g}"
