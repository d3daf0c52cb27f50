"""Times of several things done in turns, so that what disturbs the machine disturbs all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

SECONDS_A_TURN = 0.4
MOST_ROUNDS = 40
SLOW = 4.0
"""Seconds of a call from which on two rounds are enough."""


def alternate(sides: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """The median time of one call of each, in seconds.

    In each round every side has a turn of as many calls as fit into 0.4 s, at least one; each call is timed. There are
    at least three rounds (two where a call takes more than 4 s), otherwise as many as fit into the time.

    Args:
        sides: name -> what is timed; called twice beforehand, or once where a call takes seconds.
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
            times[name] += [took(call) for _ in range(calls[name])]
    return {name: median(found) for name, found in times.items()}


def took(call: Callable[[], object]) -> float:
    """Seconds of a call, until a GPU has done it, too."""
    _settle()
    began = time.perf_counter()
    call()
    _settle()
    return time.perf_counter() - began


def _warm(call: Callable[[], object]) -> float:
    first = took(call)
    return first if first > 1 else took(call)


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
