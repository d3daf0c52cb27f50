"""How sure a sweep's result is, in sentences."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from optuna.trial import FrozenTrial

from hypercl.analysis import another_sweep, foretold, p_no_better, p_worse
from hypercl.config.models import NoPruner, task_count
from hypercl.sweep.results.goals import several
from hypercl.sweep.results.importance import Importance
from hypercl.sweep.study import StudyRecord, is_complete, is_written, progress_of

Rows = list[tuple[str, str]]


def how_sure_rows(record: StudyRecord, by_task: Mapping[str, Sequence[Importance]]) -> Rows:
    """How probable it is that the winner is better, what another sweep would find, which parameters matter for which
    task, and whether pruning was safe: rows of a name and a sentence, as far as something can be said.

    Args:
        record: the sweep.
        by_task: as from `importances_by_task`.
    """
    return [*_winner(record), *_another(record), *_tasks(by_task), *_pruning(record)]


def _winner(record: StudyRecord) -> Rows:
    best = record.best()
    others = [trial for trial in record.ranked() if best is not None and trial.number != best.number]
    if best is None or several(record.file.objective) or not others:
        return []
    written = next((trial for trial in others if is_written(trial)), None)
    rest = [trial for trial in others if written is None or trial.number != written.number]
    named = [("the setting as written", written)] if written is not None else []
    named += [(f"the runner-up (trial {rest[0].number})", rest[0])] if rest else []
    found = [(name, p) for name, other in named if (p := _probability(record, best, other)) is not None]
    if not found:
        return []
    who = "the setting as written" if is_written(best) else f"trial {best.number}"
    parts = ", than ".join(f"{name} with probability {_p(p)}" for name, p in found)
    return [("winner", f"{who} is better than {parts}{record.file.at_fidelity}")]


def _probability(record: StudyRecord, best: FrozenTrial, other: FrozenTrial) -> float | None:
    """That a setting is truly better than another; None where no value of them is noisy."""
    race, maximize = record.deciding_race, record.file.objective.direction == "maximize"
    if race is not None and race.kind == "race":
        pairs = list(zip(race.values.get(best.number, ()), race.values.get(other.number, ()), strict=False))
        if len(pairs) > 1:
            return 1 - p_worse([(a - b) if maximize else (b - a) for a, b in pairs])
    if not record.beliefs:
        return None
    expected = {number: (belief.mean, belief.sd) for number, belief in record.beliefs.items()}
    return 1 - p_no_better(best.number, other.number, expected, maximize)


def _p(probability: float) -> str:
    return "above 0.99" if probability > 0.99 else "below 0.01" if probability < 0.01 else f"{probability:.2f}"


def _another(record: StudyRecord) -> Rows:
    best = record.best()
    if best is None or not record.beliefs or len(record.beliefs) < 3:
        return []
    complete = [trial for trial in record.trials if trial.number in record.beliefs]
    places = {trial.number: place for place, trial in enumerate(complete)}
    found = another_sweep(
        [record.beliefs[trial.number].mean for trial in complete],
        [record.beliefs[trial.number].sd for trial in complete],
        record.trained,
        places[best.number],
        next((places[trial.number] for trial in complete if is_written(trial)), None),
        record.file.objective.direction == "maximize",
    )
    low, high = found.interval
    text = f"the winner would be expected at {low:.4f} to {high:.4f} (95 %, bootstrap over {record.trained} trials), "
    return [
        ("another seed", f"{text}and be the same setting in {found.same:.0%} of such sweeps{record.file.at_fidelity}")
    ]


def _tasks(by_task: Mapping[str, Sequence[Importance]]) -> Rows:
    """What stands out for which task; tasks that agree share a part of the sentence."""
    if not by_task:
        return []
    sure = [(name, tuple(each.path for each in found if each.stands_out)) for name, found in by_task.items()]
    if not any(paths for _, paths in sure):
        return [("by task", "no parameter matters for the accuracy on any task more than chance would show")]
    parts: list[str] = []
    for paths, group in groupby(sure, key=lambda one: one[1]):
        names = [name for name, _ in group]
        where = (
            names[0]
            if len(names) == 1
            else f"{names[0]} to {names[-1].removeprefix('task ')}".replace("task", "tasks", 1)
        )
        parts.append(f"{where}: {', '.join(paths) or 'no more than chance'}")
    return [("by task", "; ".join(parts))]


def _pruning(record: StudyRecord) -> Rows:
    """Whether the order at each rung was that at the end, in a sweep with a pruner."""
    file = record.file
    if isinstance(file.pruner, NoPruner):
        return []
    reports, tasks = file.pruner.reports_per_task, task_count(file.experiment.tasks)
    complete = [trial for trial in record.trials if is_complete(trial)]
    progress = [dict(progress_of(file, trial)) for trial in complete]
    goal = file.objective.goals[0]
    late = [-goal.sign * trial.values[0] for trial in complete]
    parts: list[str] = []
    doubtful = False
    for task in range(file.pruner.warmup_tasks, tasks):
        known = [(one[task * reports], end) for one, end in zip(progress, late, strict=True) if task * reports in one]
        found = foretold(*map(list, zip(*known, strict=True))) if known else None
        if found is not None:
            doubtful |= found.p > 0.05
            parts.append(f"task {task} {found.tau:.2f}" + (" (no more than chance)" if found.p > 0.05 else ""))
    if not parts:
        return [("pruning", "whether it was safe cannot be said: too few trials were trained to the end")]
    advice = "; prune later (pruner.warmup_tasks), or not at all" if doubtful else ""
    text = f"Kendall's tau of the order after a task and at the end, over {len(complete)} complete trials: "
    return [("pruning", f"{text}{', '.join(parts)}{advice}")]
