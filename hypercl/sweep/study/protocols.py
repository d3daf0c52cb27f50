"""On what a sweep tunes and on what it reports: streams, seeds and orders that searching, selecting and reporting never
share."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from hypercl.config import ConfigError, Experiment, SweepFile, UserError, assign, lookup, resolved
from hypercl.config.models import FirstK, FirstTask, StabilityDecay, TestLeak, Transfer, is_list, shortened, task_count
from hypercl.config.reading import validated

APART = 1_000_000
"""Seeds of two roles are at least so far apart."""


class Role(IntEnum):
    """What a run is for. Its number tells its seeds and orders: `first + role * APART` and those that follow."""

    SEARCH = 0
    SELECTION = 1
    REPORT = 2


def search_config(file: SweepFile) -> SweepFile:
    """The same file with the experiment that its trials train: as from `full_config`, of the lengths in
    `search.fidelity` a fraction. Whatever looks at trials (scale of progress, pruner, report) takes the file in this
    form.

    Args:
        file: as written.
    """
    full = full_config(file)
    lengths = {path: shortened(lookup(full.experiment, path), share) for path, share in file.fidelity.items()}
    count = lengths.pop("tasks.num_tasks", None)
    changes = lengths | (_first_tasks(full.experiment, count) if count is not None else {})
    return full.model_copy(update={"experiment": assign(full.experiment, changes)}) if changes else full


def full_config(file: SweepFile) -> SweepFile:
    """The same file with the experiment on which settings are selected, at full length.

    Under `first_k` and `first_task` that has the first tasks only, and `search.seeds` are its replicas.
    """
    protocol, experiment = file.protocol, file.experiment
    changes: dict[str, Any] = {}
    if isinstance(protocol, FirstK | FirstTask):
        changes |= _first_tasks(experiment, protocol.k if isinstance(protocol, FirstK) else 1)
    if file.search.seeds is not None:
        changes["training.replicas"] = file.search.seeds
    return file.model_copy(update={"experiment": assign(experiment, changes)}) if changes else file


def tasks_left_out(file: SweepFile) -> dict[str, Any]:
    """Key path -> value that puts back the tasks which `search.fidelity` takes from the trials; {} where it takes none.

    Args:
        file: as written.
    """
    if "tasks.num_tasks" not in file.fidelity:
        return {}
    tasks = resolved(full_config(file).experiment.tasks)
    return {f"tasks.{key}": tasks[key] for key in ("num_tasks", "classes_per_task") if key in tasks}


def _first_tasks(experiment: Experiment, count: int) -> dict[str, Any]:
    listed = getattr(experiment.tasks, "classes_per_task", None)
    changes: dict[str, Any] = {"tasks.num_tasks": count}
    if is_list(listed):
        changes["tasks.classes_per_task"] = list(listed[: experiment.tasks.skip + count])
    return changes


def race_config(file: SweepFile, settings: Mapping[str, Any], start: int, count: int) -> Experiment:
    """A setting on further seeds of the search's own kind of data: what a race trains.

    Args:
        file: as written.
        settings: key path -> value, as from `hypercl.sweep.study.space.settings_of`.
        start: place of the first seed among those for selecting.
        count: number of seeds, one bundle.
    """
    experiment = full_config(file).experiment
    return assign(experiment, {**settings, **_fresh(experiment, Role.SELECTION, start, count)})


def final_config(file: SweepFile, settings: Mapping[str, Any], start: int = 0, count: int = 1) -> Experiment:
    """A setting on fresh seeds of what is reported on.

    Args:
        file: as written.
        settings: key path -> value.
        start: place of the first seed among those for reporting.
        count: number of seeds in the bundle, which share an order of the stream.

    Raises:
        UserError: protocol `transfer` names a stream that cannot be, or of another shape.
    """
    experiment = reported_config(file)
    fresh = _fresh(experiment, Role.REPORT, start, count)
    if isinstance(file.protocol, FirstK):
        fresh.pop("tasks.order_seed", None)  # its tasks are others already
    return assign(experiment, {**settings, **fresh})


def reported_config(file: SweepFile) -> Experiment:
    """The experiment as written, on the stream that is reported on.

    Raises:
        UserError: protocol `transfer` names a stream that cannot be, or of another shape.
    """
    protocol, experiment = file.protocol, file.experiment
    if isinstance(protocol, FirstK):
        skip, count = experiment.tasks.skip + protocol.k, (experiment.tasks.num_tasks or 0) - protocol.k
        return assign(experiment, {"tasks.skip": skip, "tasks.num_tasks": count})
    return _elsewhere(file, protocol) if isinstance(protocol, Transfer) else experiment


def _elsewhere(file: SweepFile, protocol: Transfer) -> Experiment:
    own, given = resolved(file.experiment), dict(protocol.to)
    same = given.get("name", own["tasks"]["name"]) == own["tasks"]["name"]
    kept = own["tasks"] if same else {"scenario": own["tasks"]["scenario"]}
    other, problems = validated(Experiment, {**own, "tasks": {**kept, **given}}, {})
    if other is None:
        raise ConfigError("protocol.to", problems)
    from hypercl.tasks import shape_of  # and so torch, which `--status` needs not wait for

    here, there = shape_of(file.experiment.tasks), shape_of(other.tasks)
    if (here.input_shape, here.scenario) != (there.input_shape, there.scenario):
        raise UserError(
            f"protocol.to: its stream has inputs {list(there.input_shape)} in scenario {there.scenario}, that of the "
            f"experiment {list(here.input_shape)} in {here.scenario}\n    fix:     name a stream of the same shape"
        )
    if other.tasks == file.experiment.tasks:
        raise UserError("protocol.to: it is the stream that is tuned on\n    fix:     protocol: {name: stream}")
    return other


def _fresh(experiment: Experiment, role: Role, start: int, count: int) -> dict[str, Any]:
    """Seeds, and where the stream has one an order, that no other role has."""
    place = role * APART + start
    found: dict[str, Any] = {"training.seed": experiment.training.seed + place, "training.replicas": count}
    order = getattr(experiment.tasks, "order_seed", None)
    return found if order is None else {**found, "tasks.order_seed": order + place}


def has_orders(experiment: Experiment) -> bool:
    """Whether the stream's order or permutations are drawn, so that each fresh seed gets a fresh one."""
    return getattr(experiment.tasks, "order_seed", None) is not None


