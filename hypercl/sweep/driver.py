"""A sweep from its file to its results: `sweep(file, options)`."""

import math
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hypercl.config import Experiment, SweepFile, UserError, check_sweep
from hypercl.config.models import imports_of
from hypercl.control import AtOnce, Control
from hypercl.exit_codes import ExitCode
from hypercl.files import remove_partials
from hypercl.folder_lock import folder_lock
from hypercl.formatting import data_option, shown, typed
from hypercl.loggers import Mode, decide_mode, sync_hint
from hypercl.machine import machine_fault
from hypercl.sweep.checks import check_disk, check_own_code, check_reachable
from hypercl.sweep.ending import ending_of, progress_of
from hypercl.sweep.final import FinalStep, check_final
from hypercl.sweep.jobs import STOP_FILE, WANDB_OFFLINE, Jobs
from hypercl.sweep.options import SweepOptions, SweepResult
from hypercl.sweep.page import PAGE, LivePage
from hypercl.sweep.planner import planner_of
from hypercl.sweep.race import check_races, race_due, race_in_words, search_stages, stage_kind
from hypercl.sweep.results import (
    TrialsTable,
    best_rows,
    give_best,
    importances,
    none_feasible,
    ranked_rows,
    several,
    write_best,
    write_report,
    write_sweep,
    write_trials,
)
from hypercl.sweep.stored_runs import StoredRuns
from hypercl.sweep.study import (
    JOURNAL,
    PRICE,
    Bounds,
    SweepStudy,
    begun_by,
    check_passed,
    check_preference,
    check_run_folders,
    check_same,
    check_study,
    database_fault,
    earlier_of,
    final_config,
    keep_earlier,
    mend_journal,
    note_gpus,
    pareto_front,
    read_sweep,
    search_config,
)
from hypercl.sweep.workers import (
    Engine,
    Machine,
    Nodes,
    Slots,
    attached_ray,
    fit_slots,
    local_ray,
    this_machine,
)
from hypercl.user_code import keep_code

if TYPE_CHECKING:
    from hypercl.sweep.workers import Heartbeat, RunSession

RAY_FOLDER = ".ray"
SECONDS_TO_STOP = 30.0
"""How long trials may take to write their checkpoints after a first signal."""
SECONDS_AT_ONCE = 10.0
"""How long a second signal may take to end the sweep."""
SECONDS_TO_DRAW = 20.0
"""A report of a thousand trials takes about half of it on a core of 2.5 GHz."""


def sweep(file: SweepFile, given: SweepOptions, engine: Engine | None = None) -> SweepResult:
    """Runs a sweep, or resumes the one in the folder.

    Args:
        file: what is asked.
        given: where, on what, for how long.
        engine: what trains a trial; a test's own.

    Raises:
        UserError: a mistake in the file, a folder in use or of another sweep, data or a cluster that is not there.
    """
    check_sweep(file, given.source)
    tuned = search_config(file)
    check_reachable(tuned)
    check_own_code(tuned, given)
    check_final(file)
    check_preference(file, given.prefer)
    given.gpu_budget.check()
    final_config(file, {})
    with folder_lock(given.folder):
        return _Session(file, given, engine or Engine()).run()


