"""What stands in a hypernetwork's place where a target's weights are trained themselves."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class OwnWeights:
    """A hypernetwork's seam without a hypernetwork: theta is the target's weights, and every task has the same.

    Task embeddings are empty: (tasks, 0).

    Example:
        >>> own = OwnWeights(3, lambda seed: torch.ones(3))
        >>> own(own.init(torch.Generator()), torch.zeros(2, 0))
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    num_weights: int
    """Weights of the target."""
    draw_weights: Callable[[int], Tensor]
    """Initial weights (num_weights,) from a seed, on the CPU."""
    task_embedding = 0
    embedding_init = "normal"
    random = False

    @property
    def chunk_size(self) -> int:
        """All weights are one piece."""
        return self.num_weights

    @property
    def num_parameters(self) -> int:
        """Numbers in theta."""
        return self.num_weights

    def init(self, generator: Generator) -> Tensors:
        """The weights that the target's module begins with."""
        return {"weights": self.draw_weights(generator.initial_seed())}

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        """Nothing: (tasks, 0)."""
        return torch.zeros(tasks, 0, device=generator.device)

    def draw(self, tasks: int, generator: Generator) -> Tensors:
        """Nothing is random in a step."""
        del tasks, generator
        return {}

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        """The weights of some tasks: (tasks, num_weights)."""
        del drawn
        weights = theta["weights"].unsqueeze(-2)
        return weights.expand(*weights.shape[:-2], embeddings.shape[-2], self.num_weights)

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """As `Hypernetwork.generate`: weights (tasks, num_weights) and the way back from their gradient."""

        def back(gradient: Tensor) -> tuple[Tensors, Tensor]:
            return {"weights": gradient.sum(-2)}, torch.zeros_like(embeddings)

        return self(theta, embeddings, drawn).detach(), back
