"""The trace of a sweep under protocol `stability_decay`, from its study to `hypercl.analysis.stability`."""

from pathlib import Path
from typing import Any

from hypercl.analysis.stability import by_task_rows, stability_trace, write_stability
from hypercl.sweep.attempts import stage, tried_of
from hypercl.sweep.study.record import SweepRecord
from hypercl.sweep.study.stability_decay import Rules, Tried


def trace_rows(record: SweepRecord) -> list[dict[str, str]]:
    """What was tried at each task, its accuracies and what was accepted, a row a task; empty under other protocols."""
    rules = Rules.of(record.file)
    if rules is None:
        return []
    return by_task_rows(stability_trace(_rows(record, rules)), _name(rules))


def write_trace(record: SweepRecord, folder: Path) -> list[Path]:
    """Writes stability.csv, stability.md and stability.png; nothing under other protocols.

    Returns:
        The picture, if any.
    """
    rules = Rules.of(record.file)
    return [] if rules is None else write_stability(stability_trace(_rows(record, rules)), _name(rules), folder)


def _name(rules: Rules) -> str:
    return rules.strength.rpartition(".")[2]


def _rows(record: SweepRecord, rules: Rules) -> list[dict[str, Any]]:
    """One an attempt; what failed by a fault of machine or code and was tried again is left out."""
    now = stage(record.file, record.trials)
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
