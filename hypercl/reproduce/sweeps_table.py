"""Sweeps over one experiment that differ in what they are told to, such as their protocol: which ones, as data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from hypercl.config.checks.check import load_sweep
from hypercl.config.models.section import Name, Section
from hypercl.config.models.sweep import SweepFile


class Comparison(Section):
    """Several sweeps to be set side by side."""

    title: str
    """What is compared."""
    file: str
    """The file they all start from: the name of a shipped one, such as split_mnist, or a path (ending in .yaml) that is
    taken from beside this file."""
    set: dict[str, Any] = {}
    """Key path -> value, in every sweep; a sweep's own win."""
    sweeps: dict[Name, dict[str, Any]] = Field(min_length=1)
    """A sweep's name -> key path -> value, what it alone has."""

    def sweep(self, name: str, file: Path, overrides: Sequence[str] = ()) -> SweepFile:
        """One of the sweeps.

        Args:
            name: of the sweep.
            file: where the file lies that it starts from.
            overrides: `path=value` pairs that win over the comparison's own.

        Raises:
            ConfigError: with every mistake of the file, of the comparison's values and of the overrides.
        """
        values = {**self.set, **self.sweeps[name]}
        return load_sweep(file, [*(f"{path}={json.dumps(value)}" for path, value in values.items()), *overrides])
