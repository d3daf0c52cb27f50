"""A run in Weights & Biases."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from threading import Thread
from typing import Any

import wandb

from hypercl.config import resolved
from hypercl.files import write_text
from hypercl.formatting import first_line
from hypercl.loggers.jsonl import by_iteration, read_rows
from hypercl.loggers.measured import final_metrics, heat_map
from hypercl.loggers.spec import Logger, LoggerSpec
from hypercl.loggers.wandb_mode import cut_tags
from hypercl.training import Finished, Report, Row, RunSummary, Started, read_matrices

INIT_SECONDS = 10
FINISH_SECONDS = 30
"""How long the end of a run may wait for W&B; what has not arrived by then is in W&B's file, for `wandb sync`."""
SETTING = "setting"
"""Key of a run's config in W&B: equal of runs that differ in nothing but the seed."""
LOG = logging.getLogger(__name__)


@dataclass
class _Cursor:
    """wandb.json: what W&B holds of a run."""

    id: str
    sent: int = -1
    """The last iteration given to W&B."""
    certain: int = -1
    """The last iteration that a closed file or connection holds."""
    open_file: str = ""
    """W&B's folder being written, of which W&B may hold any part; '' where there is none."""
    finished: bool = False
    """Whether W&B holds the run to its end."""
    project: str = ""
    entity: str | None = None
    """Where W&B has it."""


