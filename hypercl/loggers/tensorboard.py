"""A run in TensorBoard: event files in `tensorboard/` of its folder."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from hypercl.config import to_yaml
from hypercl.loggers.jsonl import by_iteration, read_rows
from hypercl.loggers.measured import final_metrics, heat_map
from hypercl.loggers.spec import Logger
from hypercl.training import Finished, Report, Row, Started


class TensorBoard(Logger):
    """Scalars at their `iteration`, the config as text, at the end the accuracy matrices and the final metrics.

    A resumed run rewrites the files from metrics.jsonl, so that each step is there exactly once.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._last = -1

    def started(self, item: Started) -> None:
        """Rewrites the files with the rows so far."""
        place = self._folder / "tensorboard"
        shutil.rmtree(place, ignore_errors=True)
        self._last = -1
        self._writer = SummaryWriter(str(place))
        self._writer.add_text("config", f"```yaml\n{to_yaml(item.experiment)}```")
        self._add(read_rows(self._folder))

    def report(self, item: Report) -> None:
        """Adds the report's rows that are new."""
        self._add(item.rows)

    def finished(self, item: Finished) -> None:
        """Adds matrices and final metrics."""
        assert self._writer is not None
        for key, value in final_metrics(item.summary).items():
            self._writer.add_scalar(f"final/{key}", value, self._last)
        for data, matrix in item.matrices.items():
            self._writer.add_image(
                f"{data}/accuracy_matrix", heat_map(data, matrix, item.summary), self._last, dataformats="HWC"
            )

    def close(self, outcome: str) -> None:
        """Closes the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, rows: Iterable[Row]) -> None:
        assert self._writer is not None
        for iteration, values in by_iteration(rows, self._last):
            for key, value in values.items():
                self._writer.add_scalar(key, value, iteration)
            self._last = iteration
        self._writer.flush()
