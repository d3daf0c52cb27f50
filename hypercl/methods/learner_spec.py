"""What a method is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hypercl.config import Experiment
from hypercl.config.models.training import Training
from hypercl.hypernets import Hypernetwork, OwnWeights
from hypercl.targets import GeneratedModel
from hypercl.tasks import Shape

AnyHypernetwork = Hypernetwork | OwnWeights


@dataclass(frozen=True)
class Parts:
    """The networks, the stream's shape, and the setting of each replica."""

    target: GeneratedModel
    hypernet: AnyHypernetwork
    shape: Shape
    """Of the stream: scenario, and the outputs of each task (`shape.heads`)."""
    device: torch.device
    variants: tuple[Experiment, ...]
    """The setting of each replica; they differ in scalars alone."""
    import_paths: Sequence[Path] = ()
    """Folders in which a user's own code is looked for, before what is installed."""

    @property
    def experiment(self) -> Experiment:
        """The setting of the first replica."""
        return self.variants[0]

    @property
    def training(self) -> Training:
        """How long, with what optimiser."""
        return self.experiment.training

    @property
    def heads(self) -> tuple[slice, ...]:
        """Outputs of each task."""
        return self.shape.heads

    @property
    def seeds(self) -> list[int]:
        """Of each replica."""
        return [variant.training.seed for variant in self.variants]
