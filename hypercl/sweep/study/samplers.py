"""Who suggests the next setting."""

import logging
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any
from warnings import catch_warnings

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.samplers._ga import BaseGASampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hypercl.config import Distribution, UserError
from hypercl.config.checks import is_active
from hypercl.config.models import Imported, Search, SweepFile
from hypercl.seeds import derive
from hypercl.sweep.study.imported_parts import OwnSampler
from hypercl.sweep.study.outcome import constraint_names
from hypercl.sweep.study.prior import Believing
from hypercl.sweep.study.sampler_view import MOST, SeenAtMost, seen_as_complete, seen_with
from hypercl.sweep.study.space import distributions, listed, values_of
from hypercl.sweep.study.warm_start import Earlier

_PACKAGES = {"gp": ("scipy", "torch"), "cmaes": ("cmaes",), "qmc": ("scipy",)}

_COMPLETE_ONLY = (GPSampler, CmaEsSampler, BaseGASampler)
COMPLETE_ONLY = ("gp", "cmaes", "nsga2", "nsga3")
"""Samplers that read complete trials only (Optuna 5.0): they learn nothing from pruned trials, and of settings out of
bounds by a view (`hypercl.sweep.study.sampler_view`)."""


def sampler_of(
    file: SweepFile, trials_there: int, import_paths: Sequence[Path] = (), earlier: Sequence[Earlier] = ()
) -> BaseSampler:
    """The sampler of a sweep; that of a grid has nothing to draw, see `hypercl.sweep.study.samplers`.

    Args:
        file: as its trials train it.
        trials_there: trials already in the study; part of the seed, since a sampler seeded alike would repeat its
            first suggestions after a restart. A Sobol sequence keeps its seed: its place in it is stored in the study.
        import_paths: folders in which a sampler by import path is looked for.
        earlier: what is known from other sweeps.

    Raises:
        UserError: a package that the sampler needs is not installed, or a sampler by import path cannot be made.
    """
    sampler = _sampler_of(file, trials_there, import_paths)
    if any(one.prior is not None for one in file.space.values()):
        sampler = Believing(sampler, file.space, file.search.seed)
    return Viewing(sampler, partial(seen_with, earlier=earlier, file=file)) if earlier else sampler


def _sampler_of(file: SweepFile, trials_there: int, import_paths: Sequence[Path]) -> BaseSampler:
    search, space = file.search, file.space
    name, startup = search.sampler_name, search.startup_trials or 0
    check_packages(name)
    seed = derive(search.seed, "sampler", trials_there) % 2**32
    view = partial(seen_as_complete, goals=file.objective.goals, constraints=constraint_names(file))
    if isinstance(search.sampler, Imported):
        own = OwnSampler(search.sampler, import_paths, seed)
        return Viewing(own, view) if isinstance(own.inner, _COMPLETE_ONLY) else own
    if name in ("random", "grid"):
        return RandomSampler(seed=seed)
    if name == "tpe":
        groups = any(one.when for one in space.values())
        with catch_warnings(action="ignore", category=ExperimentalWarning):
            tpe = TPESampler(n_startup_trials=startup, multivariate=True, group=groups, constant_liar=True, seed=seed)
        return Viewing(tpe, SeenAtMost(file.objective.goals, max(MOST, startup)))
    if name == "qmc":
        fixed = derive(search.seed, "sampler") % 2**32
        with catch_warnings(action="ignore", category=ExperimentalWarning):
            return Declared(
                QMCSampler(scramble=True, seed=fixed, warn_independent_sampling=False), distributions(space)
            )
    always = {path: known for path, known in distributions(space).items() if not space[path].when}
    if name == "gp":
        # It would advise another package in the midst of the sweep's own lines (Optuna 5.0).
        logging.getLogger("optuna._gp.batched_lbfgsb").setLevel(logging.ERROR)
        gp = GPSampler(seed=seed, n_startup_trials=max(1, startup), warn_independent_sampling=False)
        return Viewing(Declared(gp, always), view)
    if name == "cmaes":
        numbers = {path: one for path, one in always.items() if not isinstance(one, CategoricalDistribution)}
        cmaes = CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        return Viewing(Declared(cmaes, numbers), view)
    genetic = NSGAIISampler if name == "nsga2" else NSGAIIISampler
    with catch_warnings(action="ignore", category=ExperimentalWarning):
        return Viewing(Declared(genetic(seed=seed, population_size=search.population or 2), always), view)


