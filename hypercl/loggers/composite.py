"""The loggers of a run: built in its own process, heard as one."""

from collections.abc import Iterable
from pathlib import Path

from hypercl.loggers.jsonl import JsonLines
from hypercl.loggers.spec import Logger, LoggerSpec
from hypercl.training import Progress


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


class Loggers(Logger):
    """Several loggers as one.

    Args:
        loggers: hear each item in this order.
    """

    def __init__(self, loggers: Iterable[Logger]) -> None:
        self._loggers = tuple(loggers)

    def hear(self, item: Progress) -> None:
        for logger in self._loggers:
            logger.hear(item)

    def close(self, outcome: str) -> None:
        for logger in self._loggers:
            logger.close(outcome)
