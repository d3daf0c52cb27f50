"""The learning rate over the steps of one task."""

from math import cos, pi

from hypercl.config.models.training import Constant, Cosine, OneCycle, Plateau, Step

AnySchedule = Constant | Step | Cosine | OneCycle | Plateau


def lr_factor(schedule: AnySchedule, step: int, steps: int) -> float:
    """What the base learning rate is multiplied by at a step of a task, as far as the step alone decides.

    A warm-up multiplies what the schedule says by a straight line from nearly 0 to 1. What a plateau takes off is
    known to the `Monitor`, since it depends on accuracies.

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