class _Session:
    """From one command to its exit, under the folder's lock."""

    def __init__(self, file: SweepFile, given: SweepOptions, engine: Engine) -> None:
        self.began = time.monotonic()
        self.asked, self.file, self.given, self.engine = file, search_config(file), given, engine
        self.folder, self.listener = given.folder, given.listener
        self.name = file.name or self.folder.name
        self.logged: Mode = "disabled"
        self.reporting = False
        self.nodes: Nodes | None = None
        self.planner = planner_of(self.file)
        self.control = Control(self.folder / STOP_FILE, say=given.listener.said, grace=SECONDS_AT_ONCE)
        self.control.seconds_to_stop = SECONDS_TO_STOP
        if given.time_limit_s is not None:
            self.control.seconds_after_deadline = room_to_stop(given.time_limit_s)
            self.control.deadline = self.began + given.time_limit_s - self.control.seconds_after_deadline
        self.bounds = Bounds(self.file, engine.sizes, given.import_paths, self.asked)

    def run(self) -> SweepResult:
        check_same(self.folder, self.asked)
        check_study(self.folder, self.asked, self.given.join)
        check_disk(self.given)
        check_run_folders(self.asked, self.given.source)
        self._tidy()
        remove_partials(self.folder)
        mended = mend_journal(self.folder / JOURNAL)
        if mended:
            self.listener.said(mended)
        with self.control.signals():
            try:
                if self.given.address is None and self.given.final not in ("alone", "again"):
                    self.engine.prepare(self.file.experiment, self.given)
                with suppress(AtOnce), self._ray() as there:
                    self.slots = self._slots(there)
                    self.logged = self._logged() if self._work_left() else "disabled"
                    if self._searches() and self.control.reason is None:
                        self._on_nodes(self.file.experiment)
                    self._tune()
                    self._report()
            except Exception as error:
                if lost := database_fault(error):
                    raise UserError(lost) from error
                fault = machine_fault(error)
                if fault is None or not hasattr(self, "final"):
                    raise
                self.control.machine_failed(fault)
            finally:
                if hasattr(self, "study"):
                    self.study.leave()
                if hasattr(self, "stored"):
                    self.stored.end()
                self._tidy()
                self.listener.close()
        return self._result()

    @contextmanager
    def _ray(self) -> Generator[Machine]:
        if self.given.address is not None:
            with attached_ray(self.given.address, self.control):
                self.nodes = Nodes(self.folder, self.listener.said, self.asked.study.run_folders)
                self.nodes.require_shared()
                there = self.nodes.size()
                self._open(self._slots(there))
                yield there
            return
        there = this_machine(self.given.cpus, self.given.gpus)
        self._open(self._slots(there))
        if not self._work_left() or self.control.reason == "budget":
            yield there
            return
        with local_ray(there, self.folder / "ray_logs", self.control):
            yield there

    def _slots(self, there: Machine) -> Slots:
        slots = fit_slots(self.file.resources, there, self.given.max_concurrent, self.nodes)
        self.given.gpu_budget.require_gpus(slots.gpus)
        return slots

    def _open(self, slots: Slots) -> None:
        self.slots = slots
        for note in slots.notes:
            self.listener.said(note)
        write_sweep(self.folder, self.asked, self.name, self.given.command)
        replace_copy = not any(file.stat().st_size for file in self.folder.glob("trials/*/metrics.jsonl"))
        replace_copy &= self.asked.study.run_folders is None or not (self.folder / JOURNAL).exists()
        kept = keep_code(
            self.file.experiment, self.given.import_paths, self.folder, replace_copy, imports_of(self.asked)
        )
        self.import_paths = tuple(
            dict.fromkeys(keep_code(final_config(self.asked, {}), kept, self.folder, replace_copy))
        )
        self.page = LivePage(self.import_paths)
        most = self.planner.most_trials
        keep_earlier(self.folder, earlier_of(self.folder, self.file))
        self.study = SweepStudy(self.folder / JOURNAL, self.name, self.asked, slots.threads, self.import_paths)
        self.stored = StoredRuns(self.study, self.asked, self.folder, on_nodes=self.nodes is not None)
        self._count_gpus(slots.gpus)
        check_races(self.study.record())
        if self.study.joined and self.given.final in ("alone", "again"):
            where = begun_by(self.study.optuna.user_attrs)
            raise UserError(f"the study was begun elsewhere, and its final step belongs there: {where}")
        self.final = FinalStep(self.study, "no" if self.study.joined else self.given.final)
        if self.given.prefer is not None:
            if self._finished():
                check_passed(self.file, self.study.trials(), self.given.prefer)
            self.study.set_prefer(self.given.prefer)
        best = pareto_front(self.file, self.study.trials())[: None if several(self.file.objective) else 1]
        front = [(trial.number, trial.values) for trial in best]
        self.listener.begun(most, self.study.trained, front)

    def _count_gpus(self, share: float) -> None:
        """Counts on from what earlier commands have used; where that is all, nothing is trained."""
        from hypercl.sweep.workers import GpuMeter

        note_gpus(self.study.optuna, share)
        budget, known = self.given.gpu_budget, self.study.optuna.user_attrs
        if budget.price is not None and known.get(PRICE) != budget.price:
            self.study.optuna.set_user_attr(PRICE, budget.price)
        self.meter = GpuMeter(self.study, share, budget, self.control)
        self.control.limit = budget.used_up(self.meter.hours()) if budget.limited else ""
        if self.control.limit:
            self.control.stop_asking("budget")

    def _finished(self) -> bool:
        over = self.study.trained >= self.file.search.trials or self.planner.over(self.study.trials())
        return over and (self.study.joined or not race_due(self.study.record()))

    def _searches(self) -> bool:
        """Whether there is anything left to search."""
        return self.given.final not in ("alone", "again") and not self._finished()

    def _work_left(self) -> bool:
        return self._searches() or self.final.due

    def _tune(self) -> None:
        """The search, followed by the confirming stage, or paused and followed by races."""
        if not self._searches() or self.control.reason is not None:
            return
        if self.study.joined:
            self._search(self.file.search.trials)
            return
        for point in search_stages(self.study.record()):
            if self.study.trained < point:
                self._search(point)
            exhausted = self.study.trained < point
            if self.control.reason is None and race_due(self.study.record()):
                self._race(self.file.search.trials if exhausted else point)
            if self.control.reason is not None or exhausted:
                return

    def _on_nodes(self, experiment: Experiment) -> None:
        """Has every node of a cluster open the data before a run needs it there."""
        if self.nodes is not None:
            check = self.engine.data_check(experiment, self.given, self.import_paths, self.stored.store)
            fetch = f"hypercl fetch {typed(Path(self.given.source or 'FILE'))}{data_option(self.given.data_dir)}"
            self.nodes.require_data(check, fetch, self.control)

    def _search(self, trials: int) -> None:
        """Searches until this number of trials is trained."""
        from hypercl.sweep.workers import StudyScheduler, StudySearcher, tune_study

        until = self.file.search.model_copy(update={"trials": trials})
        file = self.file.model_copy(update={"search": until})
        searcher = StudySearcher(
            file, self.study, self.planner, self.bounds, self.control, self.listener, self._jobs.of_trial,
            lambda: self.slots.room, self.slots.enlarge,
        )  # fmt: skip
        scheduler = StudyScheduler(self.file, self.study, searcher, self.listener)
        storage = self.folder / RAY_FOLDER
        tune_study(self.engine.trainable(), self.slots, searcher, scheduler, self._heartbeat(), storage)

    def _heartbeat(self) -> "Heartbeat":
        from hypercl.sweep.workers import Heartbeat

        write = partial(self._write, TrialsTable(self.file))
        return Heartbeat(
            self.study, self.control, self.listener, write, self.meter, self.stored.say_stop, self.slots.share_by
        )  # fmt: skip

    def _write(self, table: TrialsTable) -> None:
        """What people may look at while the sweep runs."""
        write_trials(self.folder, self.study, table)
        record = self.study.record()
        best = record.best()
        promise = record.promised(best) if best is not None and not several(self.file.objective) else None
        if best is not None and promise is not None:
            self.listener.promised(best.number, promise.values[0], promise.interval)
        if not self.page.due:
            return
        try:
            self.page.write(record)
        except OSError:  # the disk: as for any other file
            raise
        except Exception as error:
            self.page.stop()
            self.listener.said(f"report.html is not written while the sweep runs ({type(error).__name__}: {error})")

    def _race(self, point: int) -> None:
        """The race or confirming stage that is due after this number of trained trials."""
        from hypercl.sweep.race import Racing

        Racing(self.study, self._runs(stage_kind(self.file))).go(point)

    def _report(self) -> None:
        """The final step, once the search has ended."""
        if self.control.reason is not None or not self.final.due:
            return
        self.reporting = True
        experiment = final_config(self.asked, {})
        if self.given.address is None:
            self.engine.prepare(experiment, self.given)
        self._on_nodes(experiment)
        self.final.go(self._runs("final step"), lambda one: self.engine.sizes(one, self.import_paths))

    def _runs(self, what: str) -> "RunSession":
        """What trains runs beside the study, `what` being the word for them."""
        from hypercl.sweep.workers import RunSession

        search, storage = self.file.search, self.folder / RAY_FOLDER
        heartbeat, trainable = self._heartbeat(), self.engine.trainable()
        return RunSession(
            what, trainable, self.slots, self.control, self.listener, heartbeat, self._jobs.of_run, storage,
            search.retries, search.max_failed, self.stored.bring,
        )  # fmt: skip

    @property
    def _jobs(self) -> Jobs:
        return Jobs(
            self.file, self.given, self.name, self.study, self.stored, self.slots, self.import_paths,
            on_nodes=self.nodes is not None, logged=self.logged,
        )  # fmt: skip

    def _logged(self) -> Mode:
        """Whether W&B is online, asked once; disabled without W&B."""
        wandb = self.file.logging.wandb
        if wandb is None:
            return "disabled"
        mode, why = decide_mode(wandb, self.given.offline)
        self.listener.said(why)
        return mode

    def _tidy(self) -> None:
        """Removes what only a running session needs."""
        if self.logged == "online" and (self.folder / WANDB_OFFLINE).exists():
            self.logged = "offline"
        for file in (self.folder / STOP_FILE, self.folder / WANDB_OFFLINE, *self.folder.glob(".shared-*")):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.folder / RAY_FOLDER, ignore_errors=True)

    def _result(self) -> SweepResult:
        if self.control.reason == "machine":
            return self._after_fault()
        write_trials(self.folder, self.study)
        record, reported = self.study.record(), self.final.result
        best_file = write_best(record, self.name, reported)
        searching, parts = self._searches(), (self.study, self.planner, self.control, self.bounds, self.final)
        code, message = ending_of(*parts, searching=searching, reporting=self.reporting)
        told = [
            f"{race_in_words(race)}; {shown(self.folder / race.kind / f'{race.kind}.md')}" for race in record.races[-1:]
        ]
        data = data_option(self.given.data_dir)
        if several(self.file.objective) or record.prefer:
            told += [f"{name}: {text}" for name, text in best_rows(record)]
        if self.study.joined:
            where = begun_by(self.study.optuna.user_attrs)
            told.append(f"What follows the search belongs to the driver that began the study: {where}")
        later = [] if self.study.joined else self.final.said(data)
        lines = [message, *told, *later, *self._drawn(code)]
        if (self.folder / PAGE).exists():
            lines.append(f"See it on one page: {shown(self.folder / PAGE)}")
        if best_file is not None:
            which = "winner" if code is ExitCode.DONE else "best so far"
            which = "closest to the bounds" if none_feasible(self.file, record.ranked()) else which
            lines.append(f"Train the {which}: hypercl train {typed(best_file)}{data}")
        best = record.best()
        lines += self._tell_wandb(code, message, best_file)
        hint = sync_hint(self.folder) if self.file.logging.wandb is not None else None
        return SweepResult(
            exit_code=code,
            message="\n".join([*lines, *([hint] if hint else [])]),
            counts=record.counts(),
            best=best.number if best else None,
            best_value=best.values[0] if best else None,
            table=ranked_rows(record),
            final=reported,
        )

    def _after_fault(self) -> SweepResult:
        """Said without a file being written: the disk may be what failed."""
        record = self.study.record()
        best = record.best()
        message = f"stopped: {self.control.machine}\n{progress_of(self.study)}; rerun the same command to resume"
        self._tell_wandb(self.control.exit_code, message, None)
        return SweepResult(
            exit_code=self.control.exit_code,
            message=message,
            counts=record.counts(),
            best=best.number if best else None,
            best_value=best.values[0] if best else None,
            table=ranked_rows(record),
            final=None,
        )

    def _tell_wandb(self, code: ExitCode, message: str, best_file: Path | None) -> list[str]:
        record = self.study.record()
        best = record.best()
        spec = self._jobs.loggers("trial", str(best.number if best is not None else 0))
        return give_best(record, spec, best_file, code, message)

    def _drawn(self, code: ExitCode) -> list[str]:
        """Draws the report; only its page, which takes a moment, where the process may be killed soon. A failure there
        is a line, not the sweep's end."""
        limit = self.given.time_limit_s
        left = math.inf if limit is None else self.began + limit - time.monotonic()
        soon = code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED) or left < SECONDS_TO_DRAW
        stands = "done" if code is ExitCode.DONE else "to be resumed"
        if self.control.at_once or (soon and not self.page.begun):
            return []
        try:
            record = read_sweep(self.folder)
            if soon:
                self.page.write(record, stands)
                return []
            found = importances(record, self.import_paths)
            self.page.write(record, stands, found, math.inf)
            write_report(record, self.folder / "figures", found)
        except Exception as error:
            return [f"The figures are not drawn ({error}); once that is mended: hypercl report {typed(self.folder)}"]
        return []


def room_to_stop(limit: float) -> float:
    """Seconds before a time limit at which trials are told to write their checkpoints."""
    return min(60.0, max(10.0, limit / 10), limit / 2)
