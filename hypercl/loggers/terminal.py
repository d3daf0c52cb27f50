"""A single run in the terminal."""

from math import isnan
from pathlib import Path
from statistics import stdev

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from hypercl.config.models import WITHIN_TASKS
from hypercl.formatting import duration, percent, shown
from hypercl.loggers.spec import Logger
from hypercl.training import MATRIX_FILES, AccuracyMatrix, Finished, Report, RunSummary, Started, Tick

WIDEST = 10
"""Tasks whose accuracies fit into 80 columns."""
METRICS = (
    *("final_accuracy", "during_accuracy", "forgetting", "backward_transfer", "task_inference_accuracy"),
    *(metric.removeprefix("validation/") for metric in WITHIN_TASKS),
)
"""Those that a run has are shown."""
ERRORS = ("final_mse", "during_mse")
"""Of a regression."""


class Terminal(Logger):
    """A progress bar over each task's steps, a line for each task learned, the matrix and the metrics at the end.

    Where the console is not a terminal there is no bar, only lines.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._shown: TaskID | None = None
        self._iterations: tuple[int, ...] = ()
        self._tasks: int | None = None
        self._last_step = -1
        self._folder = Path()
        self._diverged = 0
        self._score = "accuracy"

    def started(self, item: Started) -> None:
        """Says what is trained and, for a run that was interrupted, where it resumes."""
        self._iterations, self._tasks, self._folder = item.iterations, item.num_tasks, item.folder
        self._score = item.experiment.tasks.score
        ratio = item.parameters / item.target_parameters
        threads = f"{item.threads} thread" + "s" * (item.threads != 1)
        chunked = item.chunk_size is not None and item.chunk_size < item.target_parameters
        chunks = f", chunks of {item.chunk_size:,}" if chunked else ""
        self._line(
            f"{item.experiment.tasks.name}: {_length(item)} on {item.device} "
            f"({threads}); {item.parameters:,} parameters for {item.target_parameters:,} weights "
            f"(compression ratio {ratio:.3f}{chunks})"
        )
        if sum(item.groups) > 1:
            self._line(_replicas(item))
        if item.history:
            newest = item.history[-1]
            self._last_step, self._diverged = newest.step, len(newest.diverged)
            done = newest.learned and newest.task + 1 == item.num_tasks
            of = f" of {sum(item.iterations):,}" if item.num_tasks else ""
            self._line(
                "was trained before, to its last step"
                if done
                else f"resumes after step {newest.iteration:,}{of} (task {newest.task + 1}, "
                f"validation {self._score} {percent(_mean(newest.accuracies))} % on the tasks met)"
            )
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[accuracy]}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()

    def tick(self, item: Tick) -> None:
        """Moves the bar."""
        self._move(item.task, item.task_iteration)

    def report(self, item: Report) -> None:
        """Moves the bar; writes a line for a learned task, and one for each replica that diverged."""
        done = int(item.rows[-1]["task_iteration"])
        self._move(item.task, done, f"{self._score} {percent(_mean(item.accuracies))} %")
        if item.step <= self._last_step:
            return
        self._last_step = item.step
        for text in item.diverged[self._diverged :]:
            self._line(f"diverged, and counts as {self._score} 0 from here on: {text}")
        self._diverged = len(item.diverged)
        if item.learned:
            by_task = " ".join(f"{percent(accuracy)} %" for accuracy in item.accuracies[-WIDEST:])
            dots = "... " if len(item.accuracies) > WIDEST else ""
            mean = _with_spread(_mean(item.accuracies), _spread(item.replicas))
            self._line(
                f"{self._place(item.task)} learned: validation {self._score} {mean} (by task {dots}{by_task}), "
                f"{duration(item.seconds)}"
            )

    def finished(self, item: Finished) -> None:
        """Writes the accuracy matrices and the metrics."""
        self._stop()
        for data, matrix in item.matrices.items():
            self._line(matrix_or_path(data, matrix, self._folder / MATRIX_FILES[data], self._score))
        self._console.print(_metrics_table(item.summary, self._score))

    def close(self, outcome: str) -> None:
        """Takes the bar away; says how a run that did not finish ended."""
        self._stop()
        if outcome != "finished" and self._iterations:
            self._line(outcome)
        self._iterations = ()

    def _move(self, task: int, done: int, accuracy: str | None = None) -> None:
        if self._bar is None:
            return
        description = self._place(task)
        steps = self._iterations[task] if task < len(self._iterations) else None
        if self._shown is None:
            self._shown = self._bar.add_task(description, total=steps, accuracy="")
        if self._bar.tasks[0].description != description:
            self._bar.reset(self._shown, total=steps, description=description)
        self._bar.update(self._shown, completed=done)
        if accuracy is not None:
            self._bar.update(self._shown, accuracy=accuracy)

    def _place(self, task: int) -> str:
        return f"task {task + 1}" + (f"/{self._tasks}" if self._tasks else "")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, text: str | Table) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def matrix_or_path(data: str, matrix: AccuracyMatrix, path: Path, score: str = "accuracy") -> Table | str:
    """Accuracies in percent, cells that were not measured empty; of a matrix too wide for 80 columns, where it is."""
    if len(matrix.tasks) > WIDEST:
        return f"{score} matrix ({data}): {shown(path)}"
    table = Table(title=f"{score} on {data} data, %", box=None, title_justify="left")
    table.add_column("after")
    for number in range(1, len(matrix.tasks) + 1):
        table.add_column(f"task {number}" if len(matrix.tasks) <= 6 else str(number), justify="right")
    for after, cells in zip(matrix.after, matrix.cells, strict=True):
        table.add_row(after, *("" if isnan(cell) else f"{100 * cell:.1f}" for cell in cells))
    return table


def _metrics_table(summary: RunSummary, score: str) -> Table:
    table = Table(box=None)
    table.add_column("metric")
    for data in summary.metrics:
        table.add_column(data, justify="right")
    for metric in METRICS:
        values = [metrics.get(metric) for metrics in summary.metrics.values()]
        if any(value is not None for value in values):
            spreads = [summary.spread.get(data, {}).get(metric) for data in summary.metrics]
            label = metric if metric == "task_inference_accuracy" else metric.replace("accuracy", score)
            table.add_row(label.replace("_", " "), *map(_with_spread, values, spreads))
    for metric in ERRORS:
        values = [metrics.get(metric) for metrics in summary.metrics.values()]
        if any(value is not None for value in values):
            spreads = [summary.spread.get(data, {}).get(metric) for data in summary.metrics]
            table.add_row(metric.replace("mse", "MSE").replace("_", " "), *map(_error, values, spreads))
    for task in next(iter(summary.metrics.values())).get("final_mse_per_task", {}):
        values = [metrics["final_mse_per_task"][task] for metrics in summary.metrics.values()]
        table.add_row(f"final MSE, {task.replace('_', ' ')}", *(_error(value, None) for value in values))
    if summary.compression_ratio is not None:
        table.add_row("compression ratio", f"{summary.compression_ratio:.3f}")
    return table


def _length(item: Started) -> str:
    if item.num_tasks is None:
        return f"tasks as they come, {item.iterations[0]:,} steps for the first"
    return f"{item.num_tasks} tasks, {sum(item.iterations):,} steps"


def _replicas(item: Started) -> str:
    first, count = item.experiment.training.seed, sum(item.groups)
    text = f"{count} replicas, seeds {first} to {first + count - 1}, trained together; each number is their mean"
    if len(item.groups) == 1:
        return text
    return f"{text}\nmemory has no room for all at once: each step takes them in {len(item.groups)} groups"


def _with_spread(value: float | None, spread: float | None) -> str:
    """A mean, with the sample standard deviation over replicas where there are several."""
    if value is None:
        return ""
    return f"{percent(value)} %" + (f" ± {percent(spread)} %" if spread is not None else "")


def _error(value: float | None, spread: float | None) -> str:
    """A mean squared error, with the sample standard deviation over replicas where there are several."""
    if value is None:
        return ""
    return f"{value:.3g}" + (f" ± {spread:.2g}" if spread is not None else "")


def _spread(replicas: tuple[tuple[float, ...], ...]) -> float | None:
    """Of the replicas' mean accuracies, one that diverged counting 0."""
    means = [_mean(accuracies) for accuracies in replicas]
    return stdev([0.0 if isnan(mean) else mean for mean in means]) if means else None


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / max(1, len(values))
