"""The loggers of a run: built in its own process, heard as one."""

import inspect
import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from hypercl.config import UserError
from hypercl.config.models import Logging
from hypercl.formatting import first_line
from hypercl.loggers.jsonl import JsonLines
from hypercl.loggers.spec import Logger, LoggerSpec
from hypercl.training import Progress
from hypercl.user_code import user_code

LOG = logging.getLogger(__name__)
_KEY = "logging.import"


def build(spec: LoggerSpec | None, folder: Path) -> list[Logger]:
    """The loggers of a run; metrics.jsonl is the first.

    Args:
        spec: what is wanted beside metrics.jsonl.
        folder: the run's folder.
    """
    loggers: list[Logger] = [JsonLines(folder)]
    if spec is None:
        return loggers
    wanted = spec.logging
    if wanted.wandb is not None and spec.mode != "disabled":
        from hypercl.loggers.wandb import WandbLogger

        loggers.append(WandbLogger(spec, folder))
    if wanted.tensorboard:
        loggers.append(Guarded("TensorBoard", lambda: _tensorboard(folder)))
    if wanted.import_ is not None:
        loggers.append(Guarded(wanted.import_, lambda: _own(spec, folder)))
    return loggers


def _tensorboard(folder: Path) -> Logger:
    from hypercl.loggers.tensorboard import TensorBoard

    return TensorBoard(folder)


def _own(spec: LoggerSpec, folder: Path) -> Logger:
    path = spec.logging.import_
    assert path is not None
    with user_code(_KEY, path, spec.import_paths) as own:
        return own(spec, folder, **spec.logging.kwargs)


def check_loggers(wanted: Logging, import_paths: Sequence[Path]) -> None:
    """Refuses loggers that cannot be built, before any run starts.

    Raises:
        UserError: TensorBoard is not installed; the user's own logger is not found, is no `Logger`, or does not take
            the keywords.
    """
    if wanted.tensorboard and find_spec("tensorboard") is None:
        raise UserError(
            "logging.tensorboard: TensorBoard is not installed\n    fix:     pip install 'hypercl[tensorboard]'"
        )
    path = wanted.import_
    if path is None:
        return
    with user_code(_KEY, path, import_paths, called=False) as own:
        if not isinstance(own, type) or not issubclass(own, Logger):
            raise UserError(f"{_KEY}: {path} is not a subclass of hypercl.loggers.Logger")
        signature = inspect.signature(own)
        try:
            signature.bind(None, None, **wanted.kwargs)
        except TypeError as error:
            allowed = ", ".join(list(signature.parameters)[2:]) or "none"
            raise UserError(
                f"logging.kwargs: {path} does not accept these: {error}\n    given:   {wanted.kwargs}\n"
                f"    allowed: {allowed}, after the spec and the run's folder"
            ) from error


class Guarded(Logger):
    """A logger whose errors end the logging by it, not the run.

    Args:
        name: what people call it.
        make: gives the logger, when it hears the first item.
    """

    def __init__(self, name: str, make: Callable[[], Logger]) -> None:
        self._name = name
        self._make: Callable[[], Logger] | None = make
        self._logger: Logger | None = None

    def hear(self, item: Progress) -> None:
        with self._guard():
            if self._make is not None:
                make, self._make = self._make, None
                self._logger = make()
            if self._logger is not None:
                self._logger.hear(item)

    def close(self, outcome: str) -> None:
        with self._guard():
            if self._logger is not None:
                self._logger.close(outcome)

    @contextmanager
    def _guard(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            self._logger = None
            LOG.warning("Logging of this run by %s ends here: %s", self._name, first_line(error))


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
