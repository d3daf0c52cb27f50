"""Passes of pairs through a hypernetwork's first layer and trunk, whose gradients add up."""

from typing import Protocol

import torch
from torch import Tensor

from hypercl.tensors import Tensors, add_all_, sums_of


class LinearHead(Protocol):
    """What the regulariser reads of a hypernetwork with a linear head."""

    @property
    def num_weights(self) -> int: ...
    @property
    def chunk_size(self) -> int: ...
    @property
    def num_chunks(self) -> int: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def additive(self) -> bool: ...
    @property
    def shapes(self) -> dict[str, tuple[int, ...]]: ...
    def __call__(self, theta: Tensors, embeddings: Tensor) -> Tensor: ...
    def hidden_activations(self, theta: Tensors, embeddings: Tensor) -> Tensor: ...
    def first_layer_terms(self, theta: Tensors, embeddings: Tensor) -> tuple[Tensor, Tensor]: ...
    def hidden_from_first_layer(self, theta: Tensors, sums: Tensor) -> Tensor: ...
    def first_layer_back_(
        self, gradient: Tensors, theta: Tensors, embeddings: Tensor, of_tasks: Tensor, of_chunks: Tensor
    ) -> None: ...


class Pairs(Protocol):
    """Some pairs (task, chunk)."""

    def sums(self, of_tasks: Tensor, of_chunks: Tensor) -> Tensor:
        """of_tasks[t] + of_chunks[c] of each pair: (tasks, n) and (chunks, n) -> (pairs, n)."""
        ...


class TrunkPass:
    """Any number of passes in evaluation mode; `finish` adds the sum of their gradients to `gradient`, in place.

    So pairs can pass in blocks. Nothing is differentiated through the arguments.

    Args:
        net: the hypernetwork.
        theta: where its gradient is taken.
        embeddings: of the tasks, (tasks, dim).
        gradient: by the names in theta, and `embeddings` if theirs is wanted.
    """

    def __init__(self, net: LinearHead, theta: Tensors, embeddings: Tensor, gradient: Tensors) -> None:
        self.net, self.gradient, self.embeddings = net, gradient, embeddings.detach()
        self.theta = {name: value.detach() for name, value in theta.items()}
        first = ("trunk.0.weight", "trunk.0.bias")
        self.leaves = {
            name: value.detach().requires_grad_()
            for name, value in theta.items()
            if name.startswith("trunk.") and name not in first
        }
        of_tasks, of_chunks = net.first_layer_terms(self.theta, self.embeddings)
        self.of_tasks, self.of_chunks = of_tasks.detach().requires_grad_(), of_chunks.detach().requires_grad_()
        self._found: list[Tensor] = []

    def hidden(self, pairs: Pairs) -> Tensor:
        """Inputs of the head for some pairs, on the graph of the passes: (pairs, h)."""
        with torch.enable_grad():
            return self.net.hidden_from_first_layer(self.leaves, pairs.sums(self.of_tasks, self.of_chunks))

    def back(self, hidden: Tensor, gradient: Tensor) -> None:
        """Takes the gradient of what `hidden` gave, (pairs, h), back to the trunk and to the first layer's terms."""
        self._add(torch.autograd.grad(hidden, [*self.leaves.values(), self.of_tasks, self.of_chunks], gradient))

    def back_from_terms(self, of_tasks: Tensor, of_chunks: Tensor) -> None:
        """As `back`, without a trunk: gradients of the terms of all tasks (tasks, h) and of all chunks (chunks, h)."""
        self._add((of_tasks, of_chunks))

    def finish(self) -> None:
        """Adds what has been found to the gradient."""
        if not self._found:
            return
        *of_leaves, of_tasks, of_chunks = self._found
        if self.net.hidden:
            reached = [self.gradient[name] for name in ("trunk.0.bias", *self.leaves)]
            add_all_(reached, [of_tasks.sum(-2), *of_leaves])
        self.net.first_layer_back_(self.gradient, self.theta, self.embeddings, of_tasks, of_chunks)

    def _add(self, found: tuple[Tensor, ...]) -> None:
        # not in place: autograd may give two of them as one tensor
        self._found = sums_of(self._found, found) if self._found else list(found)
