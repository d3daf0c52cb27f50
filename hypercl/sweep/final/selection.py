"""What a final step trains: chosen and written into the study before test data is opened.

An opening is a user attribute of the study. A resumed final step takes settings and seeds from it and
never chooses again; a second opening has seeds of its own and is kept beside the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.analysis import BASE, JOINT, SCRATCH
from hypercl.config import ConfigError, Experiment, SweepFile, UserError, assign
from hypercl.sweep.planner import planner_of
from hypercl.sweep.race import race_order
from hypercl.sweep.study import (
    FINAL,
    Promise,
    StudyRecord,
    SweepStudy,
    earlier_cost,
    final_config,
    is_complete,
    kept_earlier,
    leaders,
    method_of,
    outcome_of,
    tuning_cost,
)
from hypercl.sweep.workers import PlannedRun

FOLDER = "final"


@dataclass(frozen=True)
class Chosen:
    """One setting of a final step."""

    label: str
    """`base`, `trial-7`."""
    trial: int | None
    """Its trial in the search; None where the search never had it."""
    settings: Mapping[str, Any]
    """What it has over the experiment as written: key path -> value."""
    promised: tuple[float, ...] | None
    """What it is expected to reach in each goal; None where it was not measured to its end."""
    interval: tuple[float, float] | None = None
    """Of that, 95 %; None where nothing is known of the noise."""


@dataclass(frozen=True)
class FinalSelection:
    """One opening of test data."""

    when: str
    trained: int
    """Trials that were trained by then."""
    chosen: tuple[Chosen, ...]
    """Best first."""
    start: int
    """Place of the first seed among those for reporting."""
    seeds: tuple[int, ...]
    """The same for every setting."""
    orders: tuple[int, ...] | None
    """Seeds of the stream's orders, one for each seed; None where it is the same for all."""
    parts: int
    """Runs that the seeds of a setting are divided into, where a run can have several."""
    scratch: bool
    """Whether the target is also trained from scratch on each task."""
    cost: Mapping[str, float | None]
    """What the tuning had cost by then: `trials`, `hours`, `gpu_hours`, `flops`."""
    joint: bool = False
    """Whether the target is also trained on all tasks met so far together."""
    earlier: Mapping[str, float | None] | None = None
    """What the sweeps had cost that its sampler knew (`hypercl.sweep.study.warm_start.earlier_cost`)."""
    finished: str | None = None
    """When every run was done or lost."""

    @property
    def references(self) -> tuple[str, ...]:
        """Labels of what else is trained, beside the settings."""
        return tuple(label for label, asked in ((SCRATCH, self.scratch), (JOINT, self.joint)) if asked)


def check_final(file: SweepFile) -> None:
    """Refuses a final step that would compare what cannot be compared.

    Args:
        file: as it was asked.

    Raises:
        UserError: training from scratch or jointly where settings have targets of their own.
    """
    own = sorted(path for path in file.space if path.startswith("target."))
    for key, metric in (("from_scratch", "forward transfer"), ("joint", "intransigence")):
        if getattr(file.final, key) and own:
            raise UserError(
                f"final.{key}: {metric} compares with the same target, and the space varies {own[0]}\n"
                f"    fix:     leave out final.{key}, or keep the target as it is"
            )


def selections_of(attributes: Mapping[str, Any]) -> list[FinalSelection]:
    """The openings in the user attributes of a study, in order."""
    return [_selection_of(stored) for stored in attributes.get(FINAL, ())]


def write_selections(study: SweepStudy, openings: Sequence[FinalSelection]) -> None:
    """Rewrites all openings of a study."""
    study.optuna.set_user_attr(FINAL, [asdict(one) for one in openings])


def current_selection(record: StudyRecord, chosen: Sequence[Chosen], concurrent: int) -> FinalSelection:
    """A new opening, of seeds that none before it had. Writes nothing.

    Args:
        record: of the sweep's study.
        chosen: as from `choice`.
        concurrent: runs that fit at once; the seeds are cut into bundles that fill them.
    """
    asked = record.asked
    count, scratch, joint = asked.final.seeds, asked.final.from_scratch, asked.final.joint
    start = sum(len(one.seeds) for one in selections_of(record.attributes))
    each = [final_config(asked, {}, start + place) for place in range(count)]
    orders = tuple(getattr(one.tasks, "order_seed", None) or 0 for one in each)
    return FinalSelection(
        when=datetime.now(UTC).isoformat("T", "seconds"),
        trained=record.trained,
        chosen=tuple(chosen),
        start=start,
        seeds=tuple(one.training.seed for one in each),
        orders=orders if len(set(orders)) == count else None,
        parts=parts_of(count, len(chosen) + scratch + joint, concurrent),
        scratch=scratch,
        joint=joint,
        cost=tuning_cost(record),
        earlier=earlier_cost(kept_earlier(record.folder)),
    )


def progress(runs: Sequence[PlannedRun]) -> str:
    """How many of some runs are done or lost, in words."""
    return f"{sum(bool(run.lost) or run.summary is not None for run in runs)} of {len(runs)} runs are done"


