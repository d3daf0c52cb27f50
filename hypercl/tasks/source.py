"""Labelled images as they lie on disk, before they become tasks, and where they are looked for."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True)
class Source:
    """One half (training or test) of a data set."""

    images: Tensor
    """uint8, (n, channels, height, width)."""
    labels: Tensor
    """int64, (n,): class within the data set."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels."""


@dataclass(frozen=True)
class DataFolder:
    """Where data sets lie, and whether what is missing may be fetched."""

    path: Path
    download: bool = False
    """The file says `download: true`."""
    offline: bool = False
    """The network is not to be touched: `--offline` or HYPERCL_OFFLINE."""
