"""The settings of a trial, and the experiment of the best."""

from typing import Any

from optuna.trial import FrozenTrial

from hypercl.config import Experiment, SweepFile, assign
from hypercl.sweep.study.protocols import final_config
from hypercl.sweep.study.space import settings_of
from hypercl.sweep.study.stability_decay import values_by_task


def best_experiment(file: SweepFile, trial: FrozenTrial, threads: int) -> Experiment:
    """A trial's setting as it is trained outside of the search: on what is reported on, fresh seeds, the trials'
    threads.

    Args:
        file: as it was asked.
        trial: whose setting.
        threads: of a trial, where the file says `auto`.
    """
    found = final_config(file, settings_of_trial(file, trial), count=file.experiment.training.replicas)
    wish = found.training.threads
    return assign(found, {"training.threads": threads if wish == "auto" else wish})


def settings_of_trial(file: SweepFile, trial: FrozenTrial) -> dict[str, Any]:
    """What a trial's setting has over the experiment as written: key path -> value."""
    by_task = values_by_task(file, trial)
    return {"by_task": by_task} if by_task else settings_of(file.experiment, file.space, trial.params)
