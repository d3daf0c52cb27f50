"""The experiment of the best setting."""

from collections.abc import Mapping
from typing import Any

from hypercl.config import Experiment, SweepFile, assign
from hypercl.sweep.study.protocols import final_config


def best_experiment(file: SweepFile, settings: Mapping[str, Any], threads: int) -> Experiment:
    """A setting as it is trained after the search: on the reported stream, fresh seeds and the trials' threads.

    Args:
        file: as written.
        settings: key path -> value, over the experiment as written.
        threads: of a trial, where the file says `auto`.
    """
    experiment = final_config(file, settings, count=file.experiment.training.replicas)
    threads = threads if experiment.training.threads == "auto" else experiment.training.threads
    return assign(experiment, {"training.threads": threads})
