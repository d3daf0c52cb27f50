"""The values of a space against the experiment, each tried under the conditions with which it is drawn."""

from collections.abc import Mapping
from itertools import islice, product
from typing import Any

from hypercl.config.checks.conditions import (
    Space,
    allowed,
    by_key,
    completed,
    contexts,
    is_active,
    needs,
    ordered,
    same,
    span,
    with_tied,
)
from hypercl.config.models import (
    Distribution,
    Experiment,
    SweepFile,
    expression,
    is_list,
    key_of,
    kind_of,
    kinds_of,
    label_of,
)
from hypercl.config.problems import MOST_PROBLEMS, ConfigError, Problem, did_you_mean
from hypercl.config.reading import assign, known_paths, lookup, value_in_words

MOST_CORNERS = 64

_CLOSED = {
    "target.predicts": "the stream decides whether a sequence or each of its steps has a class",
    "training.seed": "seeds are not settings: a space that varies them would pick the luckiest",
    "training.replicas": "all trials must be means of as many seeds: a mean of fewer is more often a lucky one",
    "training.device": "the device is given by --device and the resources",
    "training.threads": "threads belong to the resources of a trial",
    "training.report_samples": "all trials must be measured alike",
    "training.evaluate_every": "all trials must be measured alike",
}
"""Keys that a space cannot vary -> why."""


def why_not_tunable(path: str) -> str:
    """Why a space cannot vary a key path of the experiment; '' where it can."""
    if path.split(".")[0] == "tasks" and path != "tasks.augment":
        return "the stream is what a sweep is about: trials on other data cannot be compared"
    if path.split(".")[0] == "by_task":
        return "values for each task are found task by task, by protocol {name: stability_decay}"
    return _CLOSED.get(path, "")


def value_problems(file: SweepFile, space: Space, path: str) -> list[Problem]:
    """What is wrong with one entry's values.

    Args:
        file: the sweep.
        space: its entries whose conditions can be followed.
        path: one of them.
    """
    tried = contexts(space, path, _kinds_above(space, path))
    there = [context for context in tried if _has(_under(file, space, context), key_of(path))]
    if len(there) < len(tried):
        return [_not_there(file, space, path, there, next(context for context in tried if context not in there))]
    return _tied(file, space, path) if space[path].equals is not None else _drawn(file, space, path, tried)


def _drawn(file: SweepFile, space: Space, path: str, tried: list[dict[str, Any]]) -> list[Problem]:
    """Its values, each under every one of the conditions with which it is drawn."""
    where, one = f"space.{path}", space[path]
    wrong = (
        Problem(where, f"{value!r} is not allowed here: {problem.message}", value, problem.allowed)
        for value in one.values
        for context in tried
        for problem in _refusals(file, space, path, context | {path: value})
    )
    problems = _distinct(islice(wrong, 2 * MOST_PROBLEMS))
    if problems or not file.search.include_base:
        return problems
    own, _ = completed(file.experiment, space, {})
    if path in own and not one.contains(own[path]):
        change = f"change experiment.{key_of(path)}, or set search.include_base: false"
        fix = f"widen the range to include {own[path]!r}, {change}"
        message = "the experiment's own value, which is the first trial, lies outside"
        return [Problem(where, message, own[path], span(one), fix)]
    return []


def _kinds_above(space: Space, path: str) -> tuple[str, ...]:
    """The names of sections above a path that the space varies: another kind may not have the key."""
    parts = path.split(".")
    names = [".".join([*parts[:depth], "name"]) for depth in range(1, len(parts))]
    return tuple(name for name in names if name in space and name != path and space[name].kind == "choice")


def _under(file: SweepFile, space: Space, chosen: Mapping[str, Any]) -> Experiment | None:
    """The experiment with some values, and the first value of what is drawn with them and the experiment leaves out."""
    try:
        return assign(file.experiment, by_key(_filled(file, space, chosen)))
    except ConfigError:
        try:
            return assign(file.experiment, by_key(chosen))
        except ConfigError:
            return None


def _filled(file: SweepFile, space: Space, chosen: Mapping[str, Any]) -> dict[str, Any]:
    found, known = dict(chosen), dict(chosen)
    for path in ordered(space):
        if path in known or space[path].equals is not None or not is_active(space, path, known):
            continue
        try:
            known[path] = lookup(file.experiment, key_of(path))
        except KeyError:
            known[path] = None
        if known[path] is None and not space[path].contains(None):
            found[path] = known[path] = space[path].values[0]
    return found


