"""Which trials of a sweep can be trained together as one bundle (`search.bundle`)."""

from hypercl.config.models import VARYING, Experiment, ImportedMethod, Plateau, StabilityDecay, SweepFile, key_of
from hypercl.config.problems import Problem
from hypercl.config.reading import differences, resolved

_OF_ONE = ("seconds", "peak_memory_gib")
"""What is measured of a whole process, and so of no single trial of a bundle."""
_WHERE, _REMOVE = "search.bundle", "remove search.bundle"


def why_alone(experiment: Experiment, seeds: int | None = None) -> tuple[str, str]:
    """Why a trial has to be trained by itself, in words, and the key path that says so; '' twice where it has not.

    Args:
        experiment: the trial's.
        seeds: `search.seeds`, in the place of its own number of replicas.
    """
    training = experiment.training
    replicas = training.replicas if seeds is None else seeds
    if replicas > 1:
        path = "training.replicas" if seeds is None else "search.seeds"
        return f"the {replicas} seeds of a trial are trained together already", path
    if isinstance(training.schedule, Plateau):
        return "schedule plateau would lower each trial's learning rate at a different time", "training.schedule"
    if training.early_stopping is not None:
        return "early stopping would end each trial's tasks at a different time", "training.early_stopping"
    if isinstance(experiment.method, ImportedMethod):
        return "a method of your own knows one learning rate and strength at a time", "method"
    return "", ""


def are_alike(first: Experiment, second: Experiment) -> bool:
    """Whether two trials can be trained together: all that differs are scalars of `VARYING`."""
    return all(path in VARYING for path, *_ in differences(resolved(first), resolved(second)))


def bundle_problems(file: SweepFile) -> list[Problem]:
    """Why a sweep's trials cannot be trained together, where `search.bundle` wants that."""
    most = file.search.bundle
    if most == 1:
        return []
    if isinstance(file.protocol, StabilityDecay):
        message = "each attempt of protocol stability_decay follows from the one before"
        return [Problem(_WHERE, message, most, "1", _REMOVE)]
    if file.study.storage is not None:
        message = "a study in a database hands out one trial at a time to each of its drivers"
        return [Problem(_WHERE, message, most, "1", f"{_REMOVE}, or study.storage")]
    why, path = why_alone(file.experiment, file.search.seeds)
    found = [Problem(_WHERE, f"{why} ({path})", most, "1", f"{_REMOVE}, or change {path}")] if why else []
    if not any(key_of(entry) in VARYING for entry in file.space):
        message = "nothing that the space varies may differ within a bundle"
        allowed = f"1; more with a space that varies {', '.join(VARYING[1:])}"
        found.append(Problem(_WHERE, message, most, allowed, _REMOVE))
    measured = [goal.metric for goal in file.objective.goals] + list(file.constraints.measured)
    for metric in dict.fromkeys(one for one in measured if one in _OF_ONE):
        message = f"{metric} cannot be measured of one trial of a bundle, and this sweep judges trials by it"
        fix = f"{_REMOVE}, or {metric} from objective and constraints"
        found.append(Problem(_WHERE, message, most, "1", fix))
    return found
