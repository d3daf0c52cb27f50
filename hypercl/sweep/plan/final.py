"""What a final step will train, before it is known which settings."""

from dataclasses import dataclass

from hypercl.config import SweepFile
from hypercl.formatting import duration
from hypercl.sweep.final import joined, parts_of
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.race import most_seeds, race_plan, race_points
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
        """`4 settings x 10 seeds in 4 runs`."""
        return f"{self.settings} settings x {self.seeds} seeds in {self.runs} runs"


def final_plan(asked: SweepFile, slots: Slots) -> FinalPlan:
    """The size of a file's final step.

    Args:
        asked: the file as it was asked.
        slots: what fits at once.
    """
    final = asked.final
    best = 3 if final.settings == "all" else final.settings
    settings = best + 1 + final.from_scratch
    parts = parts_of(final.seeds, settings, slots.concurrent) if joined(asked, {}) else final.seeds
    return FinalPlan(settings, final.seeds, settings * parts)


def final_row(asked: SweepFile, given: SweepOptions) -> tuple[str, str]:
    """The final step as a row of a plan.

    Args:
        asked: the file as it was asked.
        given: on what machine.
    """
    first, scratch = asked.final.settings, " and training from scratch" if asked.final.from_scratch else ""
    best = "the whole front" if first == "all" else "the best setting" if first == 1 else f"the best {first} settings"
    size = f"{asked.final.seeds} fresh seeds each"
    if given.address is None and first != "all":
        slots = fit_slots(asked.resources, this_machine(given.cpus, given.gpus), given.max_concurrent)
        size = final_plan(asked, slots).in_words()
    return "final step", f"{best}, the experiment as written{scratch}: {size}; test data is opened once"


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
    """What races will do and cost at most, for the plan; nothing where nothing is raced.

    Args:
        file: as from `hypercl.sweep.study.protocols.search_config`.
    """
    race = file.search.race
    if race is None:
        return []
    first = file.experiment.training.seed + Role.SELECTION * APART
    count = len(race_points(file.search))
    when = "after the search" if count == 1 else f"after every {race.every} trials and the search ({count} races)"
    each = ", each with an order of its own" if has_orders(file.experiment) else ", trained together"
    text = (
        f"{when} the best {race.settings} settings get {race.block} further seeds a round{each} (from seed {first} "
        f"on), {race.seeds} each at most; settings that a paired t test finds worse than the leader are dropped "
        f"(alpha {race.alpha:g})"
    )
    most = sum(most_seeds(file))
    return [("race", text), ("race cost", f"at most {most} seeds, as much as {trials_worth(file):.3g} trials")]


def race_time(file: SweepFile, slots: Slots, trial: float) -> list[tuple[str, str]]:
    """How long races take at most, for a dry run; nothing where nothing is raced.

    Args:
        file: as from `hypercl.sweep.study.protocols.search_config`.
        slots: what fits at once.
        trial: seconds of a trial of the largest setting; a bundle takes as long as its seeds one by one.
    """
    race = file.search.race
    if race is None:
        return []
    alone, rounds = has_orders(file.experiment), race_plan(race, race.settings, 1).rounds
    new = [after - before for before, after in zip((0, *rounds), rounds, strict=False)]
    runs = [(race.settings * count, 1) if alone else (race.settings, count) for count in new]
    bundles = sum(-(-number // slots.concurrent) * seeds for number, seeds in runs)
    seconds = bundles * trial / file.experiment.training.replicas * len(race_points(file.search))
    return [("races", f"at most about {duration(seconds)}")]


def trials_worth(file: SweepFile) -> float:
    """As many trials have as many seeds as all races at most."""
    return sum(most_seeds(file)) / file.experiment.training.replicas
