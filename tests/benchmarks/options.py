"""What a group of measures is told."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How long to measure, and where data lies."""

    threads: int = 2
    """CPU threads of both sides; the goals are for two."""
    seconds: float = 15.0
    """Of timing for each row of `step` and `growth`, at least two or three rounds."""
    iterations: int | None = None
    """Steps a task in `run` and `replicas`, instead of what the measure says; its name then says so."""
    trials: int = 40
    """Of the sweep."""
    sweeps: int = 20
    """Simulated ones in `search`, of each strategy on each problem; two or more."""
    data_dir: Path = Path(os.environ.get("HYPERCL_DATA", "/tmp/data"))
    """Where MNIST lies."""
