"""The stretch of a stream that a trial trains itself: one task, as an attempt of protocol `stability_decay`."""

from hypercl.config import UserError
from hypercl.files import write_bytes
from hypercl.sweep.study import NEW_TASK
from hypercl.sweep.workers.job import TrialJob
from hypercl.training import Report, Started


class TaskSegment:
    """Where a run starts, and what of it is the trial's own.

    Any other trial trains the whole stream: then all of this changes nothing.

    Args:
        job: the trial's.
    """

    def __init__(self, job: TrialJob) -> None:
        self._job, self._last = job, False
        self._before: Report | None = None
        self._newest: Report | None = None

    def take_over(self) -> None:
        """Puts the parent's newest checkpoint and its rows into the trial's folder, unless the trial has begun there.

        Raises:
            UserError: the parent's checkpoint is gone.
        """
        parent, folder = self._job.parent, self._job.folder
        if parent is None or (folder / "config.yaml").exists():
            return
        found = sorted((parent / "checkpoints").glob("step-*.pt"))
        if not found:
            raise UserError(
                f"{parent} holds no checkpoint any more, and this attempt starts from it\n"
                "    fix:     restore the folder from a copy, or start over under another --name"
            )
        rows = parent / "metrics.jsonl"
        if rows.exists():
            write_bytes(folder / rows.name, rows.read_bytes())
        write_bytes(folder / "checkpoints" / found[-1].name, found[-1].read_bytes())

    def started(self, item: Started) -> None:
        """Takes note of what was told before, by the parents and by this trial."""
        own = self._job.until_task
        self._newest = item.history[-1] if item.history else None
        self._before = next((each for each in reversed(item.history) if own is not None and each.task < own), None)
        self._last = own is not None and item.num_tasks is not None and own == item.num_tasks - 1

    def reported(self, item: Report) -> None:
        """Takes note of a report."""
        self._newest = item

    @property
    def over(self) -> bool:
        """Whether the trial's own task is learned, and others of the stream are not its own."""
        newest = self._newest
        return newest is not None and newest.learned and newest.task == self._job.until_task and not self._last

    @property
    def why(self) -> str:
        """What is to be said of replicas that diverged."""
        return lost_in_words(self._newest.diverged if self._newest else ())

    def spent(self, item: Report) -> tuple[float, int | None]:
        """The trial's own seconds and floating-point operations up to a report, without those of its parents."""
        before = self._before
        if before is None or before.step > item.step:
            return item.seconds, item.flops
        known = item.flops is not None and before.flops is not None
        return item.seconds - before.seconds, (item.flops or 0) - (before.flops or 0) if known else None

    @property
    def metrics(self) -> dict[str, float]:
        """The trial's own result: accuracy on its task, and its own cost instead of the whole run's."""
        newest = self._newest
        if newest is None or self._job.until_task is None:
            return {}
        seconds, flops = self.spent(newest)
        counted = {} if flops is None else {"flops": float(flops)}
        return {NEW_TASK: newest.accuracies[-1], "seconds": seconds, **counted}


def lost_in_words(diverged: tuple[str, ...]) -> str:
    """What to say of the replicas that diverged; '' where none did."""
    return f"counted as the worst, since diverged: {'; '.join(diverged)}" if diverged else ""
