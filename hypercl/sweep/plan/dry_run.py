"""What a sweep would cost: settings sampled, the largest built, two steps of it measured. Starts no Ray."""

import random
from collections.abc import Callable

from hypercl.config import Experiment, SweepFile, UserError, assign, check_sweep, lookup
from hypercl.config.models import task_count
from hypercl.formatting import duration
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.plan.final import final_step_row, race_time
from hypercl.sweep.plan.plan import Rows, resources_row
from hypercl.sweep.planner import planner_of
from hypercl.sweep.study import (
    Bounds,
    Verdict,
    draw,
    final_config,
    full_config,
    priced,
    search_config,
    tasks_left_out,
)
from hypercl.sweep.workers import Engine, Slots, fit_slots, this_machine

SETTINGS = 20


def dry_run_rows(
    file: SweepFile,
    given: SweepOptions,
    measure: Callable[[Experiment], float] | None = None,
    engine: Engine | None = None,
) -> Rows:
    """Validates a sweep, samples settings, builds the largest and measures two steps of it.

    Args:
        file: the sweep.
        given: where data and results lie.
        measure: seconds a step of an experiment; None takes `hypercl.training.two_steps`.
        engine: sizes of networks; a test's own.

    Returns:
        rows of a name and a sentence.

    Raises:
        UserError: as a sweep would, and where nothing that was sampled is within the bounds.
    """
    check_sweep(file, given.source)
    asked, file = file, search_config(file)
    engine = engine or Engine()
    bounds = Bounds(file, engine.sizes, given.import_paths, asked)
    verdicts = sampled(file, bounds)
    experiments = [verdict.experiment for verdict in verdicts if verdict.feasible and verdict.experiment is not None]
    if not experiments:
        raise UserError(f"none of {len(verdicts)} settings drawn at random is within the bounds: {verdicts[-1].why}")
    slots = fit_slots(file.resources, this_machine(given.cpus, given.gpus), given.max_concurrent)
    largest = max(experiments, key=lambda one: engine.sizes(_at_full_length(one, asked), given.import_paths).parameters)
    if largest.training.threads == "auto":
        largest = assign(largest, {"training.threads": slots.threads})
    at_full = _at_full_length(largest, asked)
    sizes, measured = engine.sizes(at_full, given.import_paths), measure or _two_steps(given)
    planner, seconds = planner_of(file), measured(largest)
    tasks, part = (task_count(largest.tasks), " (one task)") if planner.one_task else (1, "")
    steps = steps_of(largest, given) // tasks
    trials = planner.most_trials
    rounds = -(-trials // slots.concurrent)
    full_seconds = measured(at_full) if at_full.tasks != largest.tasks else seconds
    full_trial = full_seconds * steps_of(at_full, given) / tasks
    saved = f", instead of {duration(full_trial * rounds)} at full length" if asked.fidelity else ""
    return [
        ("settings", f"{len(verdicts)} drawn, {len(experiments)} within the bounds"),
        ("largest", f"{sizes.parameters:,} parameters, compression ratio {sizes.compression_ratio:.3g}"),
        ("a step", f"{seconds * 1000:.3g} ms, the mean of the first and the last task's"),
        ("a trial", f"{steps:,} steps{part}, about {duration(seconds * steps)}, evaluation not counted"),
        resources_row(slots),
        (
            "the sweep",
            f"at most about {duration(seconds * steps * rounds)} for {trials} trials if all were so large{saved}",
        ),
        *gpu_hours_row(slots, trials * seconds * steps, given.gpu_budget.price),
        *race_time(file, slots, full_trial),
        _final_step(asked, slots, full_seconds, given),
    ]


def gpu_hours_row(slots: Slots, seconds: float, price: float | None) -> Rows:
    """What the search takes of GPUs at most; nothing without GPUs.

    Args:
        slots: a trial's.
        seconds: of training, of all trials.
        price: of a GPU-hour.
    """
    hours = slots.gpus * seconds / 3600
    return [("GPU-hours", f"at most about {priced(hours, price)}, of the search")] if hours else []


def _at_full_length(trial: Experiment, asked: SweepFile) -> Experiment:
    """The experiment of a trial, as what is selected from the trials is trained."""
    full = full_config(asked).experiment
    lengths = {path: lookup(full, path) for path in asked.fidelity if path != "tasks.num_tasks"}
    return assign(trial, {**tasks_left_out(asked), **lengths}) if asked.fidelity else trial


def _final_step(asked: SweepFile, slots: Slots, seconds: float, given: SweepOptions) -> tuple[str, str]:
    reported = final_config(asked, {})
    open_ended = reported.tasks.num_tasks is None  # which protocol transfer allows
    return final_step_row(asked, slots, None if open_ended else seconds * steps_of(reported, given))


def sampled(file: SweepFile, bounds: Bounds, count: int = SETTINGS) -> list[Verdict]:
    """Settings at random, and the experiment as written where it is part of the search."""
    rng = random.Random(file.search.seed)
    found = [bounds.judge(draw(file.space, rng)) for _ in range(count)]
    return [*found, bounds.of(file.experiment)] if file.search.include_base else found


def steps_of(experiment: Experiment, given: SweepOptions) -> int:
    """Steps of a whole run; epochs are counted on the data."""
    training, tasks = experiment.training, experiment.tasks
    if training.iterations is not None:
        return training.iterations * task_count(tasks)
    from hypercl.tasks import open_stream, steps_in_epochs

    stream = open_stream(tasks, given.data_dir, given.offline, given.import_paths)
    lengths = [len(stream.task(index).train) for index in range(task_count(tasks))]
    return sum(steps_in_epochs(length, training.batch_size, training.epochs or 1) for length in lengths)


def _two_steps(given: SweepOptions) -> Callable[[Experiment], float]:
    from hypercl.training import RunFolders, two_steps

    place = RunFolders(given.folder, given.data_dir, given.offline, given.import_paths)
    return lambda experiment: two_steps(experiment, place)
