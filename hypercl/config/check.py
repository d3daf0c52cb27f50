"""What no section can see alone: the space against the experiment, the search against the space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypercl.config.load import assign, read, text_of
from hypercl.config.paths import known_paths, lookup
from hypercl.config.problems import ConfigError, Problem, did_you_mean
from hypercl.config.space import Distribution
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
            its distribution, a grid over a continuous range, an empty space.
    """
    problems = sweep_problems(file)
    if problems:
        raise ConfigError(source, problems)


def sweep_problems(file: SweepFile) -> list[Problem]:
    """What is wrong with a space."""
    if not file.space:
        fix = "add for example\n             space:\n               method.beta: {log_uniform: [1e-3, 10]}"
        return [Problem("space", "a sweep needs a space to search", fix=fix)]
    return [problem for path, one in file.space.items() for problem in _check_path(file, path, one)]


def why_closed(path: str) -> str:
    """Why a space cannot vary a key of the experiment; '' where it can."""
    if path.startswith("tasks.") and path != "tasks.augment":
        return "the stream is what a sweep is about: trials on other data cannot be compared"
    return _CLOSED.get(path, "")


def _check_path(file: SweepFile, path: str, distribution: Distribution) -> list[Problem]:
    where = f"space.{path}"
    reason = why_closed(path)
    if reason:
        return [Problem(where, f"a space cannot vary this: {reason}", fix="remove it from the space")]
    try:
        base = lookup(file.experiment, path)
    except KeyError:
        names = [name for name in known_paths(file.experiment) if name.split(".")[0] != "tasks"]
        return [Problem(where, "the experiment has no such key", None, ", ".join(names), did_you_mean(path, names))]
    problems = [
        Problem(where, f"{value!r} cannot stand there: {problem.message}", value, problem.allowed)
        for value in distribution.values
        for problem in _refusals(file, path, value)
    ]
    if file.search.include_base and not problems and not distribution.contains(_plain(base)):
        fix = f"widen the range to include {base!r}, change experiment.{path}, or set search.include_base: false"
        message = "the experiment's own value, which is the first trial, lies outside"
        problems.append(Problem(where, message, base, _span(distribution), fix))
    if file.search.sampler == "grid" and distribution.kind not in ("choice", "int") and distribution.step is None:
        fix = "use choice, int, or give a step"
        problems.append(Problem(where, "the grid sampler needs values that can be listed", fix=fix))
    return problems


def _refusals(file: SweepFile, path: str, value: Any) -> list[Problem]:
    try:
        assign(file.experiment, {path: value})
    except ConfigError as error:
        return list(error.problems)
    return []


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _span(distribution: Distribution) -> str:
    if distribution.kind == "choice":
        return ", ".join(repr(value) for value in distribution.values)
    low, high = distribution.values
    return f"{low:g} to {high:g}" + (f" in steps of {distribution.step:g}" if distribution.step else "")
