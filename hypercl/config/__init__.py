"""What a run and a sweep are: models of a file's sections, YAML in, clear errors out."""

from hypercl.config.checks.check import check_sweep, load_sweep
from hypercl.config.models.by_task import at_task
from hypercl.config.models.experiment import Experiment
from hypercl.config.models.space import Distribution
from hypercl.config.models.sweep import SweepFile
from hypercl.config.problems import ConfigError, OutOfReach, Problem, UserError, did_you_mean
from hypercl.config.reading.load import assign, load, loads, to_yaml
from hypercl.config.reading.paths import difference_line, differences, known_paths, lookup, resolved

__all__ = [
    "ConfigError",
    "Distribution",
    "Experiment",
    "OutOfReach",
    "Problem",
    "SweepFile",
    "UserError",
    "assign",
    "at_task",
    "check_sweep",
    "did_you_mean",
    "difference_line",
    "differences",
    "known_paths",
    "load",
    "load_sweep",
    "loads",
    "lookup",
    "resolved",
    "to_yaml",
]
