"""What a sweep cost, in words."""

from hypercl.formatting import duration
from hypercl.sweep.study import GPUS, StudyRecord, TuningCost, cost_of, cost_of_runs


def cost_rows(record: StudyRecord) -> list[tuple[str, str]]:
    """Rows of a name and a sentence: what the search cost so far; those of the confirming stage, of
    races and of the final step, where there are any."""
    gpus = float(record.attributes.get(GPUS, 0.0))
    parts = {
        "spent": cost_of(record),
        "spent on confirming": cost_of_runs(record.folder / "confirm", gpus),
        "spent on races": cost_of_runs(record.folder / "race", gpus),
        "spent on the final step": cost_of_runs(record.folder / "final", gpus),
    }
    names = {"spent": "trials"}
    return [(name, cost_in_words(part, names.get(name, "runs"))) for name, part in parts.items() if part.trials]


def cost_in_words(spent: TuningCost, what: str = "trials") -> str:
    """'24 trials: 3 h 20 min of training, 0.83 GPU-hours, 1.3e15 floating-point operations (not counted: the time of 1
    and the operations of 2)'."""
    parts = [f"{duration(spent.hours * 3600)} of training"]
    if spent.gpu_hours:
        parts.append(f"{spent.gpu_hours:.3g} GPU-hours")
    if spent.flops is not None:
        parts.append(f"{flops_words(spent.flops)} floating-point operations")
    missing = [
        f"the {name} of {count}" for name, count in (("time", spent.untimed), ("operations", spent.uncounted)) if count
    ]
    left_out = f" (not counted: {' and '.join(missing)})" if missing else ""
    return f"{spent.trials} {what if spent.trials != 1 else what.removesuffix('s')}: {', '.join(parts)}{left_out}"


def flops_words(flops: float) -> str:
    """'1.3e15'."""
    return f"{flops:.1e}".replace("e+", "e")
