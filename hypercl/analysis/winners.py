"""The winners of several sweeps against each other, on the seeds that their final steps share."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from hypercl.analysis.final_text import Content, compared_in_words, counterpart, leading
from hypercl.analysis.statistics import difference


def winners_in_words(contents: Mapping[str, Content]) -> list[str]:
    """A sentence for each two sweeps whose final step is done: their winners' difference in the first goal.

    Args:
        contents: name -> as in final.json; of the same data.
    """
    return [_pair(*pair) for pair in combinations(contents.items(), 2)]


def _pair(one: tuple[str, Content], other: tuple[str, Content]) -> str:
    (first, mine), (second, theirs) = one, other
    key = counterpart(mine["goals"][0]["metric"])
    own, others = _values(mine, key), _values(theirs, key)
    shared = [seed for seed in own if seed in others]
    text = f"the winners of {first} and {second}"
    if len(shared) < 2 or mine["goals"][0] != theirs["goals"][0]:
        return f"{text} cannot be compared: their final steps share no two seeds of one goal"
    found = difference([own[seed] for seed in shared], [others[seed] for seed in shared]).plain()
    if found["mean"] == 0 == found["sd"]:
        return f"{text} reached the same on each of {len(shared)} shared seeds"
    against = compared_in_words(key, found, len(shared), other=second)
    return f"{text}, on {len(shared)} shared seeds: {first} is {against}"


def _values(content: Content, key: str) -> dict[int, float]:
    """Seed -> what the winner reached on it."""
    winner: Mapping[str, Any] = leading(content)
    values: Sequence[float | None] = winner["metrics"][key]["values"]
    return {seed: value for seed, value in zip(winner["seeds"], values, strict=True) if value is not None}
