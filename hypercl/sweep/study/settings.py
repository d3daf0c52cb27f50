"""The experiment of the best setting."""

from collections.abc import Mapping
from typing import Any

from hypercl.config import Experiment, SweepFile, assign
from hypercl.sweep.study.protocols import APART, Role, reported_config


def best_experiment(file: SweepFile, settings: Mapping[str, Any], threads: int) -> Experiment:
    """A setting as a person trains it after the search: on the reported stream in the order as written, whatever orders
    the final step draws, on a seed for reporting, with the trials' threads.

    Args:
        file: as written.
        settings: key path -> value, over the experiment as written.
        threads: of a trial, where the file says `auto`.
    """
    experiment = reported_config(file)
    training = experiment.training
    threads = threads if training.threads == "auto" else training.threads
    seed = training.seed + Role.REPORT * APART
    return assign(experiment, {**settings, "training.seed": seed, "training.threads": threads})
