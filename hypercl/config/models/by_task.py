"""`by_task`: settings that change along the stream, a value for each task."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from hypercl.config.models.section import Section
from hypercl.config.problems import did_you_mean

CHANGING = ("training.optimizer.lr", "method.beta", "method.strength", "method.generator.beta")
"""What may change from task to task: numbers that shape no network, no state and no stream."""

_Model = TypeVar("_Model", bound=Section)


def checked(by_task: Mapping[str, Sequence[float]], sections: Mapping[str, Section]) -> None:
    """Refuses values for each task that an experiment cannot have.

    Args:
        by_task: key path -> a value for each task.
        sections: `tasks`, `method` and `training` of the experiment.

    Raises:
        ValueError: a path that cannot change or that the experiment does not have, a wrong count, a value that the key
            refuses.
    """
    there = [path for path in CHANGING if _owner(path, sections) is not None]
    for path, values in by_task.items():
        if path not in CHANGING:
            hint = did_you_mean(path, there)
            raise ValueError(
                f"{path} cannot change from task to task, only {' and '.join(there)}{f': {hint}' if hint else ''}"
            )
        owner = _owner(path, sections)
        if owner is None:
            name = getattr(sections["method"], "name", "")
            raise ValueError(f"method {name} has no {path}; with it {' and '.join(there)} can change from task to task")
        tasks = getattr(sections["tasks"], "num_tasks", None)
        if tasks is None:
            raise ValueError(
                f"{path} has a value for each task, but the number of tasks is unknown: give tasks.num_tasks"
            )
        if len(values) != tasks:
            raise ValueError(f"{path} needs a value for each task: {len(values)} are given, the stream has {tasks}")
        for task, value in enumerate(values, start=1):
            try:
                type(owner).model_validate({**dict(owner), path.rpartition(".")[2]: value})
            except ValidationError as error:
                reason = error.errors()[0]["msg"].removeprefix("Value error, ").replace("Input should", "it should")
                raise ValueError(f"{path} cannot be {value:g} at task {task}: {reason}") from None


def at_task(experiment: _Model, task: int) -> _Model:
    """The experiment as it is while a task is learned: each key of `by_task` at its value for it.

    Args:
        experiment: as it is written.
        task: its place, from 0; -1 is the last.
    """
    by_task: Mapping[str, Sequence[float]] = getattr(experiment, "by_task", {})
    for path, values in by_task.items():
        experiment = _with(experiment, path.split("."), values[task])
    return experiment


def _with(section: _Model, keys: Sequence[str], value: Any) -> _Model:
    """A copy with another value, which was checked before."""
    key, *inner = keys
    return section.model_copy(update={key: _with(getattr(section, key), inner, value) if inner else value})


def _owner(path: str, sections: Mapping[str, Section]) -> Section | None:
    """The section that has a key; None where the experiment has no such key."""
    first, *between, last = path.split(".")
    node: Any = sections[first]
    for part in between:
        node = getattr(node, part, None)
    return node if isinstance(node, Section) and last in type(node).model_fields else None
