"""Checks inside a task: what its validation accuracy says about the learning rate and about going on."""

from collections.abc import Set
from math import ceil, cos, pi

from hypercl.config.models import Constant, Cosine, OneCycle, Plateau, Step, Training

Notes = dict[str, float | int]
"""What the checks of one task have found; plain data, part of every checkpoint."""


class ValidationMonitor:
    """The plateau schedule and early stopping of one task: given an accuracy at fixed steps, it says what follows.

    Each has checks of its own, at most as many as its settings say; a step at which both are due is read once.

    Args:
        training: the section with `schedule` and `early_stopping`.
        steps: steps of the task.
        notes: what earlier checks of this task found, empty at its beginning; brought up to date in place.
    """

    def __init__(self, training: Training, steps: int, notes: Notes) -> None:
        self._plateau = training.schedule if isinstance(training.schedule, Plateau) else None
        self._stopping = training.early_stopping
        self._lowest = min(1.0, self._plateau.min_lr / training.optimizer.lr) if self._plateau else 1.0
        self._for_rate = check_steps(steps, self._plateau.checks) if self._plateau else frozenset[int]()
        self._for_stop = check_steps(steps, self._stopping.checks) if self._stopping else frozenset[int]()
        self._notes = notes

    @property
    def steps(self) -> Set[int]:
        """After which steps of the task its validation accuracy is to be measured."""
        return self._for_rate | self._for_stop

    @property
    def checked(self) -> int:
        """The step of the newest check; 0 before the first."""
        return int(self._notes.get("checked", 0))

    @property
    def factor(self) -> float:
        """What the plateau makes of the learning rate."""
        return max(self._plateau.factor ** self._notes.get("cuts", 0), self._lowest) if self._plateau else 1.0

    @property
    def stopped(self) -> bool:
        """Whether training of the task shall end."""
        return self._stopping is not None and self._notes.get("waited", 0) >= self._stopping.patience

    def due(self, step: int) -> bool:
        """Whether the accuracy after this step is wanted and was not given yet."""
        return step in self.steps and step > self.checked

    def see(self, step: int, accuracy: float) -> bool:
        """Takes note of an accuracy.

        Returns:
            Whether the state after this step is the best that early stopping has seen: the one to put back later.
        """
        self._notes["checked"] = step
        if step in self._for_rate:
            self._adapt(accuracy)
        if step not in self._for_stop:
            return False
        best = accuracy > self._notes.get("best", -1.0)
        self._notes["waited"] = 0 if best else self._notes["waited"] + 1
        if best:
            self._notes["best"] = accuracy
        return best

    def _adapt(self, accuracy: float) -> None:
        """As torch's ReduceLROnPlateau: a check during the cooldown does not count against patience."""
        assert self._plateau is not None
        notes = self._notes
        better = accuracy > notes.get("plateau_best", -1.0)
        flat = 0 if better else notes.get("flat", 0) + 1
        cooling = notes.get("cooling", 0)
        if cooling:
            cooling, flat = cooling - 1, 0
        if flat > self._plateau.patience:
            notes["cuts"] = notes.get("cuts", 0) + 1
            cooling, flat = self._plateau.cooldown, 0
        notes |= {"flat": flat, "cooling": cooling}
        if better:
            notes["plateau_best"] = accuracy


def check_steps(steps: int, checks: int) -> frozenset[int]:
    """After which steps of a task to check: `checks` of them, equally far apart, the last one at its end."""
    return frozenset(ceil(steps * index / checks) for index in range(1, checks + 1))


AnySchedule = Constant | Step | Cosine | OneCycle | Plateau


def lr_factor(schedule: AnySchedule, step: int, steps: int) -> float:
    """What the base learning rate is multiplied by at a step of a task, as far as the step alone decides.

    A warm-up multiplies what the schedule says by a straight line from nearly 0 to 1. What a plateau takes off is
    known to the `ValidationMonitor`, since it depends on accuracies.

    Args:
        schedule: the section `training.schedule`.
        step: steps of this task already done, 0 .. steps - 1.
        steps: steps of the task in all.
    """
    done = step / steps
    if isinstance(schedule, OneCycle):
        return _one_cycle(schedule, step, steps)
    warm = min(1.0, (step + 1) / (schedule.warmup * steps)) if schedule.warmup else 1.0
    if isinstance(schedule, Step):
        rungs = zip(schedule.milestones, schedule.factors, strict=True)
        passed = [factor for milestone, factor in rungs if done >= milestone]
        return warm * (passed[-1] if passed else 1.0)
    if isinstance(schedule, Cosine):
        return warm * _between(1.0, schedule.floor, done)
    return warm


def _one_cycle(schedule: OneCycle, step: int, steps: int) -> float:
    """The arithmetic of torch's OneCycleLR: the peak lies before step rise * steps, the end at the last step."""
    peak = schedule.rise * steps - 1
    if step < peak:
        return _between(schedule.start, 1.0, step / peak)
    return _between(1.0, schedule.end, (step - peak) / (steps - 1 - peak))


def _between(first: float, last: float, done: float) -> float:
    """Half a cosine from the first value to the last."""
    return last + (first - last) * (1 + cos(pi * done)) / 2
