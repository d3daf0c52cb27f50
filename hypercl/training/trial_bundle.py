"""Several trials trained step by step together: runs that differ in scalars, each with its own folder and reports."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import torch

from hypercl.config import Experiment, assign, at_task
from hypercl.config.models import Imported
from hypercl.folder_lock import Fence
from hypercl.tasks import TaskStream, TestDataGuard, guard_test_data, open_leaking, open_stream
from hypercl.training.bundle import Bundle, together
from hypercl.training.checkpoint import Checkpoints
from hypercl.training.device import computing, resolve
from hypercl.training.folder import RunFolder, RunFolders
from hypercl.training.loop import Run
from hypercl.training.measuring import draw, write_measured
from hypercl.training.memory import even_groups, keep_to_share
from hypercl.training.own_metric import OwnMetric
from hypercl.training.parts import require_buildable
from hypercl.training.progress import Diverged, Divergence, Finished, Progress, Report, Row, Started
from hypercl.training.replicas import joined_rows, row_of
from hypercl.training.run_state import RunState, measured_of_all
from hypercl.training.run_summary import SUMMARY
from hypercl.training.running import as_begun, opened, run
from hypercl.training.summary import matrices_of, summary_of


@dataclass(eq=False)
class Member:
    """One run of a bundle."""

    experiment: Experiment
    folders: RunFolders
    reports: list[Report] = field(default_factory=list[Report])
    """Its reports so far, without their rows."""
    untold: Report | None = None
    """Its newest report with its rows."""
    seconds: float = 0.0
    """Its part of the time so far: that of the bundle, shared equally."""
    diverged: Diverged | None = None
    finished: Finished | None = None
    over: bool = False
    """Whether it takes no further part: it has ended, was stopped, or was interrupted."""
    items: deque[Progress | Diverged] = field(default_factory=deque[Progress | Diverged])
    """What it was not asked for yet."""

    @property
    def folder(self) -> RunFolder:
        """Its own."""
        return RunFolder(self.folders)


def run_together(
    experiments: Sequence[Experiment],
    folders: Sequence[RunFolders],
    *,
    leak: bool = False,
    reports_per_task: int = 4,
    processes: int = 1,
    metrics: Sequence[Imported] = (),
) -> list[Generator[Progress, None, None]]:
    """Several runs, each as from `run`, whose steps are those of one bundle: each is to its own run alone what a
    replica is to it.

    They are to be asked in turn. What one is asked for is computed for all; what none asks for any more is left out
    from the next report on. Each writes the checkpoints of a run of its own, so any of them can be resumed alone.

    Args:
        experiments: of each; they differ in keys that `hypercl.config.models.VARYING` names.
        folders: of each.
        leak: as for `run`, as is what follows.
        reports_per_task: reports for each task.
        processes: that share the device.
        metrics: of the user's own.
    """
    options: dict[str, Any] = {
        "leak": leak,
        "reports_per_task": reports_per_task,
        "processes": processes,
        "metrics": metrics,
    }
    pairs = list(zip(experiments, folders, strict=True))
    left = [Member(*pair) for pair in pairs if not (pair[1].folder / SUMMARY).exists()]
    if len(left) < 2:
        return [run(*pair, **options) for pair in pairs]
    views = _Views(left, **options)
    known = {member.folders: views.of(member) for member in left}
    return [known[pair[1]] if pair[1] in known else run(*pair, **options) for pair in pairs]


class _Views:
    """Each member's part of what the bundle yields."""

    def __init__(
        self,
        members: Sequence[Member],
        *,
        leak: bool,
        reports_per_task: int,
        processes: int,
        metrics: Sequence[Imported],
    ) -> None:
        self._members, self._processes = members, processes
        self._running: BundledRun | None = None
        self._error: Exception | None = None
        self._progress = self._of_all(leak, reports_per_task, metrics)

    def of(self, member: Member) -> Generator[Progress, None, None]:
        """One member's, as from `run`."""
        try:
            while True:
                while not member.items:
                    self._advance()
                item = member.items.popleft()
                if isinstance(item, Diverged):
                    raise item
                member.over = isinstance(item, Finished)
                yield item
        finally:
            if self._running is not None and self._error is None:
                self._running.leave(member)
            member.over = True
            if all(one.over for one in self._members):
                self._progress.close()

    def _advance(self) -> None:
        if self._error is not None:
            raise self._error
        try:
            next(self._progress)
        except StopIteration:
            raise RuntimeError("the run ended without a summary") from None
        except Exception as error:
            self._error = error
            raise

    def _of_all(self, leak: bool, reports_per_task: int, metrics: Sequence[Imported]) -> Generator[None, None, None]:
        """Goes on with all members, as `run` does with one."""
        first, opener = self._members[0], open_leaking if leak else open_stream
        with nullcontext(TestDataGuard()) if leak else guard_test_data() as guard:
            for member in self._members:
                member.experiment = resolve(as_begun(member.experiment, member.folder))
                member.folder.require_same(member.experiment)
            require_buildable(first.experiment, first.folders.import_paths)
            with computing(first.experiment.training) as device:
                keep_to_share(self._processes, device)
                stream = opened(opener, first.experiment, first.folders)
                for member in self._members:
                    member.folder.begin(member.experiment)
                own = [OwnMetric(one, first.folders.import_paths) for one in metrics]
                self._running = BundledRun(self._members, device, reports_per_task, stream, guard, own)
                with closing(self._running.progress(self._processes, fewer_at_once=False)) as progress:
                    yield from self._shared(self._running, progress)

    def _shared(self, running: "BundledRun", progress: Iterator[Progress]) -> Iterator[None]:
        try:
            for item in progress:
                running.share(item)
                yield
        except Diverged:
            running.share(None)
            yield


