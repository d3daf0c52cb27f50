"""A hypernetwork with a linear head, chunked or full, as pure functions of its parameters."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from hypercl.activations import ACTIVATIONS


@dataclass(frozen=True)
class Hypernetwork:
    """Weights of a target for any number of tasks in one pass (von Oswald et al. 2020, sections 2 and 3).

    The input of the pair (task t, chunk c) is `[e_t, c_c]`, task embedding first. It runs through the trunk, and the
    linear head makes `chunk_size` weights of it. The chunks of a task, one after the other and cut at `num_weights`,
    are the task's weights. A full hypernetwork is one chunk of `num_weights` and no chunk embedding.

    Parameters (`theta`) are a dict of tensors: `trunk.<layer>.weight` (units, inputs), `trunk.<layer>.bias` (units,),
    `head.weight` (chunk_size, h), `head.bias` (chunk_size,) and, where chunked, `chunks` (chunks, chunk_embedding).
    Task embeddings are not among them. Leading axes, the same before all parameters and before the embeddings, are
    replicas.

    Example:
        >>> hypernet = Hypernetwork(num_weights=1000, chunk_size=300, hidden=(10,), task_embedding=8, chunk_embedding=4)
        >>> theta = hypernet.init(torch.Generator().manual_seed(1))
        >>> hypernet(theta, torch.randn(5, 8)).shape
        torch.Size([5, 1000])
    """

    num_weights: int
    """Weights of the target."""
    chunk_size: int
    """Weights a chunk."""
    hidden: tuple[int, ...]
    """Units of each trunk layer; () makes the hypernetwork one linear map."""
    task_embedding: int
    """Numbers in a task embedding."""
    chunk_embedding: int = 0
    """Numbers in a chunk embedding; 0 where there is one chunk and nothing to tell apart."""
    activation: str = "relu"
    """After each trunk layer; a key of `ACTIVATIONS`."""

    def __post_init__(self) -> None:
        if self.num_chunks > 1 and not self.chunk_embedding:
            raise ValueError(f"{self.num_chunks} chunks need a chunk embedding to be told apart")

    @property
    def num_chunks(self) -> int:
        """Chunks a task."""
        return -(-self.num_weights // self.chunk_size)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter."""
        sizes = (self.task_embedding + self.chunk_embedding, *self.hidden)
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, units) in enumerate(zip(sizes, self.hidden, strict=False)):
            shapes[f"trunk.{layer}.weight"] = (units, inputs)
            shapes[f"trunk.{layer}.bias"] = (units,)
        shapes["head.weight"] = (self.chunk_size, sizes[-1])
        shapes["head.bias"] = (self.chunk_size,)
        if self.chunk_embedding:
            shapes["chunks"] = (self.num_chunks, self.chunk_embedding)
        return shapes

    @property
    def num_parameters(self) -> int:
        """Numbers in theta: chunk embeddings included, task embeddings not."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    def init(self, generator: Generator) -> dict[str, Tensor]:
        """Initial parameters: weights Xavier-uniform, biases zero, chunk embeddings N(0, 1)."""
        theta: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            parameter = torch.zeros(shape, device=generator.device)
            if name == "chunks":
                parameter.normal_(generator=generator)
            elif name.endswith("weight"):
                nn.init.xavier_uniform_(parameter, generator=generator)
            theta[name] = parameter
        return theta

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        """Initial task embeddings, N(0, 1): (tasks, task_embedding)."""
        return torch.randn(tasks, self.task_embedding, generator=generator, device=generator.device)

    def __call__(self, theta: dict[str, Tensor], embeddings: Tensor) -> Tensor:
        """Generated weights.

        Args:
            theta: the parameters.
            embeddings: (tasks, task_embedding).

        Returns:
            (tasks, num_weights), all tasks and chunks made in one batched pass.
        """
        hidden = self.hidden_activations(theta, embeddings)
        pairs = hidden.flatten(-3, -2)
        weights = _affine(pairs, theta["head.weight"], theta["head.bias"])
        return weights.reshape(*embeddings.shape[:-1], -1)[..., : self.num_weights]

    def hidden_activations(self, theta: dict[str, Tensor], embeddings: Tensor) -> Tensor:
        """What the head reads: (tasks, chunks, h), the embeddings themselves where the trunk is empty."""
        tasks = embeddings.shape[-2]
        activations = embeddings.unsqueeze(-2).expand(*embeddings.shape[:-1], self.num_chunks, -1)
        if self.chunk_embedding:
            chunks = theta["chunks"].unsqueeze(-3)
            chunks = chunks.expand(*chunks.shape[:-3], tasks, -1, -1)
            activations = torch.cat([activations, chunks], dim=-1)
        activations = activations.flatten(-3, -2)
        for layer in range(len(self.hidden)):
            weight, bias = theta[f"trunk.{layer}.weight"], theta[f"trunk.{layer}.bias"]
            activations = ACTIVATIONS[self.activation](_affine(activations, weight, bias))
        return activations.unflatten(-2, (tasks, self.num_chunks))


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(..., n, inputs) with (..., units, inputs) and (..., units) -> (..., n, units)."""
    return (inputs @ weight.mT).add_(bias.unsqueeze(-2))  # in place: another pass over (pairs, chunk_size) costs 25 %
