"""The plain matrix products of a step in the Gram form: what is left if all else were free."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from hypercl.config import Experiment
from hypercl.hypernets import Hypernetwork
from hypercl.targets import GeneratedModel


@dataclass(frozen=True)
class Product:
    """left (rows, inner) times right (inner, columns); a transposed factor is stored the other way round."""

    rows: int
    inner: int
    columns: int
    left_transposed: bool = False
    right_transposed: bool = False

    @property
    def flops(self) -> int:
        return 2 * self.rows * self.inner * self.columns


def products_of_step(
    experiment: Experiment, hypernet: Hypernetwork, target: GeneratedModel, earlier: int
) -> list[Product]:
    """The products of a step whose target is an MLP and whose trunk has layers.

    With N = earlier x chunks pairs, h the last trunk layer's units and D the rows of the head they are
    - the head's Grams and its gradient, 4 of D (h + 1)^2: A*^T dA, dA^T dA, A* (..), dA (..);
    - the trunk over all pairs, 3 of N x inputs x units a layer beyond the first, which is separable: forward, and
      backward to the inputs and to the weights;
    - Q and S, and the two of dR/dZ: 4 of N h^2;
    - the task's own weights: 3 of chunks x inputs x units for each trunk layer and the head;
    - the target: 3 of batch x inputs x units a layer, 2 for the first, whose inputs need no gradient.
    Elementwise work, the optimiser, and tasks x units terms are not counted.
    """
    chunks, rows = hypernet.num_chunks, hypernet.chunk_size
    units, last = hypernet.hidden, hypernet.hidden[-1]
    pairs = earlier * chunks
    found = [Product(last + 1, rows, last + 1, left_transposed=True)] * 2 + [Product(rows, last + 1, last + 1)] * 2
    for inputs, outputs in pairwise(units):
        found += _layer(pairs, inputs, outputs)
    found += [Product(last, pairs, last, left_transposed=True), Product(last + 1, pairs, last, left_transposed=True)]
    found += [Product(pairs, last, last), Product(pairs, last + 1, last)]
    for inputs, outputs in pairwise((hypernet.task_embedding + hypernet.chunk_embedding, *units, rows)):
        found += _layer(chunks, inputs, outputs)
    layers = [shape for shape in target.shapes.values() if len(shape) == 2]
    for index, (outputs, inputs) in enumerate(layers):
        found += _layer(experiment.training.batch_size, inputs, outputs)[: None if index else 2]
    return found


def stepper(products: list[Product], device: torch.device) -> Callable[[], None]:
    """A call that does them all, one after the other, on numbers that lie ready."""
    stored: dict[tuple[int, int], Tensor] = {}

    def factor(rows: int, columns: int, transposed: bool) -> Tensor:
        shape = (columns, rows) if transposed else (rows, columns)
        if shape not in stored:
            stored[shape] = torch.rand(shape, device=device)
        return stored[shape].mT if transposed else stored[shape]

    ready = []
    for product in products:
        left = factor(product.rows, product.inner, product.left_transposed)
        right = factor(product.inner, product.columns, product.right_transposed)
        ready.append((left, right, torch.empty(product.rows, product.columns, device=device)))

    def call() -> None:
        for left, right, out in ready:
            torch.mm(left, right, out=out)

    return call


def _layer(samples: int, inputs: int, outputs: int) -> list[Product]:
    """Forward, backward to the weights, backward to the inputs of a linear layer (outputs, inputs)."""
    return [
        Product(samples, inputs, outputs, right_transposed=True),
        Product(outputs, samples, inputs, left_transposed=True),
        Product(samples, outputs, inputs),
    ]
