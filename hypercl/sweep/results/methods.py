"""A sweep that compares methods, by method."""

from typing import Any

from hypercl.analysis import FinalResult, counterpart
from hypercl.sweep.race import race_order
from hypercl.sweep.results.goals import goal_cells
from hypercl.sweep.study import TRAINED, StudyRecord, is_written, method_of, outcome_of, state_of


def methods_rows(record: StudyRecord, final: FinalResult | None) -> list[dict[str, Any]]:
    """A row a method that the space compares, the one with the best trial first: `method`, trials `trained`, `best
    trial`, its value, what is `expected` of it, its `seconds`, and the mean on `test data` once the final step is done.
    Nothing where one method is tuned.

    The number of trials belongs to the comparison: a method with more of them has had more chances.
    """
    file, ranked = record.file, [record.trial(number) for number in race_order(record)]
    best = {name: trial for trial in reversed(ranked) if (name := method_of(trial.params)) in file.methods}
    order = [*(method_of(trial.params) for trial in ranked if trial in best.values()), *file.methods]
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(order):
        own = [trial for trial in record.trials if method_of(trial.params) == name]
        row: dict[str, Any] = {"method": name, "trained": sum(state_of(trial) in TRAINED for trial in own)}
        if (trial := best.get(name)) is not None:
            row |= {"best trial": trial.number, **goal_cells(file.objective, trial)}
            row |= {"expected": record.beliefs[trial.number].mean} if record.beliefs else {}
            row |= {"seconds": outcome_of(trial).seconds}
            row |= _on_test_data(final, f"trial-{trial.number}", is_written(trial)) if final is not None else {}
        rows.append(row)
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{column: row.get(column, "") for column in columns} for row in rows]


def _on_test_data(final: FinalResult, label: str, written: bool) -> dict[str, Any]:
    for setting in final.content["settings"]:
        if setting["label"] == label or (written and setting["label"] == "base"):
            keys = [counterpart(goal["metric"]) for goal in final.content["goals"]]
            return {key: setting["metrics"][key]["mean"] for key in keys if key.startswith("test/")}
    return {}