def check_packages(sampler: str) -> None:
    """Refuses a sampler whose packages are not installed, before anything is trained.

    Raises:
        UserError: names what to install.
    """
    missing = [package for package in _PACKAGES.get(sampler, ()) if find_spec(package) is None]
    if missing:
        names = " ".join(missing)
        raise UserError(f"search.sampler: {sampler} needs {' and '.join(missing)}\n    fix:     pip install {names}")


def sampler_in_words(search: Search, space: Mapping[str, Distribution]) -> str:
    """What a person should know of a sampler, in words; '' where there is nothing to say."""
    conditional = any(one.when for one in space.values())
    choices = any(one.kind == "choice" and not one.when for one in space.values())
    parts: list[str] = []
    if search.sampler == "cmaes" and choices:
        parts.append("choices are drawn at random, since it models numbers only")
    if search.sampler in COMPLETE_ONLY and conditional:
        parts.append("entries with conditions are drawn at random, since it models what every setting has")
    if search.sampler in COMPLETE_ONLY:
        parts.append("pruned trials teach it nothing")
    if search.sampler in ("nsga2", "nsga3"):
        parts.append(f"generations of {search.population}, the first at random")
    return "; ".join(parts)


class Declared(BaseSampler):
    """A sampler with a declared search space, where Optuna would infer it from the trials so far.

    What is inferred changes as settings with other conditions come in: CMA-ES then draws at random for good, a Sobol
    sequence restarts, and its first suggestions are not part of it (Optuna 5.0).

    Args:
        inner: Optuna's sampler.
        space: the parameters it models; any other is drawn independently.
    """

    def __init__(self, inner: BaseSampler, space: Mapping[str, BaseDistribution]) -> None:
        self._inner = inner
        self._space = {path: one for path, one in space.items() if not one.single()}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)


class Viewing(BaseSampler):
    """A sampler that is shown a view in place of the study when it suggests.

    Args:
        inner: the sampler.
        view: what it is shown.
    """

    def __init__(self, inner: BaseSampler, view: Callable[[Study], Study]) -> None:
        self.inner, self.view = inner, view

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(self.view(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(self.view(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.inner.sample_independent(self.view(study), trial, param_name, param_distribution)


MOST_CELLS = 1_000_000


class Grid:
    """Every combination of the listed values once, in a shuffled order that depends on the seed alone.

    An entry whose conditions do not hold is no part of a cell. A cell is taken when any trial has its values, the
    enqueued experiment included. Optuna's own grid sampler raises at the last cells when asked and told, and trains the
    experiment's own cell twice.

    Raises:
        UserError: a range that cannot be listed, or too many cells.
    """

    def __init__(self, space: Mapping[str, Distribution], seed: int) -> None:
        self._space, self._values = space, listed(space)
        self.cells = cells = math.prod(len(values) for values in self._values.values())
        if cells > MOST_CELLS:
            raise UserError(f"the grid has {cells:,} cells, more than {MOST_CELLS:,}: use fewer values, or tpe")
        self._order = random.Random(seed).sample(range(cells), cells)

    def next_cell(
        self, trials: Iterable[FrozenTrial], held: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, Any] | None:
        """The first cell that no trial has and that has the values held, or None."""
        taken = {self._key(trial.params) for trial in trials}
        cells = (cell for index in self._order if (cell := self._cell(index)) is not None)
        fitting = (cell for cell in cells if held.items() <= cell.items())
        return next((cell for cell in fitting if self._key(cell) not in taken), None)

    def _key(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(repr(params[path]) if path in params else "" for path in self._values)

    def _cell(self, index: int) -> dict[str, Any] | None:
        """The cell of a number; None for one that differs from another only in what is no part of it."""
        cell: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for path, possible in self._values.items():
            index, position = divmod(index, len(possible))
            if is_active(self._space, path, values):
                cell[path] = possible[position]
                values |= values_of(self._space, {path: cell[path]})
            elif position:
                return None
        return cell