class WandbLogger(Logger):
    """Each run or trial is a W&B run of its own, the same one over all restarts.

    Rows are logged at their `iteration`, which is every metric's axis. `wandb.json` in the run's folder holds the W&B
    run's id, which outlives a renamed folder, and what W&B is known to hold. W&B writes behind: what a killed process
    had sent may never have arrived (an offline file was found empty). So a resumed run sends the rows of metrics.jsonl
    again from the last place that is certain: the server's own step, or the last offline file that was closed; an
    offline file that was not is set aside. No step is there twice and none is missing.

    The result of a run never depends on W&B: where it cannot be reached the run goes offline, and any later error ends
    the logging, not the run. Both are said, and runs of the same sweep that begin later do not wait for W&B again.

    Args:
        spec: the W&B block, the mode decided before, and the run's names.
        folder: the run's folder.
    """

    def __init__(self, spec: LoggerSpec, folder: Path) -> None:
        self._spec = spec
        self._folder = folder
        self._cursor = folder / "wandb.json"
        self._state = _Cursor(spec.run_id)
        self._run: Any = None

    def started(self, item: Started) -> None:
        """Opens or resumes the W&B run; a run that W&B holds to its end is not opened again."""
        self._state = _read(self._cursor) or _Cursor(self._spec.run_id)
        if not self._state.finished:
            self._safely(lambda: self._open(item))

    def report(self, item: Report) -> None:
        """Logs the report's rows that were not sent before."""
        if self._run is not None:
            self._safely(lambda: self._log(item.rows))

    def finished(self, item: Finished) -> None:
        """Logs the accuracy matrices and writes the final metrics into the run's summary."""
        if self._run is not None:
            self._safely(lambda: _in_time(lambda: self._log_results(item)))

    def close(self, outcome: str) -> None:
        """Ends the W&B run: with exit code 0 where the run finished or was stopped, else 1, open to be resumed."""
        if self._run is not None:
            self._safely(lambda: _in_time(lambda: self._finish(outcome)))
            self._run = None

    def _open(self, item: Started) -> None:
        experiment = resolved(item.experiment)
        about = {
            "num_tasks": item.num_tasks,
            "iterations": list(item.iterations),
            "parameters": item.parameters,
            "target_parameters": item.target_parameters,
            "chunk_size": item.chunk_size,
            "device": item.device,
            "threads": item.threads,
        }
        config = {**experiment, "run": about, SETTING: _setting(experiment)}
        offline_file = self._spec.offline_file
        mode = "offline" if offline_file is not None and offline_file.exists() else self._spec.mode
        try:
            run = self._init(mode, config)
        except Exception as error:
            if mode == "offline":
                raise
            self._lost(error)
            # After a failed init its service holds the id as 'in use' (wandb 0.31): a new service frees it.
            wandb.teardown()
            run = self._init("offline", config)
        if run is not None:
            self._begin(run)
            self._log(read_rows(self._folder))

    def send_rest(self) -> None:
        """Sends what W&B lacks of a run that is over, from the run's own files: rows, final metrics, matrices.

        Raises:
            Exception: W&B's, where it cannot be reached.
        """
        self._state = _read(self._cursor) or _Cursor(self._spec.run_id)
        self._begin(self._init("online", {}))
        rows = read_rows(self._folder)
        rest = self._state.sent <= max((int(row["iteration"]) for row in rows), default=-1)
        self._log(rows)
        summary = RunSummary.read(self._folder)
        if summary is not None:
            self._log_results(Finished(summary, read_matrices(self._folder) if rest else {}))
        self._finish("interrupted" if summary is None else "finished")
        self._run = None

    def _begin(self, run: Any) -> None:
        """Takes over an opened W&B run, from the last row that it is certain to hold."""
        self._run = run
        self._set_aside()
        if run.resumed:
            self._state.sent = run.step - 1
        settings = self._spec.logging.wandb
        assert settings is not None
        self._state.project, self._state.entity = settings.project, settings.entity
        self._state.open_file = Path(run.dir).parent.name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_cursor()
        run.define_metric("iteration")
        run.define_metric("*", step_metric="iteration")

    def _lost(self, error: Exception) -> None:
        """Says that W&B does not answer, to a person and to the runs that begin later."""
        LOG.warning("W&B cannot be reached: logged offline from here on (%s)", first_line(error))
        if self._spec.offline_file is not None:
            write_text(self._spec.offline_file, first_line(error))

    def _set_aside(self) -> None:
        """A file that was not closed may hold any part of what was sent: what is not certain is sent again."""
        if not self._state.open_file:
            return
        torn = self._spec.results / "wandb" / self._state.open_file
        if torn.is_dir():
            torn.rename(torn.with_name(f"unfinished-{torn.name}"))
        self._state.sent, self._state.open_file = self._state.certain, ""

    def _init(self, mode: str, config: dict[str, Any]) -> Any:
        """The W&B run; None if an online run would continue offline, since `wandb sync` would send again what W&B has
        received. `hypercl upload` sends the rest."""
        settings = self._spec.logging.wandb
        assert settings is not None
        if mode == "offline" and self._state.open_file.startswith("run-"):
            return None
        self._spec.results.mkdir(parents=True, exist_ok=True)
        # The line on loaded credentials heeds the variable only, not Settings(silent=True) (wandb 0.31).
        os.environ.setdefault("WANDB_SILENT", "true")
        return wandb.init(
            project=settings.project,
            entity=settings.entity,
            id=self._state.id,
            name=self._spec.run_name,
            group=self._spec.group,
            job_type=self._spec.kind,
            tags=list(cut_tags(settings)),
            config=config,
            dir=str(self._spec.results),
            mode=mode,  # pyright: ignore[reportArgumentType]
            resume="allow" if mode == "online" else None,
            reinit="create_new" if self._spec.beside_others else "finish_previous",
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=INIT_SECONDS,
                finish_timeout=FINISH_SECONDS,
                finish_timeout_raises=True,
                save_code=False,
            ),
        )

    def _log(self, rows: Iterable[Row]) -> None:
        for iteration, values in by_iteration(rows, self._state.sent):
            self._run.log(values, step=iteration, commit=True)
            self._state.sent = iteration
        self._write_cursor()

    def _log_results(self, item: Finished) -> None:
        self._run.summary.update(final_metrics(item.summary))
        values: dict[str, Any] = {}
        for data, matrix in item.matrices.items():
            cells = [[None if isnan(cell) else cell for cell in row] for row in matrix.cells]
            rows: list[Any] = [[after, *row] for after, row in zip(matrix.after, cells, strict=True)]
            values[f"{data}/accuracy_matrix"] = wandb.Table(columns=["after", *matrix.tasks], data=rows)
            values[f"{data}/accuracy_matrix_map"] = wandb.Image(heat_map(data, matrix, item.summary))
        if values:
            # One step past the last row: W&B drops what comes at a step it has seen.
            self._run.log({"iteration": max(self._state.sent, 0), **values}, step=self._state.sent + 1)

    def _finish(self, outcome: str) -> None:
        self._run.summary["outcome"] = outcome
        self._run.finish(exit_code=0 if outcome in ("finished", "stopped") else 1)
        self._state.finished = outcome == "finished"
        self._state.certain, self._state.open_file = self._state.sent, ""
        self._write_cursor()

    def _safely(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            LOG.warning("W&B logging of this run ends here: %s", first_line(error))
            run, self._run = self._run, None
            if isinstance(error, TimeoutError):
                self._lost(error)
                _end_service()
                return
            if run is not None:
                with suppress(Exception):
                    run.finish(exit_code=1)

    def _write_cursor(self) -> None:
        write_text(self._cursor, json.dumps(asdict(self._state)))


def _setting(experiment: dict[str, Any]) -> str:
    """A short name of an experiment but for its seeds."""
    training = {key: value for key, value in experiment["training"].items() if key not in ("seed", "replicas")}
    text = json.dumps({**experiment, "training": training}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _in_time(action: Callable[[], None]) -> None:
    """Runs what asks W&B's server, and gives it up after a while: some of its requests have no time limit (wandb 0.31).

    Raises:
        TimeoutError: there was no answer; any other error passes through.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            action()
        except Exception as error:
            errors.append(error)

    asking = Thread(target=run, daemon=True)
    asking.start()
    asking.join(FINISH_SECONDS + 1)
    if asking.is_alive():
        raise TimeoutError(f"no answer within {FINISH_SECONDS} s")
    if errors:
        raise errors[0]


def _end_service() -> None:
    """Ends W&B's service without asking it (wandb 0.31): where its server did not answer it may wait for ever, and this
    process would wait for it. What it had not sent is in the run's own files."""
    connection: Any = wandb.setup()._connection
    service = connection and connection._proc
    if service is not None:
        service._process.kill()
        service._process.wait()  # as W&B does not where the service can no longer be told
    with suppress(Exception, SystemExit):  # it can no longer be told, and its exit code is taken for this process's
        wandb.teardown()


def _read(cursor: Path) -> _Cursor | None:
    try:
        return _Cursor(**json.loads(cursor.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
