"""The trace of a sweep under protocol `stability_decay`, from its study to `hypercl.analysis.stability`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.config import SweepFile
from hypercl.exit_codes import ExitCode
from hypercl.sweep.study import OUTCOME, TRAINED, Rules, Stage, StudyRecord, Tried, current_stage, outcome_of, tried_of


def stability_rows(record: StudyRecord) -> list[dict[str, str]]:
    """What was tried at each task, its accuracies and what was accepted, a row a task; empty under other protocols."""
    rules = Rules.of(record.file)
    if rules is None:
        return []
    from hypercl.analysis import by_task_rows, stability_trace  # and so pandas, which `--status` needs not wait for

    return by_task_rows(stability_trace(_rows(record, rules)), _name(rules))


def write_stability_files(record: StudyRecord, folder: Path) -> list[Path]:
    """Writes stability.csv, stability.md and stability.png; nothing under other protocols.

    Returns:
        The picture, if any.
    """
    rules = Rules.of(record.file)
    if rules is None:
        return []
    from hypercl.analysis import stability_trace, write_stability

    return write_stability(stability_trace(_rows(record, rules)), _name(rules), folder)


def _name(rules: Rules) -> str:
    return rules.strength.rpartition(".")[2]


def _rows(record: StudyRecord, rules: Rules) -> list[dict[str, Any]]:
    """One an attempt; what failed by a fault of machine or code and was tried again is left out."""
    now = current_stage(record.file, record.trials)
    accepted = {each.number for each in now.accepted} if now else set()
    tried = [each for each in tried_of(record.trials) if each.state != "failed"]
    return [_row(each, rules, each.number in accepted) for each in tried]


def _row(each: Tried, rules: Rules, accepted: bool) -> dict[str, Any]:
    own = each.attempt
    return {
        "task": own.task + 1,
        "phase": own.phase,
        "trial": each.number,
        "parent": own.parent,
        "learning_rate": own.rates[-1],
        "strength": own.strengths[-1] if own.phase == "decay" else 0.0,
        "halvings": own.halvings,
        "accuracy": each.accuracy if each.state == "learned" else None,
        "mark": own.mark,
        "floor": rules.floor(own),
        "state": each.state,
        "accepted": accepted,
    }


def stability_ending(file: SweepFile, trials: Sequence[FrozenTrial]) -> tuple[ExitCode, str] | None:
    """How a sweep under this protocol has ended, in words: the stream is learned, stuck, or the budget was too small.

    None under another protocol.
    """
    now, rules = current_stage(file, trials), Rules.of(file)
    if now is None or rules is None:
        return None
    counted = sum(OUTCOME in trial.user_attrs and outcome_of(trial).kind in TRAINED for trial in trials)
    if now.done:
        return ExitCode.DONE, f"all {rules.tasks} tasks are learned: {counted} attempts, {_values(rules, now)}"
    where = f"at task {now.task + 1} of {rules.tasks}, in phase {now.phase}"
    if now.stuck:
        return ExitCode.FAILED, f"stopped {where}: {now.stuck}. Widen the space (under another --name)"
    return ExitCode.FAILED, (
        f"the budget of {file.search.trials} attempts ended {where}: there is no result yet. The same command with a "
        f"larger --trials goes on; {rules.most} are enough for any outcome"
    )


def _values(rules: Rules, now: Stage) -> str:
    """The accepted values, task by task."""
    last = now.accepted[-1].attempt
    rates, strengths = (", ".join(f"{value:g}" for value in values) for values in (last.rates, last.strengths[1:]))
    name = rules.strength.rpartition(".")[2]
    return f"lr {rates}" + (f"; {name} {strengths} from the second on" if strengths else "")


def stage_rows(file: SweepFile, trials: Sequence[FrozenTrial]) -> list[tuple[str, str]]:
    """How far the stream has come, as a row of a name and a sentence; empty under another protocol."""
    now, rules = current_stage(file, trials), Rules.of(file)
    if now is None or rules is None:
        return []
    if now.done:
        return [("stream", f"all {rules.tasks} tasks are learned: {_values(rules, now)}")]
    at = f"at task {now.task + 1} of {rules.tasks}, phase {now.phase}"
    return [("stream", f"stuck {at}: {now.stuck}" if now.stuck else at)]


def stability_plan(file: SweepFile) -> list[tuple[str, str]]:
    """The plan of a sweep under this protocol, as rows of a name and a sentence; empty under another."""
    rules = Rules.of(file)
    if rules is None:
        return []
    rates, budget = ", ".join(f"{rate:g}" for rate in rules.rates), file.search.trials
    name, count = rules.strength.rpartition(".")[2], len(rules.rates)
    each = f"{count} at the first task" + (
        f", at each later one {count} without protection and then 1 to {rules.halvings + 1} with it"
        if rules.tasks > 1
        else ""
    )
    enough = "" if budget >= rules.most else f"; the budget is {budget}, and a larger one goes on where that ends"
    lowest = rules.highest / 2**rules.halvings
    return [
        ("attempts", f"at most {rules.most}: {each}{enough}"),
        ("phase rate", f"plain fine-tuning with lr {rates}; the best accuracy on the new task is the mark"),
        (
            "phase decay",
            f"{name} from {rules.highest:g} down to {lowest:g} by halves, until the accuracy on the new task is at "
            f"least {1 - rules.drop:.3g} x the mark",
        ),
    ]
