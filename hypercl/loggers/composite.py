"""Who listens to a run: named in a picklable form, built in the run's own process."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from hypercl.loggers.jsonl import JsonLines
from hypercl.loggers.spec import LoggerSpec
from hypercl.training import Finished, Progress, Report, Started, Tick


class Logger(Protocol):
    """Hears every item of a run. A report may come twice after a restart: by its `iteration` a logger knows it."""

    def started(self, item: Started) -> None:
        """The run starts or resumes."""

    def tick(self, item: Tick) -> None:
        """The run is alive."""

    def report(self, item: Report) -> None:
        """Accuracies and the losses that led there."""

    def finished(self, item: Finished) -> None:
        """The run is done."""

    def close(self, outcome: str) -> None:
        """Nothing more will come: 'finished', 'stopped' (early, by the pruner), 'interrupted' or 'failed'."""


def build(spec: LoggerSpec | None, folder: Path) -> list[Logger]:
    """The loggers of a run.

    Args:
        spec: what is wanted beside metrics.jsonl.
        folder: the run's folder.
    """
    loggers: list[Logger] = [JsonLines(folder)]
    if spec is not None and spec.wandb is not None:
        from hypercl.loggers.wandb import WandbLogger

        loggers.append(WandbLogger(spec, folder))
    return loggers


class Loggers:
    """Several listeners as one.

    Args:
        loggers: told in this order.
    """

    def __init__(self, loggers: Iterable[Logger]) -> None:
        self._loggers = tuple(loggers)

    def hear(self, item: Progress) -> None:
        """Tells every listener an item of the run."""
        for logger in self._loggers:
            match item:
                case Started():
                    logger.started(item)
                case Tick():
                    logger.tick(item)
                case Report():
                    logger.report(item)
                case Finished():
                    logger.finished(item)

    def close(self, outcome: str) -> None:
        """Tells every listener that nothing more will come."""
        for logger in self._loggers:
            logger.close(outcome)
