"""What no section can see alone: the space against the experiment, the search against the space."""

from collections.abc import Sequence
from pathlib import Path

from hypercl.config.check_search import search_problems
from hypercl.config.check_values import value_problems
from hypercl.config.conditions import allowed, contexts, needs, ordered
from hypercl.config.expression import expression
from hypercl.config.load import read, text_of
from hypercl.config.paths import known_paths, lookup
from hypercl.config.problems import ConfigError, Problem, did_you_mean
from hypercl.config.sweep import SweepFile

_CLOSED = {
    "training.seed": "seeds are not settings: a space that varies them would pick the luckiest",
    "training.device": "the device is given by --device and the resources",
    "training.threads": "threads belong to the resources of a trial",
    "training.report_samples": "all trials must be measured alike",
}


def load_sweep(file: str | Path, overrides: Sequence[str] = ()) -> SweepFile:
    """As `load`, for a file that is to be swept: the space is checked too, and everything is told at once.

    Raises:
        ConfigError: with every mistake.
    """
    model, problems, rest = read(text_of(file), str(file), overrides)
    if rest is not None:
        told = {problem.path.removeprefix("experiment.").removeprefix("space.") for problem in problems}
        found = sweep_problems(rest) if rest.space or "space" not in told else []
        problems += [problem for problem in found if problem.path.removeprefix("space.") not in told]
    if model is None or problems:
        raise ConfigError(str(file), problems)
    return model


def check_sweep(file: SweepFile, source: str) -> None:
    """Refuses a space that cannot be searched.

    Raises:
        ConfigError: with every mistake: an unknown path, a bound that the experiment refuses, a base outside of
            its distribution, conditions that cannot hold, a grid over a continuous range, an empty space.
    """
    problems = sweep_problems(file)
    if problems:
        raise ConfigError(source, problems)


def sweep_problems(file: SweepFile) -> list[Problem]:
    """What is wrong with a space and with the search over it."""
    if not file.space:
        fix = "add for example\n             space:\n               method.beta: {log_uniform: [1e-3, 10]}"
        return [Problem("space", "a sweep needs a space to search", fix=fix)]
    broken = {path: found for path in file.space if (found := _structure(file, path))}
    broken |= _circles(file, set(broken))
    problems = [problem for found in broken.values() for problem in found]
    if broken:
        sound = _sound(file, set(broken))
        file = SweepFile.model_construct(**{**dict(file), "space": sound})
        return problems + [problem for path in sound for problem in value_problems(file, path)]
    return [problem for path in file.space for problem in value_problems(file, path)] + search_problems(file)


def _sound(file: SweepFile, broken: set[str]) -> dict:
    """The entries that can be looked at on their own: those that need no broken one."""
    sound = dict(file.space)
    while True:
        lost = [path for path in sound if path in broken or any(need not in sound for need in _needs(file, path))]
        if not lost:
            return sound
        for path in lost:
            del sound[path]


def _needs(file: SweepFile, path: str) -> list[str]:
    return [*file.space[path].when, *needs(file.space, path)]


def _structure(file: SweepFile, path: str) -> list[Problem]:
    """Whether a path may be varied, and whether what it hangs on is there."""
    where = f"space.{path}"
    reason = _CLOSED.get(path) or (
        "the stream is what a sweep is about: trials on other data cannot be compared"
        if path.startswith("tasks.") and path != "tasks.augment"
        else ""
    )
    if reason:
        return [Problem(where, f"a space cannot vary this: {reason}", fix="remove it from the space")]
    return _parents(file, path) or _names(file, path) or _possible(file, path)


def _parents(file: SweepFile, path: str) -> list[Problem]:
    problems = []
    for parent in file.space[path].when:
        where = f"space.{path}.when"
        if parent not in file.space:
            others = [other for other in file.space if other != path]
            message = f"{parent} is not in the space, so it never changes"
            problems.append(Problem(where, message, parent, ", ".join(others), did_you_mean(parent, others)))
        elif file.space[parent].equals is not None:
            fix = f"name what it follows from: {file.space[parent].equals}"
            problems.append(Problem(where, f"{parent} is computed, and no condition can be put on it", parent, fix=fix))
    if problems:
        return problems
    for parent, values in allowed(file.space, path).items():
        one = file.space[parent]
        where = f"space.{path}.when.{parent}"
        if not values:
            problems.append(Problem(where, "an empty list holds never", fix="name at least one value"))
        problems += [
            Problem(where, f"{parent} never is {value!r}", value, ", ".join(map(str, one.values)))
            for value in values
            if not one.contains(value)
        ]
    return problems


def _names(file: SweepFile, path: str) -> list[Problem]:
    """The names of an expression are values of the space or of the experiment."""
    text, known = file.space[path].equals, known_paths(file.experiment)
    problems = []
    for name in expression(text).names if text is not None else ():
        if name in file.space:
            continue
        try:
            lookup(file.experiment, name)
        except KeyError:
            names = [*file.space, *known]
            message = f"{name} is neither in the space nor in the experiment"
            problems.append(Problem(f"space.{path}", message, text, ", ".join(names), did_you_mean(name, names)))
            continue
        if name not in known:
            problems.append(Problem(f"space.{path}", f"{name} is a section, not a value", text))
    return problems


def _possible(file: SweepFile, path: str) -> list[Problem]:
    """Whether all conditions can hold at once."""
    sound = _sound(file, {other for other in file.space if other not in ordered(file.space)})
    if any(parent not in sound for parent in file.space[path].when) or path not in sound:
        return []
    if not _healthy(file, path) or contexts(sound, path):
        return []
    return [Problem(f"space.{path}.when", "its conditions can never hold together", dict(file.space[path].when))]


def _healthy(file: SweepFile, path: str) -> bool:
    """Whether the conditions of what an entry hangs on can be read."""
    return all(not _parents(file, parent) and _healthy(file, parent) for parent in file.space[path].when)


def _circles(file: SweepFile, broken: set[str]) -> dict[str, list[Problem]]:
    """Entries that hang on themselves."""
    there = ordered({path: one for path, one in file.space.items() if path not in broken})
    lost = [path for path in file.space if path not in broken and path not in there]
    message = f"these hang on each other in a circle: {', '.join(lost)}"
    return {path: [Problem(f"space.{path}", message, fix="remove one condition or expression")] for path in lost[:1]}
