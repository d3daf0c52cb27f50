"""The search against the space: the sampler, and the settings that are to be tried first."""

from hypercl.config.checks.bundle import bundle_problems
from hypercl.config.checks.conditions import completed, with_tied
from hypercl.config.models import (
    LENGTHS,
    Confirm,
    FirstK,
    FirstTask,
    StabilityDecay,
    SweepFile,
    is_mapping,
    key_of,
    shortened,
)
from hypercl.config.problems import Problem, did_you_mean
from hypercl.config.reading import lookup

FOLLOWING = ("tpe", "gp", "nsga2", "nsga3")
"""Samplers that can follow a prior."""
_COSTS = ("parameters", "seconds", "peak_memory_gib")
"""Metrics that the final step does not measure again."""
_INFERENCE, _INFERRING = "validation/task_inference_accuracy", ("hnet_ent", "hnet_tir", "import")


def search_problems(file: SweepFile) -> list[Problem]:
    """What is wrong with `search`, given a space without mistakes in itself."""
    search = [
        *_grid(file),
        *_priors(file),
        *_cmaes(file),
        *_fidelity(file),
        *_confirm(file),
        *_race(file),
        *_enqueue(file),
        *bundle_problems(file),
    ]
    search += _warm_start(file)
    return [*_goals(file), *search]


def _goals(file: SweepFile) -> list[Problem]:
    goals = file.objective.goals
    found: list[Problem] = []
    asked, scenario = {goal.metric for goal in goals}, file.experiment.tasks.scenario
    varied = "method.name" in file.space or file.experiment.method.name in _INFERRING
    if _INFERENCE in asked and (scenario == "task" or (scenario == "domain" and not varied)):
        why = "is given" if scenario == "task" else f"is inferred by no {file.experiment.method.name}"
        message = f"in scenario {scenario} the task {why}, so that no accuracy of inferring it can be measured"
        found.append(Problem("objective", message, _INFERENCE, fix="seek another metric"))
    if not file.experiment.tasks.regression:
        found += [
            Problem(
                "objective",
                f"tasks {file.experiment.tasks.name} are classes, which have no squared error",
                metric,
                fix="seek validation/final_accuracy",
            )
            for metric in ("validation/final_mse", "validation/during_mse")
            if metric in asked
        ]
    elif "validation/calibration_error" in asked:
        message = f"tasks {file.experiment.tasks.name} is a regression, whose predictions have no confidence"
        found.append(Problem("objective", message, "validation/calibration_error", fix="seek validation/final_mse"))
    if asked <= set(_COSTS):
        message = f"by {' and '.join(sorted(asked))} alone the best setting is one that learns nothing"
        found.append(Problem("objective", message, fix="add validation/final_accuracy to what is maximized"))
    if len(goals) == 1 and file.final.settings == "all":
        message = "`all` means the whole Pareto front, and one objective has no front"
        found.append(Problem("final.settings", message, "all", fix="give a number, such as 3"))
    if len(goals) == 1:
        return found
    if file.search.sampler == "cmaes":
        message = f"cmaes seeks one goal, and the objective has {len(goals)}"
        found.append(Problem("search.sampler", message, "cmaes", fix="use tpe, nsga2, nsga3 or gp"))
    if isinstance(file.protocol, StabilityDecay):
        message = "stability_decay judges each attempt by its accuracy on one task, not by several goals"
        found.append(Problem("objective", message, fix="seek one metric, or use another protocol"))
    return found


def _grid(file: SweepFile) -> list[Problem]:
    if file.search.sampler != "grid":
        return []
    message, fix = "the grid sampler needs values that can be listed", "use choice, int, or give a step"
    return [
        Problem(f"space.{path}", message, fix=fix)
        for path, one in file.space.items()
        if one.kind not in ("choice", "int", "equals") and one.step is None
    ]


def _priors(file: SweepFile) -> list[Problem]:
    """A prior is followed by samplers that take suggestions beside their own, and that evidence leads."""
    planned = isinstance(file.protocol, StabilityDecay)
    if file.search.sampler_name in FOLLOWING and not planned:
        return []
    who = "protocol stability_decay" if planned else f"sampler {file.search.sampler_name}"
    fix = "remove the prior" + ("" if planned else f", or use {', '.join(FOLLOWING)}")
    return [
        Problem(f"space.{name}.prior", f"{who} cannot follow a prior", one.prior, fix=fix)
        for name, one in file.space.items()
        if one.prior is not None
    ]


def _cmaes(file: SweepFile) -> list[Problem]:
    if file.search.sampler != "cmaes" or len(file.objective.goals) > 1:
        return []
    numbers = [one for one in file.space.values() if one.kind not in ("choice", "equals") and not one.when]
    if numbers:
        return []
    message = "cmaes models numbers that every setting has, and the space has none: it would draw all at random"
    return [Problem("search.sampler", message, "cmaes", fix="use tpe or random")]


def _fidelity(file: SweepFile) -> list[Problem]:
    if file.fidelity and isinstance(file.protocol, StabilityDecay):
        message = "stability_decay reports the values that its attempts find task by task, which must be of full length"
        return [Problem("search.fidelity", message, fix="remove it, or use another protocol")]
    return [found for path in file.fidelity if (found := _fraction(file, path)) is not None]


