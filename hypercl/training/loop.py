"""One run: a learner over a stream of tasks, as a plain generator of what it reports."""

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, isnan, nan

import torch

from hypercl.config import Experiment, UserError, at_task
from hypercl.config.models import ImportedTarget
from hypercl.folder_lock import Fence
from hypercl.methods import Batch, State, StepInfo
from hypercl.tasks import (
    BundledBatches,
    Samples,
    Split,
    Task,
    TaskStream,
    TestDataGuard,
    steps_in_epochs,
)
from hypercl.tensors import copied, numbers
from hypercl.training.bundle import Bundle, in_halves
from hypercl.training.capture import capturing, rate_on
from hypercl.training.checkpoint import Checkpoints
from hypercl.training.evaluate import Evaluation, Measured
from hypercl.training.flops import step_
from hypercl.training.folder import RunFolder, RunFolders
from hypercl.training.kept import KeptStates
from hypercl.training.measuring import draw, extend, held_out, measuring, of_those_left, row_of_measured, write_measured
from hypercl.training.memory import halved
from hypercl.training.own_metric import OwnMetric
from hypercl.training.parts import Networks, seeds_of, sizes
from hypercl.training.progress import Diverged, Divergence, Finished, Progress, Report, Row, Started, Tick
from hypercl.training.replicas import mean, rows, without
from hypercl.training.run_state import RunState
from hypercl.training.summary import Matrices, matrices_of, summary_of
from hypercl.training.unchanged import digest, require_unchanged
from hypercl.training.unread_losses import UnreadLosses
from hypercl.training.validation_monitor import ValidationMonitor, lr_factor

LOG = logging.getLogger(__name__)
LOSS_ROWS_PER_TASK = 50
SECONDS_PER_TICK = 1.0
SECONDS_PER_CHECKPOINT = 120.0


def report_steps(steps: int, reports: int) -> dict[int, int]:
    """After which steps of a task to report: step -> the report's index within the task, 1 .. reports.

    A task of fewer steps than reports skips indices, never the last.
    """
    return {ceil(steps * index / reports): index for index in range(1, reports + 1)}