def _has(experiment: Experiment | None, path: str) -> bool:
    """Whether the key is there; an experiment that is refused is another entry's problem."""
    try:
        return experiment is None or lookup(experiment, path) is not ...
    except KeyError:
        return False


def _not_there(
    file: SweepFile, space: Space, path: str, there: list[dict[str, Any]], lacking: dict[str, Any]
) -> Problem:
    where = f"space.{path}"
    for name in _kinds_above(space, path):
        good = [value for value in space[name].values if any(same(context.get(name), value) for context in there)]
        if name in lacking and good:
            values = good[0] if len(good) == 1 else f"[{', '.join(map(str, good))}]"
            message = f"the key does not exist with {name} {lacking[name]}"
            return Problem(where, message, fix=f"add when: {{{name}: {values}}}")
    experiment = _under(file, space, lacking) or file.experiment
    names = [name for name in known_paths(experiment) if not why_not_tunable(name)]
    return Problem(where, "the experiment has no such key", None, ", ".join(names), did_you_mean(key_of(path), names))


def _refusals(file: SweepFile, space: Space, path: str, chosen: Mapping[str, Any]) -> list[Problem]:
    """Why the experiment refuses some values; what another entry's own value causes is reported there."""
    try:
        assign(file.experiment, by_key(_filled(file, space, chosen)))
    except ConfigError as error:
        keys, key = {key_of(name) for name in space}, key_of(path)
        return [problem for problem in error.problems if problem.path == key or problem.path not in keys]
    return []


def _tied(file: SweepFile, space: Space, path: str) -> list[Problem]:
    """A computed value at the corners of what it follows from, and for the experiment as written."""
    where, text = f"space.{path}", space[path].equals
    problems: list[Problem] = []
    for corner in _corners(space, path):
        values, wrong = with_tied(file.experiment, space, corner)
        refused = [problem for problem in wrong if problem.path == path]
        if not refused and path in values:
            refused = _refusals(file, space, path, values)
        at = ", ".join(f"{name} {value}" for name, value in corner.items()) or "the experiment's own values"
        problems += [Problem(where, f"with {at}: {problem.message}", values.get(path), "", "") for problem in refused]
    if problems or not file.search.include_base:
        return problems[:3]
    own, wrong = completed(file.experiment, space, {})
    values, _ = with_tied(file.experiment, space, own)
    if path in values and not wrong and not _own_is(file.experiment, path, values[path]):
        message = f"the experiment as written, which is the first trial, does not hold to {text}"
        fix = f"set experiment.{key_of(path)} to {values[path]}, or search.include_base: false"
        return [Problem(where, message, lookup(file.experiment, key_of(path)), fix=fix)]
    return []


def _own_is(experiment: Experiment, path: str, value: Any) -> bool:
    try:
        return lookup(assign(experiment, {key_of(path): value}), key_of(path)) == lookup(experiment, key_of(path))
    except (ConfigError, KeyError):
        return False


def _corners(space: Space, path: str) -> list[dict[str, Any]]:
    """The ends of ranges and all choices of what a computed value follows from, where it is part of a setting."""
    wanted = _roots(space, path)
    found: list[dict[str, Any]] = []
    for values in islice(product(*(space[name].values for name in wanted)), MOST_CORNERS):
        chosen = dict(zip(wanted, values, strict=True))
        active = {name: value for name, value in chosen.items() if is_active(space, name, chosen)}
        if is_active(space, path, active) and active not in found:
            found.append(active)
    return found


def _roots(space: Space, path: str) -> list[str]:
    """The drawn entries that an entry hangs on, through others too, each after those it hangs on itself."""
    pending = needs(space, path)
    found: set[str] = set()
    while pending:
        name = pending.pop()
        found.add(name)
        pending += [other for other in needs(space, name) if other not in found]
    return [name for name in ordered(space) if name in found and space[name].equals is None]


def _distinct(problems: Any) -> list[Problem]:
    return list({(problem.path, problem.message): problem for problem in problems}.values())


def sound_space(file: SweepFile) -> tuple[Space, list[Problem]]:
    """The entries whose conditions and names can be followed, and what is wrong with the others."""
    problems: list[Problem] = []
    broken: set[str] = set()
    for path in file.space:
        found = (
            _labels(file, path)
            or _closed(key_of(path))
            or _kinds(file, path)
            or _parents(file, path) + _names(file, path)
        )
        problems += found
        broken |= {path} if found else set()
    sound = _without(file.space, broken)
    circle = [path for path in sound if path not in ordered(sound)]
    if circle:
        message = f"these hang on each other in a circle: {', '.join(circle)}"
        problems.append(Problem(f"space.{circle[0]}", message, fix="remove one condition or expression"))
        sound = _without(sound, set(circle))
    never = [path for path in sound if not contexts(sound, path)]
    for path in never[:1]:
        problems.append(Problem(f"space.{path}.when", "its conditions never hold together", dict(sound[path].when)))
    return _without(sound, set(never)), problems


