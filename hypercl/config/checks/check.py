"""What no section can see alone: the space against the experiment, the search against the space."""

from collections.abc import Sequence
from pathlib import Path

from hypercl.config.checks.protocol import by_task_problems, protocol_problems, stability_problems
from hypercl.config.checks.search import search_problems
from hypercl.config.checks.space_values import sound_space, value_problems
from hypercl.config.models import SweepFile
from hypercl.config.problems import ConfigError, Problem, located
from hypercl.config.reading import read, text_of


def load_sweep(file: str | Path, overrides: Sequence[str] = ()) -> SweepFile:
    """As `load`, for a file that is to be swept: the space is checked too, and all mistakes are reported at once.

    Raises:
        ConfigError: with every mistake.
    """
    reading = read(text_of(file), str(file), overrides)
    problems = list(reading.problems)
    if reading.rest is not None:
        paths = [path for problem in problems for path in (problem.path, problem.meant) if path or path == problem.path]
        wrong = {path.removeprefix("experiment.").removeprefix("space.") for path in paths}
        others = sweep_problems(reading.rest) if reading.rest.space or "space" not in wrong else []
        new = [problem for problem in others if not wrong & set(_ends(problem.path.removeprefix("space.")))]
        problems += [located(problem, reading.locations) for problem in new]
    if reading.model is None or problems:
        raise ConfigError(str(file), problems)
    return reading.model


def _ends(path: str) -> list[str]:
    """A key path and all above it: a wrong section stands at its defaults, whose problems are not the user's."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def check_sweep(file: SweepFile, source: str) -> None:
    """Refuses a space that cannot be searched.

    Raises:
        ConfigError: with every mistake: an unknown path, a bound that the experiment refuses, conditions that never
            hold, a base outside of its distribution, a grid over a continuous range, an empty space.
    """
    problems = sweep_problems(file)
    if problems:
        raise ConfigError(source, problems)


def sweep_problems(file: SweepFile) -> list[Problem]:
    """What is wrong with a space and with the search over it; values only of entries whose conditions can be read."""
    if not file.space:
        fix = "add for example\n             space:\n               method.beta: {log_uniform: [1e-3, 10]}"
        return [Problem("space", "a sweep needs a space to search", fix=fix)]
    if file.experiment.tasks.num_tasks is None:
        message = "it is null, and a sweep needs the number of tasks: progress is the share of the stream learned"
        return [Problem("experiment.tasks.num_tasks", message, fix="add num_tasks to experiment.tasks")]
    problems = protocol_problems(file)
    sound, wrong = sound_space(file)
    problems += wrong
    whole = not problems
    for path in sound:
        problems += value_problems(file, sound, path)
    problems += by_task_problems(file) + stability_problems(file)
    return problems + (search_problems(file) if whole else [])
