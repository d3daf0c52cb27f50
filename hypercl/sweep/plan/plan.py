"""What a sweep will do, before it does it."""

from contextlib import suppress
from itertools import chain

import optuna
from optuna.trial import TrialState

from hypercl.config import Distribution, SweepFile, UserError, assign, lookup
from hypercl.config.checks import conditions_in_words
from hypercl.config.models import LENGTHS, VARYING, HypernetMethod, Training, key_of
from hypercl.config.reading import value_in_words
from hypercl.formatting import shown
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.plan.final import final_row, race_rows
from hypercl.sweep.planner import planner_of
from hypercl.sweep.race import stage_of
from hypercl.sweep.results import bounds_in_words, chosen_rows
from hypercl.sweep.study import (
    JOURNAL,
    MEMBER,
    TRAINED,
    Bounds,
    check_preference,
    earlier_of,
    names_of,
    open_journal,
    outcome_of,
    priced,
    protocol_in_words,
    pruner_in_words,
    read_sweep,
    search_config,
    used_gpu_hours,
)
from hypercl.sweep.study import sampler_in_words as described_sampler
from hypercl.sweep.workers import Engine, Slots, fit_slots, this_machine

Rows = list[tuple[str, str]]


def plan_rows(file: SweepFile, given: SweepOptions, engine: Engine | None = None) -> Rows:
    """What will be done, as rows of a name and a sentence. Starts no Ray and writes nothing.

    Raises:
        UserError: a trial is larger than this machine, or what is preferred cannot be read.
    """
    check_preference(file, given.prefer)
    given.gpu_budget.check()
    asked, file = file, search_config(file)
    bounds = Bounds(file, (engine or Engine()).sizes, given.import_paths, asked)
    tasks = asked.experiment.tasks
    return [
        ("stream", f"{tasks.name}, {tasks.num_tasks} tasks"),
        ("protocol", protocol_in_words(asked)),
        *_methods(file),
        *_regularizer(asked),
        *(planner_of(file).plan_rows() or _searched(file, given)),
        *_replicas(file),
        *_bundles(file),
        *fidelity_rows(asked),
        *_resumed(file, given),
        *feasible_rows(file, bounds),
        *([("kept after training", bounds_in_words(file.constraints.measured))] if file.constraints.measured else []),
        final_row(asked, given),
        *_resources(file, given),
        ("data", f"{shown(given.data_dir)}" + (" (offline)" if given.offline else "")),
        *chosen_rows(file, given.prefer),
        ("results", shown(given.folder)),
        *([("runs", f"below {file.study.run_folders}")] if file.study.run_folders else []),
        ("W&B", _wandb(file)),
    ]


def _searched(file: SweepFile, given: SweepOptions) -> Rows:
    """The search: what is sought in how many trials, who suggests them from what, who stops them."""
    goals = " and ".join(f"{goal.direction} {goal.metric}" for goal in file.objective.goals)
    return [
        ("objective", goals + file.at_fidelity),
        ("trials", _trials(file)),
        *[("sampler", text) for text in [described_sampler(file.search, file.space)] if text],
        *[(f"space {path}", described_distribution(one)) for path, one in file.space.items()],
        *[("warm start", one.in_words) for one in earlier_of(given.folder, file)],
        ("pruner", pruner_in_words(file)),
        *race_rows(file),
    ]


def _methods(file: SweepFile) -> Rows:
    """The methods compared: with or without the hypernetwork."""
    kinds = {name: assign(file.experiment, {"method.name": name}).hypernet.name for name in file.methods}
    own = [name for name, kind in kinds.items() if kind == "none"]
    generated = [name for name in kinds if name not in own]
    parts = [f"{', '.join(generated)}: weights from the hypernetwork"] if generated else []
    bounded = "; the bound on the compression ratio does not concern them" if file.constraints.compression_ratio else ""
    parts += [f"{', '.join(own)}: the target's own weights, no hypernetwork{bounded}"] if own else []
    return [("methods", ". ".join(parts))] if file.methods else []


def _regularizer(file: SweepFile) -> Rows:
    """What keeps the regulariser from its cheaper form."""
    method = file.experiment.method
    why = method.regularizer.direct_alone if isinstance(method, HypernetMethod) else None
    if why is None or why == "kind ewc":
        return []
    return [("regulariser", f"{why}: in the direct form, which generates the earlier tasks' weights at each step")]


def _replicas(file: SweepFile) -> Rows:
    training = file.experiment.training
    last = training.seed + training.replicas - 1
    text = f"seeds {training.seed} to {last} in each trial, trained together and judged by their mean"
    return [("replicas", text)] if training.replicas > 1 else []


def _bundles(file: SweepFile) -> Rows:
    """Which trials are trained together."""
    most = file.search.bundle
    scalars = ", ".join(dict.fromkeys(key_of(entry) for entry in file.space if key_of(entry) in VARYING))
    text = f"up to {most} trials that differ only in {scalars} are trained together, in the place of one"
    return [("bundles", text)] if most > 1 else []


def fidelity_rows(asked: SweepFile) -> Rows:
    """How much shorter trials are than what is selected from them; nothing where they have full length."""
    full, file = asked.experiment, search_config(asked)
    pairs = [(lookup(file.experiment, path), lookup(full, path), LENGTHS[path]) for path in asked.fidelity]
    text = " and ".join(f"{short:,} of {long:,} {unit}" for short, long, unit in pairs)
    later = "the final step trains" if stage_of(file) is None else "what follows the search trains"
    if not pairs:
        return []
    rows = [("fidelity", f"trials are trained for {text}; {later} at full length")]
    sizes = [one.values for path, one in asked.space.items() if key_of(path) == "hypernet.chunk_size"]
    if "tasks.num_tasks" in asked.fidelity and "auto" in (getattr(full.hypernet, "chunk_size", 0), *chain(*sizes)):
        note = "chunk_size auto is solved for the tasks that a trial learns; at full length the chunks are smaller"
        rows.append(("note", note))
    return rows


