"""What an entry of a space hangs on: whether it may be varied, its conditions, the names it is computed from."""

from hypercl.config.checks.conditions import Space, allowed, contexts, ordered
from hypercl.config.checks.fixed_keys import why_closed
from hypercl.config.models.expression import expression
from hypercl.config.models.kinds import kind_of, kinds_of
from hypercl.config.models.sweep import SweepFile
from hypercl.config.problems import Problem, did_you_mean
from hypercl.config.reading.paths import known_paths, lookup
from hypercl.config.reading.yaml_text import value_in_words


def sound_space(file: SweepFile) -> tuple[Space, list[Problem]]:
    """The entries whose conditions and names can be followed, and what is wrong with the others."""
    problems: list[Problem] = []
    broken: set[str] = set()
    for path in file.space:
        found = _closed(path) or _kinds(file, path) or _parents(file, path) + _names(file, path)
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


def _mentions(one) -> tuple[str, ...]:
    return (*one.when, *(expression(one.equals).names if one.equals is not None else ()))


def _closed(path: str) -> list[Problem]:
    reason = why_closed(path)
    message = f"a space cannot vary this: {reason}"
    return [Problem(f"space.{path}", message, fix="remove it from the space")] if reason else []


def _kinds(file: SweepFile, path: str) -> list[Problem]:
    """A section is not varied by the names of its kinds, which stand for whole sections, but by its key name."""
    tags, where = {kind_of(model) for model in kinds_of(path.rpartition(".")[2])}, f"space.{path}"
    if not any(isinstance(value, str) and value in tags for value in file.space[path].values):
        return []
    return [Problem(where, "a space varies the kind of a section by its key name", fix=f"write {path}.name")]


def _parents(file: SweepFile, path: str) -> list[Problem]:
    """Conditions are put on drawn entries of the space, with values that these can take."""
    problems = []
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
    problems = []
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
