"""What a sweep cost, in words."""

from hypercl.formatting import duration, operations
from hypercl.sweep.study import (
    GPU_TIME,
    GPUS,
    PRICE,
    StudyRecord,
    TuningCost,
    cost_of,
    cost_of_runs,
    earlier_cost,
    kept_earlier,
    priced,
    used_gpu_hours,
)


def cost_rows(record: StudyRecord) -> list[tuple[str, str]]:
    """Rows of a name and a sentence: what the search cost so far; those of the confirming stage, of
    races and of the final step, where there are any; GPU-hours in all."""
    gpus, known = float(record.attributes.get(GPUS, 0.0)), record.attributes.get(GPU_TIME, {})
    parts = {
        "spent": cost_of(record),
        "spent on confirming": cost_of_runs(record.folder / "confirm", gpus, known),
        "spent on races": cost_of_runs(record.folder / "race", gpus, known),
        "spent on the final step": cost_of_runs(record.folder / "final", gpus, known),
    }
    names = {"spent": "trials"}
    rows = [(name, cost_in_words(part, names.get(name, "runs"))) for name, part in parts.items() if part.trials]
    return [*rows, *_gpu_hours(record), *_before(record)]


def _gpu_hours(record: StudyRecord) -> list[tuple[str, str]]:
    """GPU-hours of all of it, those of what is running too, and what they cost; nothing without GPUs."""
    hours = used_gpu_hours(record.folder, record.trials, record.attributes)
    return [("GPU-hours", priced(hours, record.attributes.get(PRICE)))] if hours else []


def _before(record: StudyRecord) -> list[tuple[str, str]]:
    """What the earlier sweeps cost that the sampler knew."""
    cost = earlier_cost(kept_earlier(record.folder))
    if cost is None:
        return []
    sweeps = f"{cost['sweeps']} earlier sweeps" if cost["sweeps"] != 1 else "an earlier sweep"
    known, trials, hours = f"in {sweeps} that the sampler knew", cost["trials"], cost["hours"]
    if trials is None or hours is None:
        return [("spent before", f"{known}: unknown")]
    flops = None if cost["flops"] is None else int(cost["flops"])
    spent = TuningCost(int(trials), int(trials), hours, cost["gpu_hours"] or 0.0, flops)
    return [("spent before", f"{cost_in_words(spent)}, {known}")]


def cost_in_words(spent: TuningCost, what: str = "trials") -> str:
    """'24 trials: 3 h 20 min of training, 0.83 GPU-hours, 1.3e15 floating-point operations (not counted: the time of 1
    and the operations of 2)'."""
    parts = [f"{duration(spent.hours * 3600)} of training"]
    if spent.gpu_hours:
        parts.append(f"{spent.gpu_hours:.3g} GPU-hours")
    if spent.flops is not None:
        parts.append(f"{operations(spent.flops)} floating-point operations")
    missing = [
        f"the {name} of {count}" for name, count in (("time", spent.untimed), ("operations", spent.uncounted)) if count
    ]
    left_out = f" (not counted: {' and '.join(missing)})" if missing else ""
    return f"{spent.trials} {what if spent.trials != 1 else what.removesuffix('s')}: {', '.join(parts)}{left_out}"