def feasible_rows(file: SweepFile, bounds: Bounds) -> Rows:
    """How much of the space is within its bounds, and whether the experiment as written is."""
    limits = {name: one.model_dump(exclude_none=True) for name, one in file.constraints.known_before.items()}
    if not limits:
        return []
    share, drawn = bounds.share()
    words = [
        " and ".join(f"{'at least' if side == 'min' else 'at most'} {value:g}" for side, value in bound.items())
        for bound in limits.values()
    ]
    text = "; ".join(f"{name.replace('_', ' ')} {word}" for name, word in zip(limits, words, strict=True))
    rows = [("bounds", f"{text}: about {share:.0%} of the space is feasible ({drawn} draws)")]
    base = bounds.of(file.experiment)
    if file.search.include_base and not base.feasible:
        rows.append(("note", f"the experiment as written is out of bounds and is not trained: {base.why}"))
    return rows


def described_distribution(one: Distribution) -> str:
    """A distribution in words."""
    when = f", believed near {value_in_words(one.prior)}" if one.prior is not None else ""
    when += f", when {conditions_in_words(one)}" if one.when else ""
    if one.kind == "equals":
        return f"computed: {one.equals}{when}"
    if one.kind == "choice":
        return "one of " + ", ".join(map(value_in_words, one.values)) + when
    low, high = one.values
    whole = "whole numbers " if one.kind.startswith("int") else ""
    step = f" in steps of {one.step:g}" if one.step else ""
    return f"{whole}{low:g} to {high:g}{step}" + (", logarithmic" if "log" in one.kind else "") + when


def resources_row(slots: Slots) -> tuple[str, str]:
    """What runs at once, in words."""
    each = f"{slots.cpus:g} CPU" + (f", {slots.gpus:g} GPU" if slots.gpus else "")
    threads = "thread" if slots.threads == 1 else "threads"
    text = f"{slots.concurrent} trials at once, each with {each} and {slots.threads} {threads}"
    return "resources", text + ("; how many share a GPU follows from the first to finish" if slots.by_need else "")


def _trials(file: SweepFile) -> str:
    search = file.search
    first = "; the experiment as written comes first" if search.include_base else ""
    given = f"{', then' if first else '; first'} {len(search.enqueue)} enqueued" if search.enqueue else ""
    start = (
        f" (random for the first {search.startup_trials})"
        if search.startup_trials is not None and not search.warm_start
        else ""
    )
    number = planner_of(file).most_trials
    grid = "" if number == search.trials else f" (search.trials is {search.trials}; the grid has no more cells)"
    return f"{number}, suggested by {search.sampler_name}{start}{first}{given}{grid}"


def _resumed(file: SweepFile, given: SweepOptions) -> Rows:
    """What stands in the folder already. Only reads: the journal is mended later, under the driver's lock."""
    if not (given.folder / JOURNAL).exists() and not (given.folder / MEMBER).exists():
        return []
    try:
        if file.study.storage is not None:
            trials = read_sweep(given.folder).trials
        else:
            storage = open_journal(given.folder / JOURNAL)
            names = names_of(optuna.get_all_study_names(storage))
            trials = optuna.load_study(study_name=names[0], storage=storage).get_trials(deepcopy=False) if names else []
    except ValueError:
        return [("resume", "the journal is damaged; it will be repaired or refused")]
    trained = sum(outcome_of(trial).kind in TRAINED for trial in trials if trial.state.is_finished())
    running = sum(trial.state == TrialState.RUNNING for trial in trials)
    left = max(0, file.search.trials - trained)
    if not trials:
        return []
    return [("resume", f"{trained} trials trained, {running} to resume, {left} to go")]


def _resources(file: SweepFile, given: SweepOptions) -> Rows:
    if given.address is not None:
        gpu_hours = _gpu_hours(given) if given.gpu_budget.options else []
        return [("resources", f"what fits on the Ray cluster at {given.address}"), *gpu_hours]
    slots = fit_slots(file.resources, this_machine(given.cpus, given.gpus), given.max_concurrent)
    given.gpu_budget.require_gpus(slots.gpus)
    gpu_hours = _gpu_hours(given) if slots.gpus else []
    notes = [*slots.notes, *_precision(file.experiment.training, slots)]
    return [resources_row(slots), *[("note", note) for note in notes], *gpu_hours]


def _precision(training: Training, slots: Slots) -> list[str]:
    """What is said of a precision that the trials' processor has to imitate."""
    from hypercl.training import imitated

    slow = imitated(training.precision) if training.device in ("auto", "cpu") and not slots.gpus else None
    return [f"training.precision: {slow}"] if slow else []


def _gpu_hours(given: SweepOptions) -> Rows:
    """What of GPUs is used so far, and where the sweep stops; nothing where neither is known."""
    budget, used = given.gpu_budget, 0.0
    with suppress(UserError):  # a damaged journal is refused later, or mended
        record = read_sweep(given.folder)
        used = used_gpu_hours(record.folder, record.trials, record.attributes)
    price = [] if budget.price is None or used else [f"{budget.price:g} each"]
    parts = [f"{priced(used, budget.price)} so far"] if used else price
    parts += [f"stops at {budget.in_words}"] if budget.limited else []
    return [("GPU-hours", "; ".join(parts))] if parts else []


def _wandb(file: SweepFile) -> str:
    block = file.logging.wandb
    if block is None:
        return "not used"
    return f"project {block.project}" + (
        ", offline" if block.mode == "offline" else "; offline if there is no key or network"
    )
