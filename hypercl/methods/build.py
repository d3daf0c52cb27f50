"""From the section `method` to a learner; an imported class is checked before it is used."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypercl.config import Experiment, UserError, did_you_mean
from hypercl.config.models import (
    ALL,
    DGR,
    ER,
    SI,
    Ewc,
    Finetune,
    Hnet,
    HnetEnt,
    HnetReplay,
    HnetTir,
    ImportedMethod,
    Joint,
    LwF,
    OnlineEwc,
    OwnWeights,
    Scratch,
    StoredReal,
)
from hypercl.methods.er import ERLearner, StoredRealLearner
from hypercl.methods.generative_replay import DGRLearner, HnetReplayLearner, HnetTirLearner
from hypercl.methods.hnet import HnetLearner
from hypercl.methods.hnet_ent import HnetEntLearner
from hypercl.methods.learner import Learner, LearnerSpec
from hypercl.methods.network_learner import NetworkLearner
from hypercl.methods.penalty import EwcLearner, OnlineEwcLearner, SILearner
from hypercl.methods.plain import FinetuneLearner, JointLearner, LwFLearner, ScratchLearner
from hypercl.user_code import user_code

_KEY = "method.path"
_RENAMED = {"memory": "task_context", "knowledge": "inference_state", "deciders": "task_inferences"}
"""Methods of a `Learner` in hypercl 0.1.0, and their names since."""


def imported_method(spec: LearnerSpec) -> Learner:
    """Instantiates the class that an import path names; raises as `learner_class`, or if the class fails."""
    method = spec.experiment.method
    assert isinstance(method, ImportedMethod)
    learner = learner_class(spec.experiment, spec.import_paths)
    with user_code(_KEY, method.path, spec.import_paths):
        return learner(spec, **method.kwargs)  # pyright: ignore[reportCallIssue]


def learner_class(experiment: Experiment, import_paths: Sequence[Path]) -> type[Learner]:
    """The class of an experiment's imported method, checked against the experiment.

    Raises:
        UserError: as `imported_class`, or it does not support the experiment's scenario or replicas.
    """
    method = experiment.method
    assert isinstance(method, ImportedMethod)
    learner = imported_class(method, import_paths)
    _require_scenario(experiment, method.path, learner)
    replicas = experiment.training.replicas
    if replicas > 1 and learner.no_replicas:
        raise UserError(
            f"training.replicas: {replicas} cannot be trained together by {method.path}: "
            f"{learner.no_replicas}\n    fix:     training.replicas: 1"
        )
    return learner


def imported_class(config: ImportedMethod, import_paths: Sequence[Path]) -> type[Learner]:
    """The class that an import path names; folders in `import_paths` are searched before installed packages.

    Raises:
        UserError: it is not found, not a complete `Learner`, written for hypercl 0.1.0, does not take the keywords, or
            claims an unknown scenario.
    """
    with user_code(_KEY, config.path, import_paths, called=False) as learner:
        if not isinstance(learner, type) or not issubclass(learner, Learner):
            kind = "class" if isinstance(learner, type) else type(learner).__name__
            raise UserError(
                f"{_KEY}: {config.path} is a {kind}, not a subclass of hypercl.methods.Learner\n"
                "    fix:     inherit from Learner, or from hypercl.methods.NetworkLearner, which provides the network"
            )
    _require_new_names(config, learner)
    missing = sorted(learner.__abstractmethods__)
    if missing:
        raise UserError(f"{_KEY}: {config.path} lacks {', '.join(missing)}: see hypercl/methods/learner.py")
    scenarios: Any = learner.scenarios
    if not isinstance(scenarios, frozenset | set) or not scenarios or not ALL.issuperset(scenarios):
        raise UserError(
            f"{_KEY}: {config.path}: scenarios is {scenarios!r}, not a set of some of {', '.join(sorted(ALL))}"
        )
    signature = inspect.signature(learner)
    try:
        signature.bind(None, **config.kwargs)
    except TypeError as error:
        names = list(signature.parameters)[1:]
        unknown = [name for name in config.kwargs if name not in names]
        fix = did_you_mean(unknown[0], names) if unknown else ""
        raise UserError(
            f"method.kwargs: {config.path} does not accept these: {error}\n    given:   {config.kwargs}\n"
            f"    allowed: {', '.join(names) or 'none'}" + (f"\n    fix:     {fix}" if fix else "")
        ) from error
    return learner


def _require_new_names(config: ImportedMethod, learner: type[Learner]) -> None:
    """Refuses old names, which nothing calls; a class that also defines the new name may use the old one freely."""

    def is_inherited(name: str) -> bool:
        return getattr(getattr(learner, name), "__module__", "").startswith("hypercl.")

    old = [name for name, new in _RENAMED.items() if hasattr(learner, name) and is_inherited(new)]
    if old:
        renames = ", ".join(f"{name} to {_RENAMED[name]}" for name in old)
        raise UserError(
            f"{_KEY}: {config.path} defines {', '.join(old)}, as for hypercl 0.1.0, which would never be called\n"
            f"    fix:     rename {renames}; self.parts is now self.spec"
        )


def _require_scenario(experiment: Experiment, path: str, learner: type[Learner]) -> None:
    scenario = experiment.tasks.scenario
    if scenario not in learner.scenarios:
        supported = ", ".join(sorted(learner.scenarios))
        raise UserError(
            f"tasks.scenario: {path} cannot predict in scenario {scenario}, only in {supported} (its `scenarios`)"
        )
    undefined: list[object] = [Learner.task_inferences]
    if not isinstance(experiment.hypernet, OwnWeights):
        undefined.append(NetworkLearner.task_inferences)
    if scenario != "task" and learner.task_inferences in undefined:
        raise UserError(
            f"tasks.scenario: {path} cannot predict without the task's identity, as scenario {scenario} requires\n"
            "    fix:     define task_inferences, use hypernet: {name: none} with a NetworkLearner, "
            "or claim scenario task only (`scenarios`)"
        )


LEARNERS: dict[type, Callable[[LearnerSpec], Learner]] = {
    Hnet: HnetLearner,
    HnetEnt: HnetEntLearner,
    HnetTir: HnetTirLearner,
    HnetReplay: HnetReplayLearner,
    DGR: DGRLearner,
    Finetune: FinetuneLearner,
    Scratch: ScratchLearner,
    Joint: JointLearner,
    Ewc: EwcLearner,
    OnlineEwc: OnlineEwcLearner,
    SI: SILearner,
    LwF: LwFLearner,
    ER: ERLearner,
    StoredReal: StoredRealLearner,
    ImportedMethod: imported_method,
}
"""The learner of each method."""


def build_method(spec: LearnerSpec) -> Learner:
    """The learner of the section `method`."""
    return LEARNERS[type(spec.experiment.method)](spec)
