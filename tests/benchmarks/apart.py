"""A side in a process of its own, so that it has the C library's memory management as its users have it.

A run of hypercl has the C library keep freed memory (`hypercl.training.memory`), which holds for the whole process.
In that process hypnettorch would be timed with a gain that it does not have.
"""

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import torch
from torch import multiprocessing

from tests.benchmarks.sides import ignore_old_calls
from tests.benchmarks.timing import told


class Apart(Iterator[tuple[float, Any]]):
    """Advances an iterator in another process, one turn at a time; each item is its seconds and what it gave.

    Args:
        turns: a function of a module, whose iterator is advanced there; one item a turn, none of them None.
        given: its arguments; they are sent.

    The process begins and ends with the `with` block, and rests between two turns.
    """

    def __init__(self, turns: Callable[..., Iterator[Any]], *given: Any) -> None:
        self._pipe, self._there = multiprocessing.Pipe()
        arguments = (self._there, torch.get_num_threads(), turns, given)
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._there.close()  # its only end is there now: should it die, the pipe ends, too
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.join()

    def __next__(self) -> tuple[float, Any]:
        self._pipe.send(None)
        found = self._pipe.recv()
        if isinstance(found, Exception):
            raise found
        return found

    def seconds(self) -> float:
        """Takes a turn and tells how long it took."""
        return next(self)[0]


def _serve(pipe: Connection, threads: int, turns: Callable[..., Iterator[Any]], given: tuple[Any, ...]) -> None:
    torch.set_num_threads(threads)
    ignore_old_calls()
    try:
        side = told(turns(*given))
        while True:
            pipe.recv()
            pipe.send(next(side))
    except Exception as error:
        pipe.send(error)
