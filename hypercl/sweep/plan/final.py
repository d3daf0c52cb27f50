"""What a final step will train, before it is known which settings."""

from dataclasses import dataclass
from math import prod

from hypercl.analysis import least_p
from hypercl.config import SweepFile
from hypercl.config.checks import no_confirm
from hypercl.config.models import Confirm
from hypercl.formatting import duration
from hypercl.sweep.final import joined, most_settings, parts_of
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.race import confirm_plan, confirm_seeds, most_seeds, race_plan, race_points, stage_of
from hypercl.sweep.study import APART, Role, has_orders
from hypercl.sweep.workers import Slots, fit_slots, this_machine


@dataclass(frozen=True)
class FinalPlan:
    """A final step's size, at most: the experiment as written may be among the best."""

    settings: int
    """Settings assumed for a whole front, whose size is unknown yet: the default of `final.settings`."""
    seeds: int
    runs: int
    """Of one seed each, or of bundles that fill the machine."""

    def seconds(self, run: float, concurrent: int) -> float:
        """Its duration, given the seconds of one seed; a bundle takes as long as its seeds one by one."""
        a_bundle = -(-self.settings * self.seeds // self.runs)
        return -(-self.runs // concurrent) * a_bundle * run

    def in_words(self) -> str:
        """`at most 4 settings x 10 seeds in 4 runs`."""
        return f"at most {self.settings} settings x {self.seeds} seeds in {self.runs} runs"


def final_plan(asked: SweepFile, slots: Slots) -> FinalPlan:
    """The size of a file's final step.

    Args:
        asked: the file as it was asked.
        slots: what fits at once.
    """
    final = asked.final
    settings = (most_settings(asked) or 3) + 1 + final.from_scratch + final.joint
    parts = parts_of(final.seeds, settings, slots.concurrent) if joined(asked, {}) else final.seeds
    return FinalPlan(settings, final.seeds, settings * parts)


def final_row(asked: SweepFile, given: SweepOptions) -> tuple[str, str]:
    """The final step as a row of a plan.

    Args:
        asked: the file as it was asked.
        given: on what machine.
    """
    first, scratch = most_settings(asked), " and training from scratch" if asked.final.from_scratch else ""
    scratch += " and joint training" if asked.final.joint else ""
    best = "the whole front" if first is None else "the best setting" if first == 1 else f"the best {first} settings"
    if asked.methods:
        of_each = "the best setting of each method"
        best = of_each if first == len(asked.methods) else f"{of_each}, then more to make up {best}"
    size = f"{asked.final.seeds} fresh seeds each"
    if given.address is None and first is not None:
        slots = fit_slots(asked.resources, this_machine(given.cpus, given.gpus), given.max_concurrent)
        size = final_plan(asked, slots).in_words()
    least = least_p(asked.final.seeds)
    few = f" (too few for a p below {least:.4g})" if least > 0.05 else ""
    text = f"{best}, the experiment as written{scratch}: {size}{few}"
    if given.final in ("no", "when asked"):
        return "final step", f"when you ask for it (hypercl final), which opens test data: {text}"
    return "final step", f"{text}; it opens test data"


def final_step_row(asked: SweepFile, slots: Slots, run: float | None) -> tuple[str, str]:
    """The final step as a row of a dry run.

    Args:
        asked: the file as it was asked.
        slots: what fits at once.
        run: seconds of one seed of the largest setting; None where the number of tasks is unknown in advance.
    """
    plan = final_plan(asked, slots)
    if run is None:
        return "final step", f"{plan.in_words()}; the time is unknown, since the reported stream has no num_tasks"
    return "final step", f"{plan.in_words()}, at most about {duration(plan.seconds(run, slots.concurrent))}"


def race_rows(file: SweepFile) -> list[tuple[str, str]]:
    """What the confirming stage or races will do and cost at most, for the plan; nothing where there is neither.

    Args:
        file: as from `hypercl.sweep.study.protocols.search_config`.
    """
    stage = stage_of(file)
    if stage is None:
        why = no_confirm(file) if file.search.confirm == "auto" else "search.confirm is false"
        return [("confirm", f"no: {why}")] if file.space else []
    first = file.experiment.training.seed + Role.SELECTION * APART
    each = ", each with an order of its own" if has_orders(file.experiment) else ", trained together"
    most = sum(most_seeds(file))
    trial = file.experiment.training.replicas * prod(file.fidelity.values())
    cost = f"at most {most} trainings of one seed, as much as {most / trial:.3g} trials"
    if isinstance(stage, Confirm):
        rounds = confirm_plan(stage, file, stage.settings).rounds
        best = "best setting" if stage.settings == 1 else f"{stage.settings} best settings"
        text = (
            f"after the search the {best} (by expected value) and the experiment as written get the same further "
            f"seeds{each} (from seed {first} on), {', then up to '.join(map(str, rounds))} each; after each round the "
            f"better half of the challengers stays, and the last one is the winner only where it is better with "
            f"certainty (p at most {stage.alpha:g}), else the experiment as written stays"
        )
        return [("confirm", text), ("confirm cost", cost)]
    count = len(race_points(file))
    when = "after the search" if count == 1 else f"after every {stage.every} trials and the search ({count} races)"
    text = (
        f"{when} the best {stage.settings} settings get {stage.block} further seeds a round{each} (from seed {first} "
        f"on), {stage.seeds} each at most; settings that a paired t test finds worse than the leader are dropped "
        f"(alpha {stage.alpha:g})"
    )
    return [("race", text), ("race cost", cost)]


def race_time(file: SweepFile, slots: Slots, trial: float) -> list[tuple[str, str]]:
    """How long the confirming stage or races take at most, for a dry run; nothing where there is neither.

    Args:
        file: as from `hypercl.sweep.study.protocols.search_config`.
        slots: what fits at once.
        trial: seconds of a trial of the largest setting; a bundle takes as long as its seeds one by one.
    """
    stage = stage_of(file)
    if stage is None:
        return []
    if isinstance(stage, Confirm):
        rounds, times = confirm_seeds(confirm_plan(stage, file, stage.settings), stage.settings), 1
    else:
        counts, times = race_plan(stage, stage.settings, 1).rounds, len(race_points(file))
        rounds = [(stage.settings, after - before) for before, after in zip((0, *counts), counts, strict=False)]
    runs = [(settings * seeds, 1) if has_orders(file.experiment) else (settings, seeds) for settings, seeds in rounds]
    bundles = sum(-(-number // slots.concurrent) * seeds for number, seeds in runs)
    seconds = bundles * trial / file.experiment.training.replicas * times
    return [("confirm" if isinstance(stage, Confirm) else "races", f"at most about {duration(seconds)}")]