def protocol_in_words(file: SweepFile) -> str:
    """The protocol in words: on what is tuned, on what reported.

    Args:
        file: as it was asked.
    """
    protocol, tasks = file.protocol, file.experiment.tasks
    fresh = "fresh seeds and orders" if has_orders(file.experiment) else "fresh seeds"
    held_out, count = f"{tasks.validation:.0%} of their training data, held out", task_count(tasks)
    match protocol:
        case FirstK(k=k):
            return f"first_k: tuned on the first {k} of {count} tasks, {held_out}; reported on the other {count - k}"
        case FirstTask():
            return f"first_task: tuned on the first of {count} tasks, {held_out}; reported on all, {fresh}"
        case Transfer(to=to):
            return f"transfer: tuned on {count} tasks, {held_out}; reported on another stream ({_pairs(to)}), {fresh}"
        case StabilityDecay():
            return f"stability_decay: tuned task by task, on {held_out}; reported on the whole stream, {fresh}"
        case TestLeak():
            return f"test_leak: TUNED ON TEST DATA of {count} tasks, to measure what that does; no result to report"
        case _:
            return f"stream: tuned on {count} tasks, {held_out}; reported on their test data, {fresh}"


def leaks(file: SweepFile) -> bool:
    """Whether the sweep tunes on test data."""
    return isinstance(file.protocol, TestLeak)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
