"""The protocol and the seeds of a search against the experiment."""

from hypercl.config.models import (
    SI,
    Ewc,
    Experiment,
    FirstK,
    FirstTask,
    Goal,
    HypernetMethod,
    OnlineEwc,
    StabilityDecay,
    SweepFile,
    key_of,
)
from hypercl.config.problems import Problem

RATE = "training.optimizer.lr"


def strength_path(experiment: Experiment) -> str | None:
    """The key of what weighs a method's protection, 0 being plain fine-tuning; None where there is no such number."""
    method = experiment.method
    if isinstance(method, HypernetMethod):
        return "method.beta"
    return "method.strength" if isinstance(method, Ewc | OnlineEwc | SI) else None


def by_task_problems(file: SweepFile) -> list[Problem]:
    """What of `experiment.by_task` would have no effect in a sweep, or cannot be cut to a part of the stream."""
    given = file.experiment.by_task
    if not given:
        return []
    where = "experiment.by_task"
    if isinstance(file.protocol, StabilityDecay):
        message = "protocol stability_decay finds the values for each task itself"
        return [Problem(where, message, dict(given), fix="remove it")]
    found: list[Problem] = []
    if isinstance(file.protocol, FirstK | FirstTask):
        message = f"protocol {file.protocol.name} tunes on a part of the stream, and these are values for all of it"
        found.append(Problem(where, message, dict(given), fix="use protocol {name: stream}, or give one value for all"))
    return found + [
        Problem(f"space.{path}", "experiment.by_task has a value for each task, so a drawn value has no effect",
                fix=f"take {path} out of the space, or out of by_task")
        for path in file.space
        if key_of(path) in given
    ]  # fmt: skip


def stability_problems(file: SweepFile) -> list[Problem]:
    """What protocol `stability_decay` has no use for: its trials are attempts at one task, planned by the protocol."""
    if not isinstance(file.protocol, StabilityDecay):
        return []
    return [*_decayed_strength(file), *_space(file), *_search(file), *_judging(file)]


def _decayed_strength(file: SweepFile) -> list[Problem]:
    method = file.experiment.method
    if strength_path(file.experiment) is None:
        message = "protocol stability_decay halves a strength, and this method has none that is plain fine-tuning at 0"
        with_one = "hnet, hnet_ent, hnet_tir, ewc, online_ewc, si"
        return [Problem("experiment.method.name", message, method.name, with_one, "use another method, or protocol")]
    if isinstance(method, HypernetMethod) and method.train_earlier_embeddings:
        message = "at strength 0, which protocol stability_decay begins with, earlier embeddings cannot be trained"
        return [Problem("experiment.method.train_earlier_embeddings", message, True, fix="set it to false")]
    return []


def _space(file: SweepFile) -> list[Problem]:
    strength = strength_path(file.experiment)
    if strength is None:
        return []
    about = {strength: "its highest value is where the strength begins", RATE: "the learning rates that are tried"}
    found = [
        Problem("space", f"protocol stability_decay needs {path} here: {why}", fix=f"add {path}: {example}")
        for (path, why), example in zip(about.items(), ("{choice: [10]}", "{log_uniform: [1e-4, 1e-2]}"), strict=True)
        if path not in file.space
    ]
    for path, one in file.space.items():
        if path not in about:
            message = f"protocol stability_decay varies {strength} and {RATE} alone, from task to task"
            fix = "take it out of the space, or tune it first under another protocol"
            found.append(Problem(f"space.{path}", message, fix=fix))
        elif one.kind == "equals" or one.when:
            message = "protocol stability_decay tries its values in an order of its own"
            found.append(Problem(f"space.{path}", message, fix="give a range or a choice, without conditions"))
        elif path == strength and not any(_may_begin(value) for value in one.values):
            found.append(Problem(f"space.{path}", "the strength begins above 0", list(one.values), "more than 0"))
    return found


def _may_begin(strength: object) -> bool:
    """Whether a strength is above 0; of what is no number, others tell."""
    return not isinstance(strength, int | float) or strength > 0


def _search(file: SweepFile) -> list[Problem]:
    """Race and several goals are refused where they are checked."""
    search = file.search
    found: list[Problem] = []
    planned = "under protocol stability_decay the protocol itself says what is tried next"
    if search.sampler != "tpe" or search.startup_trials != 10:
        setting = "sampler" if search.sampler != "tpe" else "startup_trials"
        found.append(Problem(f"search.{setting}", planned, getattr(search, setting), fix="remove it"))
    if search.include_base:
        found.append(Problem("search.include_base", planned, True, fix="remove it"))
    if search.enqueue:
        found.append(Problem("search.enqueue", planned, list(search.enqueue), fix="remove it"))
    return found


def _judging(file: SweepFile) -> list[Problem]:
    found: list[Problem] = []
    if file.pruner.name != "none":
        message = "an attempt of protocol stability_decay ends with its task, and none is pruned"
        found.append(Problem("pruner.name", message, file.pruner.name, "none", "set it to none, or remove it"))
    if file.final.settings != 1:
        message = "protocol stability_decay finds one setting, a value for each task"
        found.append(Problem("final.settings", message, file.final.settings, "1", "remove it"))
    goals, only = file.objective.goals, Goal("validation/final_accuracy", "maximize")
    if len(goals) == 1 and goals[0] != only:
        message = "stability_decay judges each attempt by its accuracy on one task, by no other metric"
        fix = "remove it: every metric is reported"
        found.append(Problem("objective", message, goals[0].metric, only.metric, fix))
    return found


def protocol_problems(file: SweepFile) -> list[Problem]:
    """What cannot be tuned, or would leave nothing to report on."""
    return [*_first_k(file), *_strength(file), *_seeds(file)]


def _first_k(file: SweepFile) -> list[Problem]:
    protocol, tasks = file.protocol, file.experiment.tasks.num_tasks or 0
    if not isinstance(protocol, FirstK) or protocol.k < tasks:
        return []
    message = f"tuning on the first {protocol.k} of {tasks} tasks leaves none to report on"
    fix = f"give at most {tasks - 1}, or another protocol" if tasks > 1 else "use another protocol"
    return [Problem("protocol.k", message, protocol.k, fix=fix)]


def _strength(file: SweepFile) -> list[Problem]:
    """There is nothing to protect in a first task: what was found for the strength would be found by chance."""
    protocol, path = file.protocol, strength_path(file.experiment)
    alone = isinstance(protocol, FirstTask) or (isinstance(protocol, FirstK) and protocol.k == 1)
    if not alone or path is None or path not in map(key_of, file.space):
        return []
    message = "it has no effect when tuned on the first task alone: it acts from the second task on"
    fix = "take it out of the space, or use protocol first_k with k of 2 or more"
    return [Problem(f"space.{path}", message, fix=fix)]


def _seeds(file: SweepFile) -> list[Problem]:
    seeds, replicas = file.search.seeds, file.experiment.training.replicas
    if seeds is None or replicas in (1, seeds):
        return []
    message = f"experiment.training.replicas is {replicas}, and both are the seeds of a trial"
    return [Problem("search.seeds", message, seeds, fix="leave out experiment.training.replicas")]
