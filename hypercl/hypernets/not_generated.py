"""Parts of a composition that are not generated: weights shared by all tasks, frozen ones, each task's own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from hypercl.config.models import Initialization
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.tensors import Tensors

Draw = Callable[[int], Tensor]
"""A part's initial weights (weights,) from a seed, as the target's module draws them, on the CPU."""


@dataclass(frozen=True)
class SharedWeights(Hypernetwork):
    """One set of weights for all tasks: the bias of a linear head without inputs, which starts as the target's own."""

    draw_weights: Draw = torch.zeros

    def init(self, generator: Generator) -> Tensors:
        weights = self.draw_weights(generator.initial_seed()).to(generator.device)
        return {"head": weights.unsqueeze(1)}


@dataclass(frozen=True)
class _NotGenerated:
    """The interface of a hypernetwork without parameters."""

    num_weights: int
    draw_weights: Draw
    embedding_init = "normal"
    random = False
    num_parameters = 0

    @property
    def chunk_size(self) -> int:
        return self.num_weights

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def initialized(self, embedding_scale: float, initialization: Initialization) -> "_NotGenerated":
        """As it is: the target initialises it."""
        return self

    def init(self, generator: Generator) -> Tensors:
        return {}

    def draw(self, tasks: int, generator: Generator) -> Tensors:
        return {}


@dataclass(frozen=True)
class TaskWeights(_NotGenerated):
    """Weights of each task's own: its embedding is these weights."""

    @property
    def embedding_size(self) -> int:
        return self.num_weights

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        """Each task's as the target's module draws them, from a seed of its own: (tasks, num_weights)."""
        seeds = [int(torch.randint(2**62, (), generator=generator, device=generator.device)) for _ in range(tasks)]
        return torch.stack([self.draw_weights(seed).to(generator.device) for seed in seeds])

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        return embeddings

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """As `Hypernetwork.generate`."""
        return embeddings.detach(), lambda gradient: ({}, gradient)


FROZEN_SEED = 0


@dataclass(frozen=True)
class FrozenWeights(_NotGenerated):
    """Constant weights, drawn from one seed for every run; they are in no checkpoint."""

    embedding_size = 0

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        return torch.zeros(tasks, 0, device=generator.device)

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        device = embeddings.device
        if device not in self._values:
            self._values[device] = self.draw_weights(FROZEN_SEED).to(device)
        return self._values[device].to(embeddings.dtype).expand(*embeddings.shape[:-1], -1)

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """As `Hypernetwork.generate`."""
        return self(theta, embeddings), lambda _: ({}, embeddings)  # which are empty, as is their gradient

    @cached_property
    def _values(self) -> dict[torch.device, Tensor]:
        """By device."""
        return {}
