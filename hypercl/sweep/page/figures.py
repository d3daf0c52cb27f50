"""The numbers behind a sweep's figures, as the page's script draws them."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.analysis import FinalResult, label_in_words
from hypercl.config import Distribution, lookup
from hypercl.config.models import Goal, task_count
from hypercl.config.reading import value_in_short
from hypercl.formatting import headings, is_fraction
from hypercl.sweep.page.courses import Course
from hypercl.sweep.planner import planner_of
from hypercl.sweep.results import Importance
from hypercl.sweep.study import StudyRecord, decided, is_complete, is_written, pareto_front, progress_of, state_of

ROUNDED = 6
"""Significant digits of a number in the page."""


def figures_of(
    record: StudyRecord,
    found: Sequence[Importance],
    courses: Mapping[int, Course],
    samples: Mapping[int, str],
    final: FinalResult | None,
) -> dict[str, Any]:
    """Plain data of a sweep: what was searched, every trial, how they trained, what mattered, further seeds.

    Args:
        record: the sweep.
        found: the importances.
        courses: how trials trained.
        samples: what trials would replay.
        final: the final step's result.
    """
    file, best = record.file, record.best()
    written = next((trial.number for trial in record.trials if is_written(trial)), None)
    names = dict(zip(file.space, headings(list(file.space)), strict=True))
    goals = [_goal(goal) for goal in file.objective.goals]
    several = len(goals) > 1
    return {
        "name": record.name,
        "goals": goals,
        "score": file.experiment.tasks.score,
        "at": file.at_fidelity.strip(),
        "tasks": task_count(file.experiment.tasks),
        "reports": file.pruner.reports_per_task,
        "parameters": [
            {"path": path, "name": names[path], "written": _written(record, path), **_axis(distribution)}
            for path, distribution in file.space.items()
        ],
        "trials": [_trial(record, trial) for trial in record.trials if state_of(trial) != "waiting"],
        "ranked": [trial.number for trial in record.ranked()],
        "best": None if best is None else best.number,
        "written": written,
        "front": [trial.number for trial in pareto_front(file, record.trials)] if several else [],
        "importance": [
            {"name": names.get(one.path, one.path), "share": _short(one.share), "chance": _short(one.chance)}
            | {"sure": one.stands_out}
            for one in found
        ],
        "courses": courses,
        "samples": samples,
        "seeds": _further_seeds(record),
        "final": [] if final is None else _final(final),
    }


def _goal(goal: Goal) -> dict[str, Any]:
    words = goal.metric.replace("/", " ").replace("_", " ")
    return {"words": words, "maximize": goal.direction == "maximize", "fraction": is_fraction(goal.metric)}


def _axis(distribution: Distribution) -> dict[str, Any]:
    """Choices by their names, or the ends of a range; computed values have neither."""
    if distribution.kind == "choice":
        return {"choices": [value_in_short(value) for value in distribution.values]}
    if distribution.kind == "equals":
        return {"computed": True}
    low, high = distribution.values
    return {"low": low, "high": high, "log": distribution.kind in ("log_uniform", "int_log")}


def _written(record: StudyRecord, path: str) -> str | None:
    """The value in the experiment as written; None for a key that its kinds do not have."""
    try:
        return value_in_short(lookup(record.file.experiment, path))
    except KeyError:
        return None


def _trial(record: StudyRecord, trial: FrozenTrial) -> dict[str, Any]:
    """Number, state, values of the goals, each parameter's value as it lies on its axis (`values`: a number, or the
    name of a choice), seconds from the sweep's first trial to its end, why it ended, and the mean accuracy over the
    whole stream that it reported last."""
    file, outcome = record.file, decided(trial)
    tried = planner_of(file).tried(trial)
    begun = record.trials[0].datetime_start
    ended = trial.datetime_complete
    reported = progress_of(file, trial)
    values = trial.values if is_complete(trial) else None
    spread = outcome.metrics.get(f"spread/{file.objective.metric}") if outcome else None
    content = {
        "n": trial.number,
        "state": state_of(trial),
        "goals": [_short(value) for value in values] if values else None,
        "spread": _short(spread),
        "values": [_place(file.space[path], tried.get(path), path in tried) for path in file.space],
        "end": _short((ended - begun).total_seconds()) if begun and ended else None,
        "seconds": _short(outcome.seconds) if outcome else None,
        "step": reported[-1][0] if reported else None,
        "reached": _short(reported[-1][1]) if reported else None,
        "why": _last_line(outcome.why) if outcome else "",
        "expected": _short(record.beliefs[trial.number].mean) if trial.number in record.beliefs else None,
    }
    return {key: value for key, value in content.items() if value not in (None, "")}


def _place(distribution: Distribution, value: Any, there: bool) -> float | str | None:
    if not there:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool) and distribution.kind != "choice"
    return _short(value) if number else value_in_short(value)


def _further_seeds(record: StudyRecord) -> list[dict[str, Any]]:
    """Of the last race or confirming stage: each setting's values over the further seeds."""
    return [
        {
            "name": "as written" if number == race.written else f"trial {number}",
            "values": [_short(value) for value in race.values[number]],
        }
        for race in record.races[-1:]
        for number in race.order
        if race.values.get(number)
    ]


def _final(final: FinalResult) -> list[dict[str, Any]]:
    """Each setting's test accuracy (of a regression R^2) on the fresh seeds; none of a final step without it."""
    return [
        {"name": label_in_words(setting["label"]), "values": values}
        for setting in final.content["settings"]
        if (values := setting["metrics"].get("test/final_accuracy", {}).get("values"))
    ]


def _short(value: float | None) -> float | int | None:
    if value is None or not isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{ROUNDED}g}")


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
