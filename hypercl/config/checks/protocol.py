"""The protocol and the seeds of a search against the experiment."""

from hypercl.config.checks.stability_decay import strength_path
from hypercl.config.models.protocol import FirstK, FirstTask
from hypercl.config.models.sweep import SweepFile
from hypercl.config.problems import Problem


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
    if not alone or path is None or path not in file.space:
        return []
    message = "tuned on the first task alone it does nothing: it acts from the second task on"
    fix = "take it out of the space, or use protocol first_k with k of 2 or more"
    return [Problem(f"space.{path}", message, fix=fix)]


def _seeds(file: SweepFile) -> list[Problem]:
    seeds, replicas = file.search.seeds, file.experiment.training.replicas
    if seeds is None or replicas in (1, seeds):
        return []
    message = f"experiment.training.replicas is {replicas}, and both are the seeds of a trial"
    return [Problem("search.seeds", message, seeds, fix="leave out experiment.training.replicas")]