def _without(space: Space, broken: set[str]) -> Space:
    """The entries that hang on no broken one."""
    sound = {path: one for path, one in space.items() if path not in broken}
    while True:
        lost = [path for path, one in sound.items() if any(n in space and n not in sound for n in _mentions(one))]
        if not lost:
            return sound
        for path in lost:
            del sound[path]


def _mentions(one: Distribution) -> tuple[str, ...]:
    return (*one.when, *(expression(one.equals).names if one.equals is not None else ()))


def _labels(file: SweepFile, path: str) -> list[Problem]:
    """Of several entries for one key at most one is part of a setting."""
    key, where = key_of(path), f"space.{path}"
    if path != key and not label_of(path).isidentifier():
        return [Problem(where, "what follows @ needs a name", fix=f"write {key}@name")]
    label = label_of(path)
    if label and file.methods and label not in file.methods and not file.space[path].when:
        return [Problem(where, f"{label} is none of the methods compared", label, ", ".join(file.methods))]
    others = [other for other in file.space if other != path and key_of(other) == key]
    together = [other for other in others if not _apart(file.space[path], file.space[other])]
    if not together:
        return []
    message = f"both this and {together[0]} may be part of one setting"
    fix = "give both a `when` with different values of one key, such as when: {method.name: ewc}"
    return [Problem(where, message, fix=fix)]


def _apart(one: Distribution, other: Distribution) -> bool:
    """Whether the conditions of two entries never hold together."""
    listed = [{key: given if is_list(given) else [given] for key, given in each.when.items()} for each in (one, other)]
    first, second = listed
    return any(not any(same(a, b) for a in first[key] for b in second[key]) for key in first.keys() & second.keys())


def _closed(path: str) -> list[Problem]:
    reason = why_not_tunable(path)
    message = f"a space cannot vary this: {reason}"
    return [Problem(f"space.{path}", message, fix="remove it from the space")] if reason else []


def _kinds(file: SweepFile, path: str) -> list[Problem]:
    """A section is not varied by the names of its kinds, which stand for whole sections, but by its key name."""
    tags, where = {kind_of(model) for model in kinds_of(key_of(path).rpartition(".")[2])}, f"space.{path}"
    if not any(isinstance(value, str) and value in tags for value in file.space[path].values):
        return []
    return [Problem(where, "a space varies the kind of a section by its key name", fix=f"write {path}.name")]


def _parents(file: SweepFile, path: str) -> list[Problem]:
    """Conditions are put on drawn entries of the space, with values that these can take."""
    problems: list[Problem] = []
    for parent in file.space[path].when:
        where = f"space.{path}.when.{parent}"
        if parent not in file.space:
            others = [other for other in file.space if other != path]
            message = "the space has no such key, so a condition on it never changes"
            problems.append(Problem(where, message, parent, ", ".join(others), did_you_mean(parent, others)))
        elif file.space[parent].equals is not None:
            fix = f"put it on what the value follows from: {file.space[parent].equals}"
            problems.append(Problem(where, "a computed value takes no condition", parent, fix=fix))
    if problems:
        return problems
    for parent, values in allowed(file.space, path).items():
        one, where = file.space[parent], f"space.{path}.when.{parent}"
        if not values:
            problems.append(Problem(where, "an empty list never holds", fix="name at least one value"))
        problems += [
            Problem(where, f"{parent} never has this value", value, ", ".join(map(value_in_words, one.values)))
            for value in values
            if not one.contains(value)
        ]
    return problems


def _names(file: SweepFile, path: str) -> list[Problem]:
    """The names of an expression are values of the space or of the experiment."""
    text, known = file.space[path].equals, known_paths(file.experiment)
    problems: list[Problem] = []
    for name in expression(text).names if text is not None else ():
        if name in file.space or name in known:
            continue
        try:
            lookup(file.experiment, name)
            message = f"{name} is a section, not a value"
        except KeyError:
            message = f"{name} is neither in the space nor in the experiment"
        names = [*file.space, *known]
        problems.append(Problem(f"space.{path}", message, text, fix=did_you_mean(name, names)))
    return problems
