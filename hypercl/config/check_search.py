"""The search against the space: the sampler, and the settings that are to be tried first."""

from hypercl.config.conditions import completed, with_tied
from hypercl.config.problems import Problem
from hypercl.config.sweep import SweepFile


def search_problems(file: SweepFile) -> list[Problem]:
    """What is wrong with `search`, given a space without mistakes in itself."""
    return [*_grid(file), *_cmaes(file), *_enqueue(file)]


def _grid(file: SweepFile) -> list[Problem]:
    if file.search.sampler != "grid":
        return []
    message, fix = "the grid sampler needs values that can be listed", "use choice, int, or give a step"
    return [
        Problem(f"space.{path}", message, fix=fix)
        for path, one in file.space.items()
        if one.kind not in ("choice", "int", "equals") and one.step is None
    ]


def _cmaes(file: SweepFile) -> list[Problem]:
    if file.search.sampler != "cmaes":
        return []
    numbers = [one for one in file.space.values() if one.kind not in ("choice", "equals") and not one.when]
    if numbers:
        return []
    message = "cmaes models numbers that every setting has, and the space has none: it would draw all at random"
    return [Problem("search.sampler", message, "cmaes", fix="use tpe or random")]


def _enqueue(file: SweepFile) -> list[Problem]:
    problems: list[Problem] = []
    whole = [completed(file.experiment, file.space, {})[0]] if file.search.include_base else []
    for index, given in enumerate(file.search.enqueue):
        where = f"search.enqueue.{index}"
        values, wrong = completed(file.experiment, file.space, given)
        wrong = wrong or with_tied(file.experiment, file.space, values)[1]
        problems += [
            Problem(f"{where}.{one.path}", one.message, one.value, one.allowed, one.fix or _fix(one, given))
            for one in wrong
        ]
        if not wrong and values in whole:
            first = file.search.include_base and values == whole[0]
            message = "it is the experiment as written, which comes first" if first else "the setting is there twice"
            problems.append(Problem(where, message, dict(given), fix="remove it"))
        whole.append(values)
    return problems


def _fix(problem: Problem, given: object) -> str:
    known = isinstance(given, dict) and problem.path in given
    return "" if known else f"give {problem.path} a value of the space"
