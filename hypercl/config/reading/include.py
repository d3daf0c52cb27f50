"""A file and what it includes, as plain data: a file's own keys lie over those of the files that it includes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypercl.config.models import in_full, is_list, is_mapping, kinds_of
from hypercl.config.problems import ConfigError, Location, Problem, did_you_mean
from hypercl.config.reading.paths import drop_rivals
from hypercl.config.reading.yaml_text import parse

INCLUDE = "include"


@dataclass(frozen=True)
class Content:
    """What a file says, with all that it includes."""

    data: Any
    """A mapping, where the file holds sections; without the key `include`."""
    locations: dict[str, Location]
    """Key path -> where it was written."""
    files: tuple[Path, ...] = ()
    """The included files, theirs too, in the order in which they were read."""


def content_of(text: str, source: str) -> Content:
    """A file's content. Included files are looked for from the folder of the file that names them.

    Of several, later ones lie over earlier ones. Mappings are merged; a section of another kind, and an entry of the
    space, takes the place of the included one whole; null takes an included entry out of the space.

    Args:
        text: the file's text.
        source: its path, also named in messages.

    Raises:
        ConfigError: a text is no YAML, or an include cannot be followed; every such mistake at once.
    """
    problems: list[Problem] = []
    found = _content(text, source, (Path(source),), problems)
    if problems:
        raise ConfigError(source, problems)
    return found


def text_of(file: str | Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: it is not there or cannot be read.
    """
    path = Path(file)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [other.name for other in sorted(path.parent.glob("*.y*ml"))] if path.parent.is_dir() else []
        fix = did_you_mean(path.name, beside)
        raise ConfigError(str(file), [Problem("", "file not found", fix=fix)]) from None
    except (OSError, ValueError) as error:
        raise ConfigError(str(file), [Problem("", f"the file cannot be read: {error}")]) from None


def _content(text: str, source: str, above: tuple[Path, ...], problems: list[Problem]) -> Content:
    """As `content_of`; `above` are the files that led here, this one last."""
    data, lines = parse(text, source)
    own = Content(data, {path: Location(source, line) for path, line in lines.items()})
    if not is_mapping(data) or INCLUDE not in data:
        return own
    found = Content({}, {})
    for key, given in _named(data.pop(INCLUDE), own, source, problems):
        file = Path(source).parent / given
        try:
            inner = _included(file, above, problems)
        except ConfigError as error:
            problem = error.problems[0]
            fix = problem.fix or f"a path is taken from the folder of {source}"
            place = own.locations.get(key) or own.locations[INCLUDE]
            problems.append(replace(problem, path=key, value=given, fix=fix, file=source, line=place.line))
            continue
        found = _laid_over(found, inner)
    return _laid_over(found, own)


def _named(value: Any, own: Content, source: str, problems: list[Problem]) -> list[tuple[str, str]]:
    """Key path and path of each included file."""
    if value is None:
        return []
    if isinstance(value, str):
        return [(INCLUDE, value)]
    if is_list(value) and all(isinstance(each, str) for each in value):
        return [(f"{INCLUDE}.{index}", each) for index, each in enumerate(value)]
    fix, line = f"{INCLUDE}: shared/split_mnist.yaml", own.locations[INCLUDE].line
    problems.append(Problem(INCLUDE, "this should be a file, or a list of files", value, "", fix, line, "", source))
    return []


def _included(file: Path, above: tuple[Path, ...], problems: list[Problem]) -> Content:
    """The content of an included file; mistakes inside of it go to the others.

    Raises:
        ConfigError: it cannot be included, with one problem, which belongs to the key that names it.
    """
    text = text_of(file)
    if file.resolve() in [each.resolve() for each in above]:
        circle = " > ".join(str(each) for each in (*above, file))
        raise ConfigError(str(file), [Problem("", f"files include each other in a circle: {circle}", fix="remove it")])
    try:
        found = _content(text, str(file), (*above, file), problems)
    except ConfigError as error:
        problems += [replace(problem, file=error.source) for problem in error.problems]
        return Content({}, {}, (file,))
    if not is_mapping(found.data):
        raise ConfigError(str(file), [Problem("", "the file holds no sections", fix=f"give {file} sections")])
    return replace(found, files=(file, *found.files))


def _laid_over(below: Content, above: Content) -> Content:
    gone: list[str] = []
    data = _merged(below.data, above.data, "", gone)
    kept = {
        path: place
        for path, place in below.locations.items()
        if not any(path == each or path.startswith(f"{each}.") for each in gone)
    }
    return Content(data, kept | above.locations, below.files + above.files)


def _merged(below: dict[Any, Any], above: dict[Any, Any], path: str, gone: list[str]) -> dict[Any, Any]:
    """`above` over `below`; key paths of which nothing is left of `below` go into `gone`."""
    section, inner = path.rpartition(".")[2], f"{path}." if path else ""
    found = dict(below)
    for key, value in above.items():
        gone += [f"{inner}{rival}" for rival in drop_rivals(found, section, str(key), value)]
    for key, value in above.items():
        here, under = f"{inner}{key}", found.get(key)
        if path != "space" and under != value:
            one, other = in_full(str(key), under), in_full(str(key), value)
            if is_mapping(one) and is_mapping(other) and _same_kind(key, one, other):
                found[key] = _merged(one, other, here, gone)
                continue
        gone.append(here)
        found[key] = value
        if path == "space" and value is None and under is not None:
            del found[key]
    return found


def _same_kind(section: Any, below: dict[Any, Any], above: dict[Any, Any]) -> bool:
    """Whether two sections can be one: they name no kind each, or the same."""
    named = "name" in below and "name" in above and bool(kinds_of(str(section)))
    return not named or below["name"] == above["name"]