def _fraction(file: SweepFile, path: str) -> Problem | None:
    """What is wrong with the fraction of one length."""
    where, share, known = f"search.fidelity.{path}", file.fidelity[path], ", ".join(LENGTHS)
    if path not in LENGTHS:
        fix = did_you_mean(path, list(LENGTHS))
        return Problem(where, "trials can be shortened in training and in tasks alone", path, known, fix)
    if path in map(key_of, file.space):
        fix = f"take {path} out of the space, or remove search.fidelity"
        return Problem(where, "the space varies this length: a fraction of it would be no setting of its own", fix=fix)
    full = lookup(file.experiment, path)
    if full is None:
        other = next(each for each in LENGTHS if each != path and lookup(file.experiment, each) is not None)
        return Problem(where, f"the experiment has no {path}: its length is {other}", path, other, f"write {other}")
    tasks, short = path == "tasks.num_tasks", shortened(full, share)
    if tasks and (isinstance(file.protocol, FirstK | FirstTask) or file.experiment.by_task):
        message = f"protocol {file.protocol.name} already cuts the stream"
        message = "experiment.by_task has a value for each task" if file.experiment.by_task else message
        return Problem(where, message, share, fix="shorten training.iterations or training.epochs instead")
    if tasks and short == 1:
        message = "one task is left, in which nothing can be forgotten"
        if full > 2:
            return Problem(where, message, share, f"at least {2 / full:.3g}")
        return Problem(where, message, share, fix="shorten training.iterations or training.epochs instead")
    if short == full:
        return Problem(where, f"rounded, this is the full length of {full}", share, fix="give a smaller fraction")
    return None


def _confirm(file: SweepFile) -> list[Problem]:
    confirm, why = file.search.confirm, no_confirm(file)
    if not isinstance(confirm, Confirm) or not why:
        return []
    return [Problem("search.confirm", why, fix="remove it; auto, the default, confirms wherever that is possible")]


def no_confirm(file: SweepFile) -> str:
    """Why nothing can be confirmed after the search, in words; '' where it can."""
    if file.search.race is not None:
        return "a race is set (search.race), which takes the place of the confirming stage"
    if len(file.objective.goals) > 1:
        return "several goals cannot be confirmed: no one value says which setting is better"
    if not file.objective.metric.startswith("validation/"):
        return f"{file.objective.metric} does not vary with the seed, so further seeds add no information"
    if isinstance(file.protocol, StabilityDecay):
        return "trials of stability_decay are attempts at one task, not settings that could be compared"
    if not file.search.include_base:
        return "the experiment as written is not among the trials (search.include_base is false)"
    return "" if file.space else "the space is empty: there is only the experiment as written"


def _race(file: SweepFile) -> list[Problem]:
    race, search, metric = file.search.race, file.search, file.objective.metric
    if race is None:
        return []
    found: list[Problem] = []
    if len(file.objective.goals) > 1:
        message = "several goals cannot be raced: no one value says which setting leads"
        found.append(Problem("search.race", message, fix="remove it, or seek one metric"))
    elif not metric.startswith("validation/"):
        message = f"{metric} does not vary with the seed, so further seeds add no information"
        found.append(Problem("search.race", message, fix="remove it"))
    if isinstance(file.protocol, StabilityDecay):
        message = "trials of stability_decay are attempts at one task, not settings that could be raced"
        found.append(Problem("search.race", message, fix="remove it, or use another protocol"))
    if race.block > race.seeds:
        message = f"a round has more seeds than the race gives a setting, {race.seeds}"
        found.append(Problem("search.race.block", message, race.block, f"at most {race.seeds}"))
    if race.every is not None and race.every >= search.trials:
        message = f"the search ends after {search.trials} trials, and there is a race then anyway"
        found.append(Problem("search.race.every", message, race.every, fix="remove it, or give a smaller number"))
    return found


def _enqueue(file: SweepFile) -> list[Problem]:
    problems: list[Problem] = []
    whole = [completed(file.experiment, file.space, {})[0]] if file.search.include_base else []
    for index, given in enumerate(file.search.enqueue):
        where = f"search.enqueue.{index}"
        values, wrong = completed(file.experiment, file.space, given)
        wrong = wrong or with_tied(file.experiment, file.space, values)[1]
        problems += [
            Problem(f"{where}.{one.path}", one.message, one.value, one.allowed, one.fix or _fix(one, given))
            for one in wrong
        ]
        if not wrong and values in whole:
            first = file.search.include_base and values == whole[0]
            message = "it is the experiment as written, which comes first" if first else "duplicate setting"
            problems.append(Problem(where, message, dict(given), fix="remove it"))
        whole.append(values)
    return problems


def _warm_start(file: SweepFile) -> list[Problem]:
    search, where = file.search, "search.warm_start"
    if not search.warm_start:
        return []
    if isinstance(file.protocol, StabilityDecay):
        return [Problem(where, "stability_decay plans its trials itself and learns from no others", fix="remove it")]
    if search.sampler_name in ("random", "grid", "qmc", "cmaes", "nsga2", "nsga3"):
        message = f"{search.sampler_name} learns from no trials but its own"
        return [Problem(where, message, fix="use tpe or gp, or put known settings into search.enqueue")]
    return []


def _fix(problem: Problem, given: object) -> str:
    known = is_mapping(given) and problem.path in given
    return "" if known else f"give {problem.path} a value of the space"
