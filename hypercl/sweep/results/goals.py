"""One goal or several, in tables and in words."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from hypercl.config import SweepFile
from hypercl.config.models import Objective
from hypercl.sweep.race import race_in_words
from hypercl.sweep.results.bounds import none_feasible
from hypercl.sweep.study import (
    KNEE,
    StudyRecord,
    Weights,
    goal_values,
    is_complete,
    pareto_front,
    parse_preference,
    with_spread,
)

MOST_NUMBERS = 12
ON_IT = "on it"
"""What stands in the column `front` of a table."""


def several(objective: Objective) -> bool:
    """Whether settings are compromises, of which none need be best in all."""
    return len(objective.goals) > 1


def columns(objective: Objective) -> list[str]:
    """The columns that hold the goals' values: `value` of one, of several the metrics."""
    return [goal.metric for goal in objective.goals] if several(objective) else ["value"]


def goal_cells(objective: Objective, trial: FrozenTrial) -> dict[str, float | None]:
    """A trial's value in each of these columns; None where it is not complete."""
    heads = columns(objective)
    return dict(zip(heads, trial.values, strict=True)) if is_complete(trial) else dict.fromkeys(heads)


def measured(objective: Objective, values: Sequence[float], metrics: dict[str, float]) -> str:
    """'0.9712', or '0.9712, 0.43', each with its spread over seeds, ' ± 0.0021', where there were several."""
    if not several(objective):
        return with_spread(f"{values[0]:.4f}", metrics, objective.metric)
    pairs = zip(objective.goals, values, strict=True)
    return ", ".join(with_spread(f"{value:.4g}", metrics, goal.metric, ".2g") for goal, value in pairs)


def told(objective: Objective, values: Sequence[float]) -> str:
    """'validation/final_accuracy 0.9712, compression_ratio 0.43'."""
    pairs = zip(objective.goals, values, strict=True)
    return ", ".join(f"{goal.metric} {value:{'.4g' if several(objective) else '.4f'}}" for goal, value in pairs)


def sought(objective: Objective) -> str:
    """'validation/final_accuracy', or 'validation/final_accuracy (maximize) and compression_ratio (minimize)'."""
    return goals_in_words(objective) if several(objective) else objective.metric


def goals_in_words(objective: Objective) -> str:
    """'validation/final_accuracy (maximize) and compression_ratio (minimize)'."""
    return " and ".join(f"{goal.metric} ({goal.direction})" for goal in objective.goals)


def trials_in_words(found: Sequence[int]) -> str:
    """'trial 3', 'trials 1, 3 and 5'; of many the first."""
    few = [str(number) for number in found[:MOST_NUMBERS]]
    if len(few) < len(found):
        return f"trials {', '.join(few)} and {len(found) - len(few)} more"
    return f"trial {few[0]}" if len(few) == 1 else f"trials {', '.join(few[:-1])} and {few[-1]}"


def beats(objective: Objective, one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether some values are as good as others in every goal and better in one."""
    signs = [goal.sign for goal in objective.goals]
    pairs = [(sign * a, sign * b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def placed(file: SweepFile, ranked: Sequence[FrozenTrial], number: int) -> list[tuple[str, str]]:
    """A complete trial's values and its place among the others, as rows of a name and a sentence.

    Args:
        file: as the trials were trained.
        ranked: all complete trials, best first.
        number: one of them.
    """
    rank = [trial.number for trial in ranked].index(number)
    place = f"{rank + 1} of {len(ranked)} complete trials"
    if not several(file.objective):
        return [(file.objective.metric, f"{ranked[rank].values[0]:.6g}{file.at_fidelity}, rank {place}")]
    front = {trial.number for trial in pareto_front(file, ranked)}
    values = goal_values(file, ranked[rank]).items()
    on_it = f", one of {len(front)} on the front" if number in front else ""
    return [*((metric, f"{value:.6g}{file.at_fidelity}") for metric, value in values), ("rank", place + on_it)]


def chosen_rows(file: SweepFile, prefer: str | None) -> list[tuple[str, str]]:
    """What goes into best.yaml, for the plan; nothing where that is the best value of one goal."""
    if prefer not in (None, KNEE):
        return [("best.yaml", f"what is preferred: {prefer}")]
    said = "" if prefer else ", or what --prefer said last"
    return [("best.yaml", f"the knee of the front{said}")] if several(file.objective) else []


def best_rows(record: StudyRecord) -> list[tuple[str, str]]:
    """The best trial and, of several goals, the front, as rows of a name and a sentence; none before a trial is
    complete."""
    file, best, prefer = record.file, record.best(), record.prefer or KNEE
    ranked = record.ranked()
    if not ranked:
        return []
    if none := none_feasible(file, ranked):
        return [("best", none)]
    front = sorted(trial.number for trial in pareto_front(file, record.trials))
    rows = [("front", trials_in_words(front))] if several(file.objective) and front else []
    if best is None:
        none = f"none, and no best.yaml: no complete trial passes --prefer '{prefer}' (--prefer knee takes that back)"
        return [*rows, ("best", none)]
    how = "" if prefer != KNEE or not several(file.objective) else " (the knee of the front)"
    how = f" (by --prefer '{prefer}')" if prefer != KNEE else how
    race = record.deciding_race
    if race is not None:
        confirmed = " (confirmed)" if best.number == race.challenger else " (as written: nothing better was found)"
        how = confirmed if race.kind == "confirm" else " (the leader of the race)"
    rows.append(("best", f"trial {best.number}, {told(file.objective, best.values)}{file.at_fidelity}{how}"))
    last = record.races[-1:]
    return [*rows, *((stage.kind, race_in_words(stage)) for stage in last)]


def why_chosen(file: SweepFile, trials: Sequence[FrozenTrial], prefer: str | None) -> list[str]:
    """Why the best of several compromises is the best, in lines; none for the best value of one goal."""
    if prefer in (None, KNEE):
        if not several(file.objective):
            return []
        count = len(pareto_front(file, trials))
        return [
            f"It is the knee of the front (of {count}): with each goal scaled over the front from 0 (best) to 1,",
            "it has the least sum, so that it lies farthest from the line through the front's ends.",
            "Another one is chosen by --prefer, with weights of the goals or a test.",
        ]
    wish = parse_preference(file.objective, prefer or "")
    first = file.objective.goals[0].metric
    how = "the best weighted sum of the goals" if isinstance(wish, Weights) else f"the best {first} of those that pass"
    return [f"Chosen by --prefer '{prefer}': {how}."]
