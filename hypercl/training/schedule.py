"""The learning rate over the steps of one task."""

from math import cos, pi

from hypercl.config.training import Constant, Cosine, Step


def lr_factor(schedule: Constant | Step | Cosine, step: int, steps: int) -> float:
    """What the base learning rate is multiplied by at a step of a task.

    Args:
        schedule: the section `training.schedule`.
        step: steps of this task already done, 0 .. steps - 1.
        steps: steps of the task in all.
    """
    done = step / steps
    if isinstance(schedule, Step):
        rungs = zip(schedule.milestones, schedule.factors, strict=True)
        passed = [factor for milestone, factor in rungs if done >= milestone]
        return passed[-1] if passed else 1.0
    if isinstance(schedule, Cosine):
        return schedule.floor + (1 - schedule.floor) * (1 + cos(pi * done)) / 2
    return 1.0
