"""From a YAML file and `--set` overrides to a validated model; every mistake at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hypercl.config.models import Experiment, Section, SweepFile, is_mapping, with_fitting_hypernet, with_method
from hypercl.config.problems import MOST_PROBLEMS, ConfigError, Location, Problem, did_you_mean
from hypercl.config.reading.include import content_of, text_of
from hypercl.config.reading.paths import remove, resolved, set_value
from hypercl.config.reading.validation import validated
from hypercl.config.reading.yaml_text import dump, value_of

SECTIONS = tuple(Experiment.model_fields)


def load(file: str | Path, overrides: Sequence[str] = ()) -> SweepFile:
    """Reads and validates a file.

    Args:
        file: path of a YAML file in the format of a sweep; `experiment` alone is enough for a run.
        overrides: `path=value` pairs; a path may leave out the leading `experiment`.

    Raises:
        ConfigError: with every mistake of the file and of the overrides.
    """
    return loads(text_of(file), str(file), overrides)


def loads(text: str, source: str, overrides: Sequence[str] = ()) -> SweepFile:
    """As `load`, from a text.

    Args:
        text: YAML.
        source: names it in messages; what it includes is looked for in the folder of this path.
        overrides: as for `load`.
    """
    found = read(text, source, overrides)
    if found.model is None or found.problems:
        raise ConfigError(source, found.problems)
    return found.model


class Reading(NamedTuple):
    """What came of reading a file."""

    model: SweepFile | None
    """None where a section is wrong."""
    problems: list[Problem]
    rest: SweepFile | None
    """The model of what is left without the keys that have problems, so that more can be checked before everything is
    reported at once."""
    locations: Mapping[str, Location]
    """Where each key path was written."""


def read(text: str, source: str, overrides: Sequence[str] = ()) -> Reading:
    """As `loads`, without raising for what the sections hold.

    Raises:
        ConfigError: the text is no YAML mapping, or what it includes cannot be read.
    """
    content = content_of(text, source)
    data, locations = content.data, content.locations
    if not is_mapping(data):
        fix = "start with\n             experiment:\n               tasks: {name: split_digits}"
        problem = Problem("", "the file holds no sections", data, ", ".join(SweepFile.model_fields), fix)
        raise ConfigError(source, [problem])
    data, problems, locations = _overridden(data, overrides, locations)
    model, found = validated(SweepFile, data, locations)
    if model is not None:
        return Reading(model, problems, model, locations)
    if len(found) > MOST_PROBLEMS:
        return Reading(None, [*problems, *found], None, locations)
    for problem in found:
        remove(data, problem.path)
    return Reading(None, [*problems, *found], validated(SweepFile, data, locations)[0], locations)


def to_yaml(model: Section) -> str:
    """A section as YAML, every default written out."""
    return dump(resolved(model))


def assign(experiment: Experiment, values: Mapping[str, Any], source: str = "setting") -> Experiment:
    """The experiment with some key paths set to other values.

    Args:
        experiment: the base.
        values: key path -> value, such as `{"method.beta": 0.1, "hypernet.chunk_size": 7000}`; names of sections are
            set first, since another kind of a section has other keys. Another method has its own defaults, and
            a hypernetwork if it needs one (`with_method`).
        source: named in messages.

    Raises:
        ConfigError: a path leads nowhere, or a value is not allowed there.
    """
    data: dict[str, Any] = resolved(experiment)
    problems: list[Problem] = []
    for path, value in sorted(values.items(), key=lambda item: item[0] != "method" and not item[0].endswith(".name")):
        before = dict(data["method"])
        problem = set_value(data, path, value)
        problems += [problem] if problem else []
        if path == "method.name":
            with_method(data, before)
        if path in ("method", "method.name"):
            with_fitting_hypernet(data)
    model, found = validated(Experiment, data, {})
    if model is None or problems:
        raise ConfigError(source, [*problems, *found])
    return model


def _overridden(
    data: dict[str, Any], overrides: Sequence[str], locations: Mapping[str, Location]
) -> tuple[dict[str, Any], list[Problem], Mapping[str, Location]]:
    """The data with the overrides in it, what is wrong with them, and where each key was written now."""
    problems: list[Problem] = []
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        if not equals or not path:
            problems.append(Problem("--set", "an override is path=value", override, fix="--set method.beta=0.1"))
            continue
        try:
            value = value_of(text)
        except ConfigError:
            problems.append(Problem(f"--set {path}", "the value is not valid YAML", text))
            continue
        first, known = path.split(".")[0], sorted({*SECTIONS, *SweepFile.model_fields})
        if first not in known and (meant := did_you_mean(first, known)):
            problems.append(Problem(f"--set {path}", "unknown key", first, ", ".join(known), meant))
            continue
        path = f"experiment.{path}" if first in SECTIONS else path
        problem = set_value(data, path, value)
        problems += [problem] if problem else []
        kept = {key: place for key, place in locations.items() if not f"{key}.".startswith(f"{path}.")}
        locations = {**kept, path: Location("--set", 0)}
    return data, problems, locations
