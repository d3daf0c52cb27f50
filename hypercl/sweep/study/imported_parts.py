"""Samplers, pruners and importance evaluators by import path: a user's own, or any of Optuna's."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hypercl.config import SweepFile, UserError
from hypercl.config.models import Imported
from hypercl.user_code import user_code

if TYPE_CHECKING:
    from optuna.importance._base import BaseImportanceEvaluator

Part = TypeVar("Part")


def made(key: str, given: Imported, base: type[Part], import_paths: Sequence[Path], seed: int | None = None) -> Part:
    """What an import path names, called with its keyword arguments.

    Args:
        key: where it stands in the file, such as `search.sampler`.
        given: the section.
        base: what it must make.
        import_paths: folders searched before what is installed.
        seed: given as `seed` where the callable takes one and the file gives none.

    Raises:
        UserError: it is not found, may not be called, fails, or makes something else.
    """
    with user_code(key, given.import_, import_paths) as make:
        kwargs = dict(given.kwargs)
        if seed is not None and "seed" in inspect.signature(make).parameters:
            kwargs.setdefault("seed", seed)
        found = make(**kwargs)
    if not isinstance(found, base):
        raise UserError(
            f"{key}: {given.import_} makes a {type(found).__name__}\n"
            f"    fix:     name a subclass of {base.__module__.split('._')[0]}.{base.__name__}"
        )
    return found


class _Told:
    """Runs a user's code with its errors told as theirs."""

    def __init__(self, key: str, path: str, import_paths: Sequence[Path]) -> None:
        self._key, self._path, self._import_paths = key, path, import_paths

    def __call__(self, call: Callable[..., Any], *given: Any) -> Any:
        with user_code(self._key, self._path, self._import_paths, called=False):
            return call(*given)


class OwnSampler(BaseSampler):
    """A sampler by import path."""

    def __init__(self, given: Imported, import_paths: Sequence[Path], seed: int) -> None:
        key = "search.sampler"
        self.inner = made(key, given, BaseSampler, import_paths, seed)
        self._told = _Told(key, given.import_, import_paths)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._told(self.inner.infer_relative_search_space, study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._told(self.inner.sample_relative, study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._told(self.inner.sample_independent, study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._told(self.inner.before_trial, study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Sequence[float] | None) -> None:
        self._told(self.inner.after_trial, study, trial, state, values)


class OwnPruner(BasePruner):
    """A pruner by import path."""

    def __init__(self, given: Imported, import_paths: Sequence[Path]) -> None:
        self._inner = made("pruner", given, BasePruner, import_paths)
        self._told = _Told("pruner", given.import_, import_paths)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return bool(self._told(self._inner.prune, study, trial))


def evaluator_of(file: SweepFile, import_paths: Sequence[Path]) -> "BaseImportanceEvaluator | None":
    """The evaluator that the file names; None where it names none.

    Raises:
        UserError: it cannot be made.
    """
    given = file.search.importance
    if given is None:
        return None
    from optuna.importance._base import BaseImportanceEvaluator  # it brings scikit-learn

    return made("search.importance", given, BaseImportanceEvaluator, import_paths)