def most_settings(asked: SweepFile) -> int | None:
    """How many best settings a final step takes at most, at least one of each method that is compared; None for a whole
    front."""
    wanted = asked.final.settings
    return None if wanted == "all" else max(wanted, len(asked.methods))


def parts_of(seeds: int, settings: int, concurrent: int) -> int:
    """Runs that the seeds of each setting are divided into, so that as many run at once as fit."""
    return min(seeds, max(1, concurrent // settings))


def choice(record: StudyRecord) -> list[Chosen]:
    """The best settings, best first, and the experiment as written, none of them twice; nothing where no setting is
    complete and within its bounds.

    The order is that of the last race where there was one, of several goals that of the front, else that of the search.
    Test data has no part in it.
    """
    asked, planner = record.asked, planner_of(record.asked)
    base, wanted = final_config(asked, {}), most_settings(asked)
    found: list[Chosen] = []
    seen: list[Experiment] = []
    for trial in best_first(record):
        settings = planner.settings(trial)
        experiment = final_config(asked, settings)
        if experiment in seen:
            continue
        seen.append(experiment)
        label = BASE if experiment == base else f"trial-{trial.number}"
        found.append(_chosen(label, trial.number, settings, record.promised(trial)))
        if len(found) == wanted:
            break
    if not found or base in seen:
        return found
    own = _trial_of(base, record)
    return [*found, _chosen(BASE, own and own.number, {}, own and record.promised(own))]


def _chosen(label: str, trial: int | None, settings: Mapping[str, Any], promise: Promise | None) -> Chosen:
    return Chosen(label, trial, settings, promise and promise.values, promise and promise.interval)


def runs_of(asked: SweepFile, opening: FinalSelection, folder: Path) -> list[PlannedRun]:
    """The runs of an opening, setting by setting.

    Args:
        asked: the file as it was asked.
        opening: what was written down.
        folder: the sweep's.
    """
    found = [(one.label, each) for one in opening.chosen for each in _bundles(asked, one.settings, opening)]
    for label in opening.references:  # named as their methods are
        reference: dict[str, Any] = {"method.name": label, "hypernet.name": "none", "by_task": {}}
        found += [(label, assign(each, reference)) for each in _bundles(asked, {}, opening)]
    return [PlannedRun.of(label, each, folder / FOLDER, "report") for label, each in found]


def _bundles(asked: SweepFile, settings: Mapping[str, Any], opening: FinalSelection) -> list[Experiment]:
    """A setting on all seeds: in as few experiments as the opening says, or one a seed where they cannot be joined."""
    count, parts = len(opening.seeds), opening.parts
    if not joined(asked, settings):
        parts = count
    ends = [opening.start + count * part // parts for part in range(parts + 1)]
    return [final_config(asked, settings, first, end - first) for first, end in pairwise(ends)]


def joined(asked: SweepFile, settings: Mapping[str, Any]) -> bool:
    """Whether several seeds of a setting can be one run: their streams have no order of their own, and nothing acts on
    each seed at a time of its own, as early stopping does."""
    if final_config(asked, settings, 0).tasks != final_config(asked, settings, 1).tasks:
        return False
    try:
        final_config(asked, settings, 0, 2)
    except ConfigError:
        return False
    return True


def best_first(record: StudyRecord) -> list[FrozenTrial]:
    """The trials that a final step takes its settings from, best first: complete and within their bounds; where methods
    are compared the best of each comes first."""
    file = record.file
    if len(file.objective.goals) > 1:
        ranked = record.ranked()
        found = leaders(file, ranked, file.final.settings, record.prefer)
        each = [trial for own in by_method(ranked) for trial in leaders(file, own, 1, record.prefer)]
        return list({trial.number: trial for trial in [*found[:1], *each, *found]}.values())
    if record.best() is None:
        return []
    trials = [record.trial(number) for number in race_order(record)]
    feasible = [trial for trial in trials if outcome_of(trial).feasible]
    return list({trial.number: trial for trial in [*(own[0] for own in by_method(feasible)), *feasible]}.values())


def by_method(ranked: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    """Trials, best first, of each method that the space compares."""
    found: dict[Any, list[FrozenTrial]] = {}
    for trial in ranked:
        found.setdefault(method_of(trial.params), []).append(trial)
    return list(found.values())


def _trial_of(base: Experiment, record: StudyRecord) -> FrozenTrial | None:
    """The complete trial of the experiment as written, where the search had it."""
    asked, planner = record.asked, planner_of(record.asked)
    complete = [trial for trial in record.trials if is_complete(trial)]
    return next((one for one in complete if final_config(asked, planner.settings(one)) == base), None)


def _selection_of(stored: Mapping[str, Any]) -> FinalSelection:
    chosen = [
        Chosen(
            one["label"],
            one["trial"],
            one["settings"],
            tuple(one["promised"]) if one["promised"] else None,
            tuple(one["interval"]) if one.get("interval") else None,
        )
        for one in stored["chosen"]
    ]
    orders = tuple(stored["orders"]) if stored["orders"] else None
    lists: dict[str, Any] = {"seeds": tuple(stored["seeds"]), "chosen": tuple(chosen), "orders": orders}
    return FinalSelection(**{**stored, **lists})