class Run:
    """A run between its first step and its summary; `hypercl.training.run_together` is one of several trials."""

    def __init__(
        self,
        experiment: Experiment,
        place: RunFolders,
        folder: RunFolder,
        device: torch.device,
        reports_per_task: int,
        stream: TaskStream,
        test: bool,
        keep: bool,
        guard: TestDataGuard,
        own_metrics: Sequence[OwnMetric],
    ) -> None:
        self.experiment, self.folder, self.device = experiment, folder, device
        self.reports_per_task, self.stream, self.guard = reports_per_task, stream, guard
        self.test, self.keep = test, keep
        self.open_ended = experiment.tasks.num_tasks is None
        self.seeds, self.import_paths = seeds_of(experiment), place.import_paths
        self.own_metrics = own_metrics
        self.fence = Fence(place.folder)
        self.kept = KeptStates(place.folder, self.fence.check)
        self.checkpoints = Checkpoints(place.folder / "checkpoints", allowed=self.fence.check)
        self.digests: list[str] = []
        self.tasks = [self._met(index) for index in range(self.stream.shape.num_tasks)]
        self._build()
        own = isinstance(experiment.target, ImportedTarget)
        self.fingerprint = self.networks.target.fingerprint() if own else torch.empty(0)
        self.began = time.monotonic()
        self.saved = self.ticked = self.began

    def progress(self, processes: int, fewer_at_once: bool) -> Generator[Progress, None, None]:
        resumed = self._resumed(processes)
        groups = resumed.groups if resumed else self.networks.groups(at_task(self.experiment, -1), processes)
        if fewer_at_once:
            if resumed:
                resumed.state = in_halves(resumed.state, groups)
                resumed.best = resumed.best and in_halves(resumed.best, groups)
                resumed.groups = halved(groups)
            groups = halved(groups)
        self.learner = self._bundle(groups)
        run_state = resumed or RunState(self.learner.init(), groups=groups)
        for task in range(len(run_state.spent) + 1):
            self._comes(task, run_state)
        self.began -= run_state.seconds
        yield self._started(run_state)
        measured = self._result()
        if measured and (not self.test or "test" in measured.summary.metrics):
            yield measured
            return
        self._require_unchanged(run_state)
        if self.test:
            self.kept.require(run_state.task, finished=measured is not None)
        if run_state.untold:
            yield run_state.untold
        try:
            if not run_state.matrices:
                limit = self.experiment.training.report_samples
                untrained = held_out(self.tasks, limit)
                found = yield from self._measure(run_state, run_state.state, untrained, len(self.tasks))
                run_state.matrices = [[row] for row in found.accuracies]
                run_state.inferred = [[row] for row in found.inferred or []]
                run_state.mse = [[row] for row in found.mse or []]
            while self._comes(run_state.task, run_state):
                yield from self._learn(run_state)
            result = yield from self._finish(run_state, measured)
        except GeneratorExit:
            self._save(run_state)
            raise
        yield result

    def _result(self) -> Finished | None:
        """What the finished run measured; a damaged one is made again from the checkpoint.

        Raises:
            UserError: it is damaged, and it held what was measured on test data.
        """
        try:
            return self.folder.result()
        except UserError as error:
            if self.test:
                raise
            LOG.warning("%s; it is made again from the checkpoint", str(error).partition("\n")[0])
            return None

    def _require_unchanged(self, run_state: RunState) -> None:
        require_unchanged(run_state.data, self.digests, run_state.target, self.fingerprint)
        run_state.data, run_state.target = self.digests, numbers(self.fingerprint)

    def _build(self) -> None:
        """The networks for the tasks that have come."""
        self.sizes = sizes(self.experiment, self.import_paths, self.stream.shape)
        self.networks = Networks.of(self.experiment, self.device, self.import_paths, self.stream.shape)
        self.steps = tuple(self._steps_of(task) for task in self.tasks)

    def _comes(self, task: int, run_state: RunState) -> bool:
        """Whether there is such a task; of a stream of unknown length it may be read only now."""
        if task < len(self.tasks) or not self.open_ended:
            return task < len(self.tasks)
        try:
            self.tasks.append(self._met(task))
        except IndexError:
            return False
        self._build()
        self.learner = self._bundle(run_state.groups)
        return True

    def _resumed(self, processes: int) -> RunState | None:
        """Where the run was left; None at its beginning."""
        return self.checkpoints.newest(self.device, RunState.of)

    def _bundle(self, groups: Sequence[int], task: int | None = None) -> Bundle:
        """The learner of all replicas in groups, with the settings of a task."""
        return self.networks.bundle(self.experiment if task is None else at_task(self.experiment, task), groups)

    def _regrouped(self, run_state: RunState) -> bool:
        """Whether the replicas are others than before a report."""
        return False

    def _learn(self, run_state: RunState) -> Iterator[Progress]:
        """The rest of the task that the run state is in."""
        task, steps = run_state.task, self.steps[run_state.task]
        training = at_task(self.experiment, task).training
        if self.experiment.by_task:
            self.learner = self._bundle(run_state.groups, task)
        if run_state.step == 0:
            run_state.state = self.learner.start_task(run_state.state, task)
            run_state.notes, run_state.best = {}, None
        monitor = ValidationMonitor(training, steps, run_state.notes)
        context = self.learner.task_context(run_state.state, task)
        batches = [self._batches(index) for index in self.learner.trains_on(task)]
        reports = report_steps(steps, self.reports_per_task)
        every = max(1, steps // LOSS_ROWS_PER_TASK)

        def batches_at(step: int) -> list[Batch]:
            return [batch(step) for batch in batches]

        captured = capturing(self.learner, self.experiment, batches_at, self.device, run_state.capture)
        unread = UnreadLosses(len(self.seeds), run_state.diverged)
        while run_state.task == task:
            if monitor.due(run_state.step):
                self._read(run_state, unread)
                yield from self._check(run_state, monitor)
                continue
            if self._evaluation_is_due(run_state, steps):
                self._read(run_state, unread)
                yield from self._evaluate(run_state)
                continue
            due = self.reports_per_task if monitor.stopped else reports.get(run_state.step, 0)
            if due and self.reports_per_task * task + due > run_state.reported:
                finite = self.learner.finite(self.learner.inference_state(run_state.state))
                self._read(run_state, unread, finite)
                yield from self._report(run_state, due)
                if self._regrouped(run_state):
                    return
                continue
            factor = lr_factor(training.schedule, run_state.step, steps) * monitor.factor
            lr = training.optimizer.lr * factor
            info = StepInfo(task, run_state.step, rate_on(self.device, lr))
            learner = captured if run_state.is_counted(task) else self.learner  # a recording cannot be counted
            losses = step_(run_state, learner, context, batches_at(run_state.step), info)
            if run_state.diverged:
                self.learner.blank_(run_state.state, run_state.diverged)
            run_state.step += 1
            run_state.iteration += 1
            unread.see(losses, run_state.iteration)
            if run_state.step in reports or run_state.step % every == 0 or monitor.due(run_state.step):
                unread.keep(self._row(run_state), losses, lr)
            if time.monotonic() - self.saved > SECONDS_PER_CHECKPOINT:
                self._read(run_state, unread)
                self._save(run_state)
            if self._tick_is_due():
                self._read(run_state, unread)
                yield Tick(task, run_state.step, run_state.iteration)

    def _read(self, run_state: RunState, unread: UnreadLosses, finite: torch.Tensor | None = None) -> None:
        """Waits for the device: losses since the last reading become rows, replicas that diverged are set to zero.

        Raises:
            Diverged: none is left.
        """
        found, news = unread.read(run_state.task, finite, run_state.iteration)
        run_state.rows += found
        self._freeze(run_state, news)

    def _freeze(self, run_state: RunState, news: Sequence[Divergence]) -> None:
        """Sets replicas that diverged to zero and records them; they take no further part.

        Raises:
            Diverged: none is left.
        """
        for divergence in news:
            name = f"seed {self.seeds[divergence.replica]}: " if len(self.seeds) > 1 else ""
            run_state.diverged[divergence.replica] = f"{name}{divergence}"
        if len(run_state.diverged) == len(self.seeds):
            last = max(news, key=lambda divergence: divergence.iteration)
            raise Diverged(last.iteration, last.value, last.task, len(self.seeds))
        if news:
            self.learner.blank_(run_state.state, run_state.diverged)

    def _check(self, run_state: RunState, monitor: ValidationMonitor) -> Iterator[Progress]:
        """Tells the monitor the validation accuracy on what is being trained, and keeps the best state."""
        limit, trained = self.experiment.training.report_samples, self.learner.trains_on(run_state.task)
        splits = {index: self.tasks[index].validation.first(limit, seed=0) for index in trained}
        measured = yield from self._measure(run_state, run_state.state, splits, run_state.task + 1)
        (found,) = measured.accuracies
        accuracy = sum(found) / len(found)
        run_state.rows[-1]["check/accuracy"] = accuracy
        if monitor.see(run_state.step, accuracy):
            run_state.best = copied(self.learner.inference_state(run_state.state))

    def _evaluation_is_due(self, run_state: RunState, steps: int) -> bool:
        """Whether the tasks met are evaluated before the next step (`training.evaluate_every`)."""
        every = self.experiment.training.evaluate_every
        wanted = every is not None and run_state.step < steps and run_state.step % every == 0
        return wanted and not run_state.is_evaluated

    def _evaluate(self, run_state: RunState) -> Iterator[Progress]:
        """A further point of the curves inside tasks, unless it is there already."""
        if run_state.is_evaluated:
            return
        met = held_out(self.tasks[: run_state.task + 1], self.experiment.training.report_samples)
        measured = yield from self._measure(run_state, run_state.state, met, len(met))
        found = of_those_left(measured, run_state.diverged).accuracies
        run_state.points.append({"task": run_state.task, "step": run_state.step, "accuracies": found})
        if not run_state.rows or run_state.rows[-1]["iteration"] < run_state.iteration:
            run_state.rows.append(self._row(run_state))
        each = {f"within_task/task_{number}": row for number, row in enumerate(zip(*found, strict=True), start=1)}
        run_state.rows[-1] |= rows(each, instead=0.0)

    def _report(self, run_state: RunState, index: int) -> Iterator[Progress]:
        """Measures, saves a checkpoint that covers what was measured, and only then tells it."""
        self.fence.check()
        task, learned = run_state.task, index == self.reports_per_task
        if learned and run_state.best is not None:
            run_state.state = {**run_state.state, **run_state.best}
        if learned and self.experiment.training.evaluate_every is not None:
            yield from self._evaluate(run_state)
        met = held_out(self.tasks[: task + 1], None if learned else self.experiment.training.report_samples)
        measured = yield from self._measure(run_state, run_state.state, met, len(met), calibration=learned)
        found = of_those_left(measured, run_state.diverged)
        progress = [sum(accuracies) / len(self.tasks) for accuracies in found.accuracies]
        report = Report(
            step=self.reports_per_task * task + index,
            value=mean(progress, instead=0.0),
            task=task,
            iteration=run_state.iteration,
            accuracies=tuple(mean(each, instead=0.0) for each in zip(*found.accuracies, strict=True)),
            learned=learned,
            seconds=time.monotonic() - self.began,
            replicas=tuple(map(tuple, found.accuracies)) if len(progress) > 1 else (),
            diverged=tuple(run_state.diverged.values()),
            flops=run_state.flops,
        )
        run_state.rows[-1] |= {"step": report.step} | rows({"progress": progress}, instead=0.0) | row_of_measured(found)
        if learned:
            data = Samples(self.stream.task(task).to(self.device))
            run_state.state = self.learner.end_task(run_state.state, task, data)
            self.guard.check()
            self._draw(run_state)
            extend((run_state.matrices, run_state.inferred, run_state.mse), found, len(self.tasks))
            run_state.calibration = without(measured.calibration or [], run_state.diverged, nan)
            run_state.spent.append(run_state.step)
            run_state.task, run_state.step, run_state.best = task + 1, 0, None
            if self.test or self.keep:
                self.kept.keep(task, self.learner.inference_state(run_state.state))
        reported = self._tell(run_state, report)
        self._save(run_state)
        yield reported

    def _tell(self, run_state: RunState, report: Report) -> Report:
        """Stores a report; returns it with its rows."""
        return run_state.tell(report)

    def _draw(self, run_state: RunState) -> None:
        """What is replayed of the tasks learned, as a picture; of a regression its functions."""
        draw(self.folder, self.learner, run_state.state, self.tasks[: run_state.task + 1], self.experiment.tasks)

    def _finish(self, run_state: RunState, before: Finished | None) -> Generator[Progress, None, Finished]:
        """Summary and matrices; test data is read here and nowhere else. What was measured `before` on validation data
        gains what is measured on test data."""
        for matrix in (*run_state.matrices, *run_state.inferred, *run_state.mse):
            for row in matrix:  # of a stream of unknown length
                row += [nan] * (len(self.tasks) - len(row))
        measured = {"validation": matrices_of(run_state)}
        if self.test:
            measured["test"] = yield from self._test_matrices(run_state)
        self.fence.check()
        written = write_measured(self.folder, measured)
        seconds = time.monotonic() - self.began
        summary = summary_of(measured, run_state, self.sizes, self.experiment, seconds, self.own_metrics)
        if before is not None:
            found = summary
            summary = replace(before.summary, metrics=found.metrics, seeds=found.seeds, spread=found.spread)
        summary.write(self.folder.path, self.fence.check)
        if self.test or not self.keep:
            self.kept.remove()
        return Finished(summary, written)

    def _test_matrices(self, run_state: RunState) -> Generator[Progress, None, Matrices]:
        """Each replica's; nan where its validation matrix has it, once it diverged."""
        tests = [self.stream.test(task.index).to(self.device) for task in self.tasks]
        matrices = Matrices([[] for _ in self.seeds], [[] for _ in run_state.inferred], [[] for _ in run_state.mse])
        for after in range(len(self.tasks) + 1):
            state = self.kept.after(after - 1, self.device) if after else self.learner.init()
            splits = dict(enumerate(tests[:after] if after else tests))
            last = after == len(self.tasks)
            found = yield from self._measure(run_state, state, splits, len(splits), calibration=last)
            matrices.calibration = found.calibration or []
            gone = [place for place, known in enumerate(run_state.matrices) if isnan(known[after][0])]
            extend((matrices.accuracies, matrices.inferred, matrices.mse), of_those_left(found, gone), len(self.tasks))
        return matrices

    def _measure(
        self, run_state: RunState, state: State, splits: Mapping[int, Split], met: int, calibration: bool = False
    ) -> Generator[Progress, None, Measured]:
        """Each replica's accuracy on a split of some tasks, by the tasks' places, among `met` tasks."""
        tasks, scenario = [self.tasks[index] for index in splits], self.stream.shape.scenario
        what = Evaluation(tasks, list(splits.values()), scenario, calibration)
        steps = measuring(self.learner, state, what, met)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            if self._tick_is_due():
                yield Tick(min(run_state.task, len(self.tasks) - 1), run_state.step, run_state.iteration)

    def _tick_is_due(self) -> bool:
        if time.monotonic() - self.ticked <= SECONDS_PER_TICK:
            return False
        self.ticked = time.monotonic()
        return True

    def _started(self, run_state: RunState) -> Started:
        return Started(
            experiment=self.experiment,
            folder=self.folder.path,
            num_tasks=None if self.open_ended else len(self.tasks),
            iterations=self.steps,
            parameters=self.sizes.parameters,
            target_parameters=self.sizes.target_parameters,
            device=self.experiment.training.device,
            threads=int(self.experiment.training.threads),
            history=tuple(run_state.reports),
            chunk_size=self.sizes.chunk_size,
            groups=tuple(run_state.groups),
            check_owner=self.fence.check,
        )

    def _save(self, run_state: RunState) -> None:
        run_state.seconds = time.monotonic() - self.began
        self.checkpoints.save(run_state.iteration, run_state.content())
        self.saved = time.monotonic()

    def _met(self, index: int) -> Task:
        """A task as it is evaluated: its training data stays where it is."""
        task = self.stream.task(index)
        self.digests.append(digest(task))
        return replace(task, validation=task.validation.to(self.device))

    def _batches(self, index: int) -> BundledBatches:
        task, size = self.stream.task(index).to(self.device), self.experiment.training.batch_size
        return BundledBatches(task, size, self.seeds)

    def _steps_of(self, task: Task) -> int:
        training = self.experiment.training
        if training.iterations is not None:
            return training.iterations
        return steps_in_epochs(len(task.train), training.batch_size, training.epochs or 1)

    def _row(self, run_state: RunState) -> Row:
        return {"iteration": run_state.iteration, "task": run_state.task + 1, "task_iteration": run_state.step}
