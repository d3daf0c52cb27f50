"""Which parameters of a sweep mattered: PED-ANOVA, with what chance alone would show."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.importance._base import BaseImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState, create_trial

from hypercl.config.models import StabilityDecay
from hypercl.sweep.study import StudyRecord, evaluator_of, state_of
from hypercl.training import MATRIX_FILES, AccuracyMatrix

TOP = 1 / 3
"""Share of the trained trials that counts as good."""
LEAST = 8
"""Fewer trained trials say nothing."""
SHUFFLES, SHUFFLES_OF_OWN = 60, 20
_BOUNDED = ("pruned", "diverged", "out_of_memory")


@dataclass(frozen=True)
class Importance:
    """One parameter's part in being among the best third."""

    path: str
    share: float
    """Its share of the importances of all parameters, 0 to 1."""
    chance: float
    """The share, on the same scale, that it reaches in one of twenty shuffles of the values: below it means nothing.
    At most 1, which no share can exceed."""

    @property
    def stands_out(self) -> bool:
        """Whether it is above what chance shows."""
        return self.share > self.chance + 1e-9


def importances(record: StudyRecord, import_paths: Sequence[Path] = ()) -> list[Importance]:
    """The importance of each parameter that was drawn, greatest first; empty with too few trials.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255; for parameters that only some trials have, arXiv 2601.20800)
    compares where the best third of the trials lies with where all lie. It needs to know only which trials are good, so
    trials that were pruned, diverged or ran out of memory count too, as not good. fANOVA, which needs a value of
    each trial and has none of those, put the parameter that mattered most first in 7 of 25 sweeps of 12 trials and in
    13 of 25 of 40, about half of them pruned, PED-ANOVA in 19 and in 25 (measured on a made-up objective).

    An evaluator of the user's own is given the complete trials alone, with the first goal's values.

    Args:
        record: the sweep.
        import_paths: folders in which an evaluator by import path is looked for.
    """
    own = evaluator_of(record.file, import_paths)
    trials = _ranked(record)
    good = sum(state_of(trial) == "complete" for trial in trials)
    if len(trials) < LEAST or good < 2:
        return []
    if own is not None:
        trials = trials[:good]
        values, shuffles = np.array([trial.values[0] for trial in trials]), SHUFFLES_OF_OWN
    else:
        values, shuffles = np.minimum(np.arange(len(trials)), good).astype(float), SHUFFLES
        own = PedAnovaImportanceEvaluator(target_quantile=min(TOP, good / len(trials), 1 - 1 / len(trials)))
    study = _study_of(trials)
    return _beside_chance(_evaluate(own, study, values), _chances(own, study, values, shuffles))


def importances_by_task(record: StudyRecord) -> dict[str, list[Importance]]:
    """Task -> the importance of each parameter for being among the best third in the accuracy on it at the end; of
    complete trials whose accuracy matrix is there. Empty with too few of them."""
    rows: list[tuple[FrozenTrial, tuple[float, ...]]] = []
    tasks: tuple[str, ...] = ()
    attempts = isinstance(record.file.protocol, StabilityDecay)
    for trial in record.ranked() if not attempts else ():
        path = record.trial_folder(trial.number) / MATRIX_FILES["validation"]
        if path.is_file():
            matrix = AccuracyMatrix.read(path)
            tasks = matrix.tasks
            rows.append((trial, matrix.cells[-1]))
    if len(rows) < LEAST or len(tasks) < 2:
        return {}
    study, evaluator = _study_of([trial for trial, _ in rows]), PedAnovaImportanceEvaluator(target_quantile=TOP)
    # What chance shows hangs on the settings alone, and these are the same for each task.
    chances = _chances(evaluator, study, np.arange(float(len(rows))), SHUFFLES)
    orders = [np.argsort(np.argsort([-row[task] for _, row in rows], kind="stable")) for task in range(len(tasks))]
    return {
        task: _beside_chance(_evaluate(evaluator, study, ranks.astype(float)), chances)
        for task, ranks in zip(tasks, orders, strict=True)
    }


def _study_of(trials: Sequence[FrozenTrial]) -> optuna.Study:
    """A study of settings; their values are given to the evaluator as its target."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    study.add_trials(
        [
            create_trial(state=TrialState.COMPLETE, value=place, params=trial.params, distributions=trial.distributions)
            for place, trial in enumerate(trials)
        ]
    )
    return study


def _chances(
    evaluator: BaseImportanceEvaluator, study: optuna.Study, values: np.ndarray, shuffles: int
) -> dict[str, float]:
    """The importance that each parameter reaches in one of twenty shuffles of the values."""
    rng = np.random.default_rng(0)
    found = [_evaluate(evaluator, study, rng.permutation(values)) for _ in range(shuffles)]
    return {path: float(np.quantile([each[path] for each in found], 0.95)) for path in found[0]}


def _beside_chance(found: dict[str, float], chances: dict[str, float]) -> list[Importance]:
    total = sum(found.values()) or 1.0
    return [Importance(path, value / total, min(1.0, chances[path] / total)) for path, value in found.items()]


def _ranked(record: StudyRecord) -> list[FrozenTrial]:
    return [*record.ranked(), *(trial for trial in record.trials if state_of(trial) in _BOUNDED)]


def _evaluate(evaluator: BaseImportanceEvaluator, study: optuna.Study, values: np.ndarray) -> dict[str, float]:
    with warnings.catch_warnings():
        # That low targets are good is what is wanted, and that few trials make it rough is what `chance` says.
        warnings.simplefilter("ignore", UserWarning)
        found = evaluator.evaluate(study, target=lambda trial: float(values[trial.number]))
    return {path: float(value) for path, value in found.items()}
