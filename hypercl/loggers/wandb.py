"""A run in Weights & Biases. Nothing else in the package imports wandb."""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hypercl.config import resolved
from hypercl.loggers.fan_out import LoggerSpec
from hypercl.loggers.matrix import Matrix, flatten, matrices
from hypercl.training.progress import Finished, Report, Row, Started, Tick

INIT_SECONDS = 10
FINISH_SECONDS = 60
LOG = logging.getLogger(__name__)


class WandbLogger:
    """Each run or trial is a W&B run of its own, the same one over all restarts.

    Rows are logged at their `iteration`, which is every metric's axis. `wandb.json` in the run's folder holds the W&B
    run's id, which outlives a renamed folder, and the last iteration sent, so a resumed run sends nothing twice. The
    result of a run never depends on W&B: where it cannot be reached the run goes offline, and any later error ends the
    logging, not the run.

    Args:
        spec: the W&B block, the mode decided before, and the run's names.
        folder: the run's folder.
    """

    def __init__(self, spec: LoggerSpec, folder: Path) -> None:
        self._spec = spec
        self._folder = folder
        self._cursor = folder / "wandb.json"
        self._id, self._sent, self._done = spec.run_id, -1, False
        self._run: Any = None

    def started(self, item: Started) -> None:
        """Opens the W&B run, or goes on with it; a run that W&B holds to its end is not opened again."""
        self._read_cursor()
        if not self._done:
            self._safely(lambda: self._open(item))

    def tick(self, item: Tick) -> None:
        """A tick holds nothing to log."""

    def report(self, item: Report) -> None:
        """Logs the report's rows that were not sent before."""
        if self._run is not None:
            self._safely(lambda: self._log(item))

    def finished(self, item: Finished) -> None:
        """Logs the accuracy matrices and writes the final metrics into the run's summary."""
        if self._run is not None:
            self._safely(lambda: self._log_results(item))

    def close(self, outcome: str) -> None:
        """Ends the W&B run: with exit code 0 where the run finished or was stopped, else 1, open to be resumed."""
        if self._run is not None:
            self._safely(lambda: self._finish(outcome))
            self._run = None

    def _open(self, item: Started) -> None:
        experiment = resolved(item.experiment)
        about = {
            "num_tasks": item.num_tasks,
            "iterations": list(item.iterations),
            "parameters": item.parameters,
            "target_parameters": item.target_parameters,
            "device": item.device,
            "threads": item.threads,
        }
        config = {**experiment, "run": about}
        try:
            self._run = self._init(self._spec.mode, config)
        except Exception as error:
            if self._spec.mode == "offline":
                raise
            LOG.warning("W&B cannot be reached: run %s is logged offline (%s)", self._id, _first_line(error))
            # After a failed init its service holds the id as 'in use' (wandb 0.31): a new service frees it.
            wandb.teardown()
            self._run = self._init("offline", config)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_cursor()
        self._run.define_metric("iteration")
        self._run.define_metric("*", step_metric="iteration")

    def _init(self, mode: str, config: dict[str, Any]) -> Any:
        settings = self._spec.wandb
        assert settings is not None
        self._spec.wandb_dir.mkdir(parents=True, exist_ok=True)
        # The line on loaded credentials heeds the variable only, not Settings(silent=True) (wandb 0.31).
        os.environ.setdefault("WANDB_SILENT", "true")
        return wandb.init(
            project=settings.project,
            entity=settings.entity,
            id=self._id,
            name=self._spec.run_name,
            group=self._spec.group,
            tags=list(settings.tags),
            config=config,
            dir=str(self._spec.wandb_dir),
            mode=mode,  # pyright: ignore[reportArgumentType]
            resume="allow" if mode == "online" else None,
            reinit="finish_previous",
            settings=wandb.Settings(
                silent=True, console="off", init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS, save_code=False
            ),
        )

    def _log(self, item: Report) -> None:
        moments: dict[int, Row] = {}
        for row in item.rows:
            if row["iteration"] > self._sent:
                moments.setdefault(int(row["iteration"]), {}).update(row)
        if item.iteration in moments:
            moments[item.iteration]["validation/mean_so_far"] = sum(item.accuracies) / len(item.accuracies)
        for iteration, values in sorted(moments.items()):
            self._run.log(values, step=iteration)
        if moments:
            self._sent = max(moments)
            self._write_cursor()

    def _log_results(self, item: Finished) -> None:
        known = {key: value for key, value in flatten(item.summary).items() if isinstance(value, int | float)}
        self._run.summary.update(known)
        values: dict[str, Any] = {}
        for split, matrix in matrices(self._folder).items():
            rows: list[Any] = [[after, *cells] for after, cells in zip(matrix.after, matrix.cells, strict=True)]
            values[f"{split}/accuracy_matrix"] = wandb.Table(columns=["after", *matrix.tasks], data=rows)
            values[f"{split}/accuracy_matrix_map"] = wandb.Image(_heat_map(matrix))
        if values:
            # One step past the last row: W&B drops what comes at a step it has seen.
            self._run.log({"iteration": max(self._sent, 0), **values}, step=self._sent + 1)

    def _finish(self, outcome: str) -> None:
        self._run.summary["outcome"] = outcome
        self._run.finish(exit_code=0 if outcome in ("finished", "stopped") else 1)
        self._done = outcome == "finished"
        self._write_cursor()

    def _safely(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            LOG.warning("W&B logging of run %s ends here: %s", self._id, _first_line(error))
            run, self._run = self._run, None
            if run is not None:
                with suppress(Exception):
                    run.finish(exit_code=1)

    def _read_cursor(self) -> None:
        try:
            stored = json.loads(self._cursor.read_text(encoding="utf-8"))
            self._id, self._sent, self._done = str(stored["id"]), int(stored["iteration"]), bool(stored["finished"])
        except (OSError, ValueError, KeyError, TypeError):
            self._id, self._sent, self._done = self._spec.run_id, -1, False

    def _write_cursor(self) -> None:
        beside = self._cursor.with_suffix(".tmp")
        content = {"id": self._id, "iteration": self._sent, "finished": self._done}
        beside.write_text(json.dumps(content), encoding="utf-8")
        beside.replace(self._cursor)


def _heat_map(matrix: Matrix) -> np.ndarray:
    """A picture (height, width, 4); a figure itself W&B takes from pyplot only (wandb 0.31)."""
    cells = np.array([[np.nan if cell is None else 100 * cell for cell in row] for row in matrix.cells])
    before = len(matrix.after) - len(matrix.tasks)
    figure = Figure(figsize=(5.5, 4.5), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="task", ylabel="after learning task")
    low = float(np.nanmin(cells[before:], initial=95.0))
    image = axes.imshow(cells, cmap="cividis", vmin=low, vmax=100.0, aspect="auto")
    kept = range(0, len(matrix.tasks), -(-len(matrix.tasks) // 10))
    axes.set_xticks(list(kept), [str(task + 1) for task in kept])
    axes.set_yticks([task + before for task in kept], [str(task + 1) for task in kept])
    figure.colorbar(image, ax=axes, label="accuracy, %", extend="min")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
