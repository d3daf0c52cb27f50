"""`--prefer`: which of several compromises a person wants, by weights of the goals or by a test."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hypercl.config import SweepFile, UserError, did_you_mean
from hypercl.config.models import METRICS, Objective

PREFER = "prefer"
"""The user attribute of the study in which it stands."""
KNEE = "knee"
"""What is chosen where nothing is preferred, and by --prefer to go back to that."""

_TESTS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_TEST = re.compile(r"\s*([\w/]+)\s*(<=|>=|<|>)\s*(\S+)\s*")
_WEIGHT = re.compile(r"\s*([\w/]+)\s*:\s*(\S+)\s*")
_FORMS = (
    "weights such as 'validation/final_accuracy: 1, compression_ratio: 0.2', "
    "or a test such as 'compression_ratio <= 0.5'"
)


@dataclass(frozen=True)
class Weights:
    """Goal -> what a change of it by one is worth; a goal that is not named is worth nothing."""

    weights: Mapping[str, float]


@dataclass(frozen=True)
class Tests:
    """Bounds that all must hold."""

    __test__ = False
    bounds: tuple[tuple[str, str, float], ...]
    """Metric, comparison and number of each."""

    def passes(self, measured: Mapping[str, float]) -> bool:
        """Whether a trial's metrics are within; one that it does not have is not."""
        return all(
            metric in measured and _TESTS[compare](measured[metric], bound) for metric, compare, bound in self.bounds
        )


def check_preference(file: SweepFile, prefer: str | None) -> None:
    """Refuses a preference before any work.

    Raises:
        UserError: it cannot be read, or a race decides.
    """
    if prefer is not None and file.search.race is not None:
        raise _mistake("the race decides which setting is the best", "leave it out, or remove search.race")
    if prefer not in (None, KNEE):
        parse_preference(file.objective, prefer)


def parse_preference(objective: Objective, text: str) -> Weights | Tests:
    """Reads what a person prefers.

    Args:
        objective: of the sweep.
        text: weights of goals, `metric: number, ...`, in the units in which they are measured: with `accuracy: 1,
            compression_ratio: 0.2` a ratio less by 1 is worth as much as 0.2 of accuracy. Or tests, `metric <= number`,
            several joined by `and`: the best in the first goal of the trials that pass.

    Raises:
        UserError: the text is neither, or names what no trial is measured by.
    """
    if any(sign in text for sign in "<>"):
        return Tests(tuple(_bound(objective, part, text) for part in re.split(r"\band\b", text)))
    return _weights(objective, text)


def _bound(objective: Objective, part: str, text: str) -> tuple[str, str, float]:
    found = _TEST.fullmatch(part)
    if found is None:
        raise _mistake(f"{part.strip()!r} is no test", f"give {_FORMS}; several tests are joined by 'and'")
    metric, compare, number = found.groups()
    known = dict.fromkeys([*METRICS, *(goal.metric for goal in objective.goals)])
    if metric not in known:
        raise _mistake(f"no trial is measured by '{metric}'", did_you_mean(metric, list(known)) or ", ".join(known))
    return metric, compare, _number(number, text)


def _weights(objective: Objective, text: str) -> Weights:
    goals = [goal.metric for goal in objective.goals]
    weights: dict[str, float] = {}
    for part in text.split(","):
        found = _WEIGHT.fullmatch(part)
        if found is None:
            raise _mistake(f"{text!r} is neither weights nor a test", f"give {_FORMS}")
        metric, weight = found[1], _number(found[2], text)
        if metric not in goals:
            raise _mistake(f"'{metric}' is no goal of this sweep", did_you_mean(metric, goals) or ", ".join(goals))
        if metric in weights:
            raise _mistake(f"{metric} is there twice", "weigh each goal once")
        if weight <= 0:
            raise _mistake(f"{metric} has the weight {weight:g}", "give numbers above zero, or leave it out")
        weights[metric] = weight
    if len(goals) == 1:
        raise _mistake(f"{goals[0]} is the only goal: nothing is there to weigh it against", "give a test")
    return Weights(weights)


def _number(text: str, whole: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if found - found != 0.0:
        raise _mistake(f"{text!r} in {whole!r} is no number", f"give {_FORMS}")
    return found


def _mistake(message: str, fix: str) -> UserError:
    return UserError(f"--prefer: {message}\n    fix:     {fix}")
