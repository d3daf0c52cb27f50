"""The one way to run a run: its loggers hear every item, a `Control` stops it, every ending is told."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Literal

from hypercl.control import Control
from hypercl.formatting import first_line
from hypercl.loggers.composite import Loggers
from hypercl.loggers.spec import Logger
from hypercl.training import Diverged, Finished, Progress, Report, Started

How = Literal["finished", "interrupted", "diverged", "out_of_memory"]


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    how: How
    why: str = ""
    """Of a run that failed, on one line."""
    finished: Finished | None = None
    """What a finished run measured."""


def run_to_end(progress: Iterable[Progress], loggers: Iterable[Logger], control: Control) -> Ending:
    """Runs a run until it ends or is stopped; then its checkpoint is on disk.

    Args:
        progress: as from `hypercl.training.run`.
        loggers: hear every item, and how it ended.
        control: stops it.

    Raises:
        UserError: as `hypercl.training.run`; any other exception of the code passes through, too.
    """
    reports = reports_of(progress, loggers, control)
    while True:
        try:
            next(reports)
        except StopIteration as end:
            return end.value


def reports_of(
    progress: Iterable[Progress],
    loggers: Iterable[Logger],
    control: Control,
    enough: Callable[[], bool] = lambda: False,
) -> Generator[Started | Report, None, Ending]:
    """As `run_to_end`, a report at a time. Closing it prunes the run: a checkpoint is written, loggers hear 'stopped'.

    `enough`: whether the run is finished for its caller after what was yielded, though the stream is not.
    """
    listeners, outcome = Loggers(loggers), "failed"
    try:
        for item in progress:
            listeners.hear(item)
            if isinstance(item, Finished):
                outcome = "finished"
                return Ending("finished", finished=item)
            if isinstance(item, Started | Report):
                yield item
                if enough():
                    outcome = "finished"
                    return Ending("finished")
            if control.stopping:
                outcome = "interrupted"
                return Ending("interrupted")
        raise RuntimeError("the run ended without a summary")
    except GeneratorExit:
        outcome = "stopped"
        raise
    except Exception as error:
        ending = ending_of(error)
        if ending is None:
            raise
        return ending
    finally:
        try:
            if isinstance(progress, Generator):
                progress.close()  # writes a checkpoint where one is due
        finally:
            listeners.close(outcome)


def ending_of(error: Exception) -> Ending | None:
    """The ending that an exception stands for; None for one that does not belong to the setting."""
    if isinstance(error, Diverged):
        return Ending("diverged", str(error))
    text = str(error)
    known = "DefaultCPUAllocator" in text or "CUDA out of memory" in text
    if known or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Ending("out_of_memory", first_line(error))
    return None
