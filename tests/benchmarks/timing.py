"""Times of several things done in turns, so that what disturbs the machine disturbs all of them."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import TypeVar

import torch

_Found = TypeVar("_Found")

SECONDS_A_TURN = 0.4
MOST_ROUNDS = 40
SLOW = 4.0
"""Seconds of a call from which on two rounds are enough."""


def alternate(sides: Mapping[str, Callable[[], float]], seconds: float) -> dict[str, float]:
    """The median time of one call of each, in seconds.

    In each round every side has a turn of as many calls as fit into 0.4 s, at least one. There are at least three
    rounds (two where a call takes more than 4 s), otherwise as many as fit into the time.

    Args:
        sides: name -> a call that tells the seconds it took (`timed`); called twice beforehand, or once where a call
            takes seconds.
        seconds: about how long all of it takes, warm-up apart.
    """
    expected = {name: _warm(call) for name, call in sides.items()}
    calls = {name: max(1, round(SECONDS_A_TURN / took)) for name, took in expected.items()}
    a_round = sum(calls[name] * expected[name] for name in sides)
    fewest = 2 if max(expected.values()) > SLOW else 3
    rounds = min(MOST_ROUNDS, max(fewest, round(seconds / a_round)))
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            times[name] += [call() for _ in range(calls[name])]
    return {name: median(found) for name, found in times.items()}


def timed(call: Callable[[], object]) -> Callable[[], float]:
    """A call that tells how long this one took."""
    return partial(took, call)


def told(side: Iterator[_Found]) -> Iterator[tuple[float, _Found | None]]:
    """Seconds of each turn of an iterator, and what it gave; the turn in which it ends gives None."""
    found: list[_Found | None] = [None]

    def turn() -> None:
        found[0] = next(side, None)

    while True:
        yield took(turn), found[0]
        if found[0] is None:
            return


def took(call: Callable[[], object]) -> float:
    """Seconds of a call, until a GPU has done it, too."""
    _settle()
    began = time.perf_counter()
    call()
    _settle()
    return time.perf_counter() - began


def _warm(call: Callable[[], float]) -> float:
    first = call()
    return first if first > 1 else call()


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
