"""A hypernetwork whose chunks are images: transposed convolutions with self-attention between them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from hypercl.config.models import Initialization, Normal
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.tensors import Tensors

Size = tuple[int, int]
SMALLEST = 4
"""A side of up to so many pixels is not halved any more."""


def map_sizes(image: Size, layers: int) -> list[Size]:
    """Heights and widths before the first of some transposed convolutions, and after each.

    A convolution doubles each side (less a pixel where it ends odd) that is then larger than 4.

    Example:
        >>> map_sizes((36, 36), 4)
        [(3, 3), (5, 5), (9, 9), (18, 18), (36, 36)]
    """
    sizes = [image]
    for _ in range(layers):
        height, width = (side if side <= SMALLEST else -(-side // 2) for side in sizes[0])
        sizes.insert(0, (height, width))
    return sizes


@dataclass(frozen=True)
class SelfAttentionHypernetwork:
    """Weights of a target for any number of tasks, each chunk an image of (channels, height, width) weights.

    `first`, a hypernetwork of its own, turns [task embedding, chunk embedding, noise] into the first feature maps of a
    chunk; each transposed convolution of `kernel` x `kernel` makes them larger, up to the image. After all but the last
    layer an activation follows, and after those of `attention` self-attention (Zhang et al., 2019, with query and key
    of an eighth of the channels):

        y = x + gamma V x softmax(K x^T Q x), gamma at first 0

    The images of a task, each in the order (channel, row, column), concatenated and cut at `num_weights`, are the
    task's weights. Source: the hypernetwork of von Oswald et al. (2020) for CIFAR that their paper does not use.

    Parameters are those of `first`, `convolution.<k>.weight` (channels before, channels after, kernel, kernel) and
    `.bias`, `attention.<layer>.query.weight`, `.key.weight`, `.value.weight` (channels, channels before) and `.gamma`
    (1,). Otherwise its interface is that of `Hypernetwork`, with replicas as at most one leading axis. It has no linear
    head, so its regulariser has no Gram form.

    Example:
        >>> first = Hypernetwork(4 * 4 * 4 * 3, 4 * 4 * 4, (), task_embedding=8, chunk_embedding=4)
        >>> hypernet = SelfAttentionHypernetwork(150, first, (1, 8, 8), filters=(4,), attention=(1,), kernel=3)
        >>> theta = hypernet.init(torch.Generator().manual_seed(1))
        >>> hypernet(theta, torch.randn(5, 8)).shape
        torch.Size([5, 150])
    """

    num_weights: int
    """Weights of the target."""
    first: Hypernetwork
    """Generates the first feature maps of all chunks."""
    image: tuple[int, int, int]
    """Channels, height and width of a chunk."""
    filters: tuple[int, ...]
    """Channels of the feature maps after each layer but the last; the first layer is that of `first`."""
    attention: tuple[int, ...]
    """Layers, counted from 1, that self-attention follows."""
    kernel: int
    """Height and width of the filters, odd."""

    @property
    def chunk_size(self) -> int:
        return prod(self.image)

    @property
    def embedding_size(self) -> int:
        return self.first.embedding_size

    @property
    def embedding_init(self) -> str:
        return self.first.embedding_init

    @property
    def random(self) -> bool:
        return self.first.random

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter."""
        return self.first.shapes | self._own_shapes

    @property
    def num_parameters(self) -> int:
        """Size of theta, with chunk embeddings and without task embeddings."""
        return sum(map(prod, self.shapes.values()))

    def initialized(self, embedding_scale: float, initialization: Initialization) -> "SelfAttentionHypernetwork":
        """With another initialisation."""
        return replace(self, first=self.first.initialized(embedding_scale, initialization))

    def init(self, generator: Generator) -> Tensors:
        """Initial parameters: weights by `first`'s initialisation, biases and gamma 0."""
        theta, initialization = self.first.init(generator), self.first.initialization
        for name, shape in self._own_shapes.items():
            theta[name] = torch.zeros(shape, device=generator.device)
            if name.endswith("weight") and isinstance(initialization, Normal):
                theta[name].normal_(std=initialization.std, generator=generator)
            elif name.endswith("weight"):
                nn.init.xavier_uniform_(theta[name], generator=generator)
        return theta

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        return self.first.init_embeddings(tasks, generator)

    def draw(self, tasks: int, generator: Generator) -> Tensors:
        return self.first.draw(tasks, generator)

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        """Weights (tasks, num_weights) for embeddings (tasks, embedding_size)."""
        sizes = map_sizes(self.image[1:], len(self.filters))
        activate = getattr(functional, self.first.activation)
        flat = self.first(theta, embeddings, drawn)
        pairs = flat.unflatten(-1, (self.first.num_chunks, self.filters[0], *sizes[0])).flatten(-5, -4)
        maps = self._attended(theta, 1, activate(pairs))
        for layer, (_, size) in enumerate(pairwise(sizes), start=2):
            parameters = (theta[f"convolution.{layer}.weight"], theta[f"convolution.{layer}.bias"])
            maps = _enlarged(maps, *parameters, size)
            if layer <= len(self.filters):
                maps = self._attended(theta, layer, activate(maps))
        images = maps.flatten(-3).unflatten(-2, (-1, self.first.num_chunks))
        return images.flatten(-2)[..., : self.num_weights]

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """As `Hypernetwork.generate`."""
        leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
        inputs = embeddings.detach().requires_grad_()
        with torch.enable_grad():
            weights = self(leaves, inputs, drawn)

        def back(gradient: Tensor) -> tuple[Tensors, Tensor]:
            *grads, of_inputs = torch.autograd.grad(weights, [*leaves.values(), inputs], gradient.to(weights.dtype))
            return {name: grad.contiguous() for name, grad in zip(leaves, grads, strict=True)}, of_inputs

        return weights.detach(), back

    @property
    def _own_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters but those of `first`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (before, after) in enumerate(pairwise((*self.filters, self.image[0])), start=2):
            shapes[f"convolution.{layer}.weight"] = (before, after, self.kernel, self.kernel)
            shapes[f"convolution.{layer}.bias"] = (after,)
        for layer in self.attention:
            channels = self.filters[layer - 1]
            for part, rows in (("query", max(1, channels // 8)), ("key", max(1, channels // 8)), ("value", channels)):
                shapes[f"attention.{layer}.{part}.weight"] = (rows, channels)
            shapes[f"attention.{layer}.gamma"] = (1,)
        return shapes

    def _attended(self, theta: Tensors, layer: int, maps: Tensor) -> Tensor:
        """(pairs, channels, height, width) -> the same, with self-attention where the layer has it."""
        if layer not in self.attention:
            return maps
        pixels = maps.flatten(-2)
        query, key, value = (
            theta[f"attention.{layer}.{part}.weight"].unsqueeze(-3) @ pixels for part in ("query", "key", "value")
        )
        shares = torch.softmax(key.mT @ query, -2)  # of each pixel, that all pixels have in a column's
        gamma = theta[f"attention.{layer}.gamma"].unsqueeze(-1).unsqueeze(-1)
        return torch.unflatten(pixels + gamma * (value @ shares), -1, maps.shape[-2:])


def _enlarged(maps: Tensor, weight: Tensor, bias: Tensor, size: Size) -> Tensor:
    """A transposed convolution to maps of a size; replicas, a leading axis of all, are groups of channels."""
    before, kernel = maps.shape[-2:], weight.shape[-1]
    strides = [2 if after > before else 1 for before, after in zip(before, size, strict=True)]
    rest = [after - stride * (side - 1) - 1 for side, after, stride in zip(before, size, strides, strict=True)]
    options = {"stride": strides, "padding": kernel // 2, "output_padding": rest}
    if weight.ndim == 4:
        return functional.conv_transpose2d(maps, weight, bias, **options)
    replicas = len(weight)
    grouped = maps.transpose(0, 1).flatten(1, 2)
    enlarged = functional.conv_transpose2d(grouped, weight.flatten(0, 1), bias.flatten(), groups=replicas, **options)
    return enlarged.unflatten(1, (replicas, -1)).transpose(0, 1)
