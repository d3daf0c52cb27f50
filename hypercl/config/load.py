"""From a YAML file and `--set` overrides to a validated model; every mistake at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypercl.config.experiment import Experiment
from hypercl.config.paths import remove, resolved, set_value
from hypercl.config.problems import ConfigError, Problem, did_you_mean
from hypercl.config.section import Section
from hypercl.config.sweep import SweepFile
from hypercl.config.validated import validated
from hypercl.config.yaml_text import dump, parse, value_of

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
        raise ConfigError(str(file), [Problem("", "there is no such file", fix=fix)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), [Problem("", f"the file cannot be read: {error}")]) from None


def loads(text: str, source: str, overrides: Sequence[str] = ()) -> SweepFile:
    """As `load`, from a text; `source` names it in messages."""
    model, problems, _ = read(text, source, overrides)
    if model is None or problems:
        raise ConfigError(source, problems)
    return model


def read(
    text: str, source: str, overrides: Sequence[str] = ()
) -> tuple[SweepFile | None, list[Problem], SweepFile | None]:
    """As `loads`, without raising for what the sections hold.

    Returns:
        The file's model, or None; its problems; and the model of what is left without the keys that have problems, so
        that more can be checked before all is told at once.

    Raises:
        ConfigError: the text is no YAML mapping.
    """
    data, lines = parse(text, source)
    if not isinstance(data, dict):
        fix = "start with\n             experiment:\n               tasks: {name: split_digits}"
        problem = Problem("", "the file holds no sections", data, ", ".join(SweepFile.model_fields), fix)
        raise ConfigError(source, [problem])
    data, problems = _overridden(data, overrides)
    model, found = validated(SweepFile, data, lines)
    if model is not None:
        return model, problems, model
    for problem in found:
        remove(data, problem.path)
    return None, [*problems, *found], validated(SweepFile, data, lines)[0]


def to_yaml(model: Section) -> str:
    """A section as YAML, every default written out."""
    return dump(resolved(model))


def assign(experiment: Experiment, values: Mapping[str, Any], source: str = "setting") -> Experiment:
    """The experiment with some key paths set to other values.

    Args:
        experiment: the base.
        values: key path -> value, such as `{"method.beta": 0.1, "hypernet.chunk_size": 7000}`; names of sections are
            set first, since another kind of a section has other keys.
        source: named in messages.

    Raises:
        ConfigError: a path leads nowhere, or a value is not allowed there.
    """
    data: dict[str, Any] = resolved(experiment)
    problems: list[Problem] = []
    for path, value in sorted(values.items(), key=lambda item: not item[0].endswith(".name")):
        problem = set_value(data, path, value)
        problems += [problem] if problem else []
    model, found = validated(Experiment, data, {})
    if model is None or problems:
        raise ConfigError(source, [*problems, *found])
    return model


def _overridden(data: dict[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], list[Problem]]:
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
        problem = set_value(data, f"experiment.{path}" if path.split(".")[0] in SECTIONS else path, value)
        problems += [problem] if problem else []
    return data, problems
