"""A method of the user's own: a subclass of `Learner` by import path, checked before it is used."""

import inspect
from collections.abc import Sequence
from pathlib import Path

from hypercl.config import Experiment, UserError, did_you_mean
from hypercl.config.models import ALL, ImportedMethod, OwnWeights
from hypercl.methods.learner import Learner, LearnerSpec
from hypercl.methods.network_learner import NetworkLearner
from hypercl.user_code import user_code

_KEY = "method.path"


def imported_method(parts: LearnerSpec) -> Learner:
    """Calls the class that an import path names: `Class(parts, **kwargs)`.

    Raises:
        UserError: as `learner_class`, or the class fails.
    """
    experiment = parts.experiment
    learner = learner_class(experiment, parts.import_paths)
    with user_code(_KEY, experiment.method.path, parts.import_paths):
        return learner(parts, **experiment.method.kwargs)  # pyright: ignore[reportCallIssue]


def learner_class(experiment: Experiment, import_paths: Sequence[Path]) -> type[Learner]:
    """The class that an experiment's method names, once it is known to do what the experiment asks of it.

    Raises:
        UserError: as `imported_class`, or it does not claim the experiment's scenario or replicas.
    """
    found = imported_class(experiment.method, import_paths)
    _require_scenario(experiment, found)
    _require_replicas(experiment, found)
    return found


def imported_class(config: ImportedMethod, import_paths: Sequence[Path]) -> type[Learner]:
    """The class that an import path names.

    Args:
        config: import path and keywords.
        import_paths: folders searched before what is installed.

    Raises:
        UserError: nothing is found there, it is not a `Learner` or lacks a part of one, does not take the keywords, or
            claims what is no scenario.
    """
    with user_code(_KEY, config.path, import_paths) as found:
        if not isinstance(found, type) or not issubclass(found, Learner):
            kind = "class" if isinstance(found, type) else type(found).__name__
            raise UserError(
                f"{_KEY}: {config.path} is a {kind}, not a subclass of hypercl.methods.Learner\n"
                "    fix:     inherit from Learner, or from hypercl.methods.NetworkLearner, which brings the network"
            )
    lacking = sorted(found.__abstractmethods__)
    if lacking:
        raise UserError(f"{_KEY}: {config.path} lacks {', '.join(lacking)}: see hypercl/methods/learner.py")
    scenarios = found.scenarios
    if not isinstance(scenarios, frozenset | set) or not scenarios or not ALL.issuperset(scenarios):
        raise UserError(
            f"{_KEY}: {config.path}: scenarios is {scenarios!r}, not a set of some of {', '.join(sorted(ALL))}"
        )
    _require_keywords(config, found)
    return found


def _require_keywords(config: ImportedMethod, found: type[Learner]) -> None:
    signature = inspect.signature(found)
    try:
        signature.bind(None, **config.kwargs)
    except TypeError as error:
        names = list(signature.parameters)[1:]
        unknown = [name for name in config.kwargs if name not in names]
        fix = did_you_mean(unknown[0], names) if unknown else ""
        raise UserError(
            f"method.kwargs: {config.path} does not take these: {error}\n    given:   {config.kwargs}\n"
            f"    allowed: {', '.join(names) or 'none'}" + (f"\n    fix:     {fix}" if fix else "")
        ) from error


def _require_scenario(experiment: Experiment, found: type[Learner]) -> None:
    path, scenario = experiment.method.path, experiment.tasks.scenario
    if scenario not in found.scenarios:
        given = ", ".join(sorted(found.scenarios))
        raise UserError(
            f"tasks.scenario: {path} cannot predict in scenario {scenario}, only in {given} (its `scenarios`)"
        )
    without: list[object] = [Learner.task_inferences]
    if not isinstance(experiment.hypernet, OwnWeights):
        without.append(NetworkLearner.task_inferences)
    if scenario != "task" and found.task_inferences in without:
        raise UserError(
            f"tasks.scenario: {path} does not say how it predicts where the task is not given, as in scenario "
            f"{scenario}\n    fix:     define task_inferences, take hypernet: {{name: none}} with a NetworkLearner, "
            "or claim scenario task alone (`scenarios`)"
        )


def _require_replicas(experiment: Experiment, found: type[Learner]) -> None:
    replicas = experiment.training.replicas
    if replicas > 1 and found.no_replicas:
        raise UserError(
            f"training.replicas: {replicas} cannot be trained together by {experiment.method.path}: "
            f"{found.no_replicas}\n    fix:     training.replicas: 1"
        )