class BundledRun(Run):
    """As a run of replicas, whose reports, checkpoints and results are those of several runs.

    Args:
        members: the runs.
        device: where.
        reports_per_task: reports for each task.
        stream: that of all.
        guard: as of a run.
        own_metrics: of the user's own.
    """

    def __init__(
        self,
        members: Sequence[Member],
        device: torch.device,
        reports_per_task: int,
        stream: TaskStream,
        guard: TestDataGuard,
        own_metrics: Sequence[OwnMetric],
    ) -> None:
        first = members[0]
        place = (first.folders, first.folder, device, reports_per_task)
        super().__init__(_as_replicas(members), *place, stream, False, False, guard, own_metrics)
        others = [Fence(member.folders.folder) for member in members[1:]]
        self._fences = dict(zip(members, [self.fence, *others], strict=True))
        self.fence = _Fences(list(self._fences.values()))
        self._counted = monotonic()
        self._take(members)

    def share(self, item: Progress | None) -> None:
        """Puts what was yielded in line for each member, as its own; None where all have diverged."""
        for member in self._members:
            own = member.diverged or (None if item is None else self._own(item, member))
            if own is not None and not member.over:
                member.items.append(own)

    def leave(self, member: Member) -> None:
        """Leaves a member as a run is left: with a checkpoint, unless it has ended."""
        if not member.over and not member.diverged and self._state is not None:
            self._count_time()
            self._save_member(self._state, self._members.index(member))
        member.over = True

    def _take(self, members: Sequence[Member]) -> None:
        self._members = list(members)
        self._state: RunState | None = None
        self.experiment = _as_replicas(members)
        self.seeds = tuple(member.experiment.training.seed for member in members)

    def _own(self, item: Progress, member: Member) -> Progress | None:
        match item:
            case Started():
                return replace(
                    item,
                    experiment=member.experiment,
                    folder=member.folders.folder,
                    history=tuple(member.reports),
                    groups=(1,),
                    check_owner=self._fences[member].check,
                )
            case Report():
                return member.untold
            case Finished():
                return member.finished
            case _:
                return item

    def _resumed(self, processes: int) -> RunState | None:
        """The newest step at which all members have a checkpoint: one killed while writing them leaves some behind."""
        stores = [self._checkpoints(member) for member in self._members]
        for step in sorted(set[int].intersection(*(store.steps for store in stores)), reverse=True):
            found = [store.at(step, self.device, RunState.of) for store in stores]
            states = [state for state in found if state is not None]
            if len(states) == len(found):
                for member, state in zip(self._members, states, strict=True):
                    member.reports, member.untold, member.seconds = state.reports, state.untold, state.seconds
                return _joined(states, self.networks.groups(at_task(self.experiment, -1), processes))
        return None

    def _bundle(self, groups: Sequence[int], task: int | None = None) -> Bundle:
        experiments = [member.experiment for member in self._members]
        return self.networks.bundle(
            experiments if task is None else [at_task(one, task) for one in experiments], groups
        )

    def _started(self, run_state: RunState) -> Started:
        self._state, self._counted = run_state, monotonic()
        return super()._started(run_state)

    def _result(self) -> None:
        """A member that has one is not in the bundle."""

    def _freeze(self, run_state: RunState, news: Sequence[Divergence]) -> None:
        for one in news:
            self._members[one.replica].diverged = Diverged(one.iteration, one.value, one.task)
        super()._freeze(run_state, news)

    def _regrouped(self, run_state: RunState) -> bool:
        """Leaves out the members that take no further part."""
        places = [place for place, one in enumerate(self._members) if not one.over and not one.diverged]
        if len(places) == len(self._members):
            return False
        alone = [self._alone(run_state, place) for place in places]
        self._take([self._members[place] for place in places])
        now = _joined(alone, even_groups(len(places), max(run_state.groups)))
        vars(run_state).update(vars(now))
        self._state = run_state
        self.learner = self._bundle(run_state.groups)
        return True

    def _tell(self, run_state: RunState, report: Report) -> Report:
        told = run_state.tell(report)
        self._count_time()
        for place, member in enumerate(self._members):
            accuracies = told.replicas[place] if told.replicas else told.accuracies
            member.untold = replace(
                told,
                value=sum(accuracies) / len(self.tasks),
                accuracies=accuracies,
                seconds=member.seconds,
                rows=tuple(self._row_of(row, place) for row in told.rows),
                replicas=(),
                diverged=(),
                flops=None if told.flops is None else told.flops // len(self._members),
            )
            member.reports.append(replace(member.untold, rows=()))
        return told

    def _draw(self, run_state: RunState) -> None:
        if not self.experiment.tasks.regression and self.learner.replayed(run_state.state, 0, 1) is None:
            return
        met = self.tasks[: run_state.task + 1]
        for place, member in enumerate(self._members):
            alone = self.networks.bundle([member.experiment], [1])
            draw(member.folder, alone, self.learner.alone(run_state.state, place), met, member.experiment.tasks)

    def _save(self, run_state: RunState) -> None:
        self._count_time()
        for place, member in enumerate(self._members):
            if not member.over and not member.diverged:
                self._save_member(run_state, place)
        self.saved = monotonic()

    def _save_member(self, run_state: RunState, place: int) -> None:
        self._checkpoints(self._members[place]).save(run_state.iteration, self._alone(run_state, place).content())

    def _finish(self, run_state: RunState, before: Finished | None) -> Generator[Progress, None, Finished]:
        yield from ()
        self._count_time()
        for place, member in enumerate(self._members):
            own, folder, check = self._alone(run_state, place), member.folder, self._fences[member].check
            measured = {"validation": matrices_of(own)}
            check()
            written = write_measured(folder, measured)
            summary = summary_of(measured, own, self.sizes, member.experiment, member.seconds, self.own_metrics)
            summary.write(folder.path, check)
            member.finished = Finished(summary, written)
        last = self._members[-1].finished
        assert last is not None
        return last

    def _alone(self, run_state: RunState, place: int) -> RunState:
        """A member's run state, as a run of its own has it."""
        member = self._members[place]
        return replace(
            run_state,
            state=self.learner.alone(run_state.state, place),
            flops_a_step=_times(run_state.flops_a_step, 1, len(self._members)),
            **run_state.measured_of(place),
            diverged={},
            groups=[1],
            reports=member.reports,
            rows=[self._row_of(row, place) for row in run_state.rows],
            untold=member.untold,
            seconds=member.seconds,
        )

    def _row_of(self, row: Row, place: int) -> Row:
        """A member's row; the learning rate in that of all is the first one's."""
        own = row_of(row, place)
        if "lr" in own:
            first, rate = (
                at_task(self._members[one].experiment, int(row["task"]) - 1).training.optimizer.lr for one in (0, place)
            )
            own["lr"] = own["lr"] / first * rate
        return own

    def _checkpoints(self, member: Member) -> Checkpoints:
        return Checkpoints(member.folders.folder / "checkpoints", allowed=self._fences[member].check)

    def _count_time(self) -> None:
        now, before = monotonic(), self._counted
        self._counted = now
        running = [member for member in self._members if not member.over]
        for member in running:
            member.seconds += (now - before) / len(running)


class _Fences(Fence):
    """The right to write into all folders of a bundle."""

    def __init__(self, fences: Sequence[Fence]) -> None:
        self._fences = fences

    def check(self) -> None:
        for fence in self._fences:
            fence.check()


def _as_replicas(members: Sequence[Member]) -> Experiment:
    """The first one's experiment with a replica for each: sizes, memory and shapes are theirs."""
    return assign(members[0].experiment, {"training.replicas": len(members)})


def _joined(states: Sequence[RunState], groups: list[int]) -> RunState:
    """The state of a bundle of runs that are at the same step."""
    return replace(
        states[0],
        state=together([one.state for one in states], groups),
        groups=groups,
        flops_a_step=_times(states[0].flops_a_step, len(states), 1),
        **measured_of_all(states),
        rows=joined_rows([one.rows for one in states]),
        reports=list(states[0].reports),
        seconds=0.0,
    )


def _times(counts: dict[int, int], factor: int, parts: int) -> dict[int, int]:
    return {task: count * factor // parts for task, count in counts.items()}
