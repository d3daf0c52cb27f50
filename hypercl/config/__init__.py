"""What a run and a sweep are: models of a file's sections, YAML in, clear errors out."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.config.checks import check_sweep, load_sweep
    from hypercl.config.models import Distribution, Experiment, SweepFile, at_task
    from hypercl.config.problems import ConfigError, OutOfReach, Problem, UserError, did_you_mean
    from hypercl.config.reading import (
        assign,
        difference_line,
        differences,
        known_paths,
        load,
        loads,
        lookup,
        resolved,
        to_yaml,
    )

__all__, __getattr__ = lazy(__name__, __file__)
