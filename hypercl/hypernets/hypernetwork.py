"""A hypernetwork with a linear head, chunked or full, as pure functions of its parameters."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from hypercl.config.models import Initialization, Xavier
from hypercl.hypernets.initialize import Hyperfan, TargetTensor, TrunkMoments, initial_theta
from hypercl.tensors import Tensors, add_product_

XAVIER = Xavier()
PAIRS_AS_ONE = 2048
"""Up to so many pairs (task, chunk) pass the first layer as one product of their whole inputs: fewer calls."""


@dataclass(frozen=True)
class Hypernetwork:
    """Weights of a target for any number of tasks in one pass (von Oswald et al. 2020, sections 2 and 3).

    The input of the pair (task t, chunk c) is `[e_t, c_c, noise]`, task embedding first. It passes the trunk (in each
    layer linear, normalisation, activation, dropout), and the linear head turns it into `chunk_size` weights. The
    chunks of a task, concatenated and cut at `num_weights`, are the task's weights. A full hypernetwork has one chunk
    of `num_weights` and no chunk embedding.

    Parameters (`theta`) are a dict of tensors: `trunk.<layer>.weight` (units, inputs), `trunk.<layer>.bias` (units,),
    with layer normalisation `trunk.<layer>.scale` and `trunk.<layer>.shift` (units,), `head` (chunk_size, h + 1), whose
    last column is the bias, and, if chunked, `chunks` (chunks, chunk_embedding). Task embeddings are not among them;
    with `task_chunks` they hold the chunk embeddings.

    The random part of a training step, noise and dropout masks, comes from `draw` as tensors; without it a call is in
    evaluation mode: zero noise, no dropout. Leading axes, the same before all parameters, embeddings and draws, are
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
    """Weights of a chunk."""
    hidden: tuple[int, ...]
    """Units of each trunk layer; () makes the hypernetwork one linear map."""
    task_embedding: int
    """Size of a task embedding."""
    chunk_embedding: int = 0
    """Size of a chunk embedding; 0 with a single chunk."""
    activation: str = "relu"
    """Function of `torch.nn.functional` after each trunk layer."""
    normalization: str = "none"
    """`layer`: layer normalisation of each trunk layer with a learned scale and shift (Ba et al., 2016)."""
    dropout: float = 0.0
    """Dropout rate of each trunk layer."""
    noise: int = 0
    """Size of the noise in the input."""
    embedding_scale: float = 1.0
    """Standard deviation of initial embeddings."""
    embedding_init: str = "normal"
    """`previous`: a task's embedding starts as a copy of the previous task's."""
    initialization: Initialization = XAVIER
    """Of trunk and head."""
    target_tensors: tuple[TargetTensor, ...] = ()
    """What each generated tensor is, in order, for hyperfan initialisation."""
    task_chunks: bool = False
    """Whether each task has chunk embeddings of its own, which are then a part of its task embedding."""
    perturbation: float = 0.0
    """Standard deviation of the noise on generated weights in training (`HPerturbWrapper` of hypnettorch)."""

    def __post_init__(self) -> None:
        if self.num_chunks > 1 and not self.chunk_embedding:
            raise ValueError(f"{self.num_chunks} chunks need a chunk embedding, which distinguishes them")

    @property
    def num_chunks(self) -> int:
        """Chunks of a task."""
        return -(-self.num_weights // self.chunk_size)

    @property
    def embedding_size(self) -> int:
        """Numbers of a task's embedding, with its chunk embeddings if it has its own: [e_t, c_t1, c_t2, ...]."""
        return self.task_embedding + (self.num_chunks * self.chunk_embedding if self.task_chunks else 0)

    @property
    def additive(self) -> bool:
        """Whether the head's input of a pair is the sum of a part of its task's and one of its chunk's."""
        return not self.hidden and not self.task_chunks

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter."""
        sizes = (self.task_embedding + self.chunk_embedding + self.noise, *self.hidden)
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, units) in enumerate(zip(sizes, self.hidden, strict=False)):
            shapes[f"trunk.{layer}.weight"] = (units, inputs)
            shapes[f"trunk.{layer}.bias"] = (units,)
            if self.normalization == "layer":
                shapes |= {f"trunk.{layer}.scale": (units,), f"trunk.{layer}.shift": (units,)}
        shapes["head"] = (self.chunk_size, sizes[-1] + 1)
        if self.chunk_embedding and not self.task_chunks:
            shapes["chunks"] = (self.num_chunks, self.chunk_embedding)
        return shapes

    @property
    def num_parameters(self) -> int:
        """Size of theta, with chunk embeddings and without task embeddings."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    @property
    def random(self) -> bool:
        """Whether a training step draws random numbers."""
        return self.noise > 0 or self.dropout > 0 or self.perturbation > 0

    def initialized(self, embedding_scale: float, initialization: Initialization) -> "Hypernetwork":
        """With another initialisation."""
        return replace(self, embedding_scale=embedding_scale, initialization=initialization)

    def init(self, generator: Generator) -> Tensors:
        """Initial parameters; see `hypercl.hypernets.initialize`."""
        trunk = TrunkMoments(self.hidden, self.activation, self.dropout, self.normalization == "layer")
        power = self.task_embedding * self.embedding_scale**2 + self.noise
        fan = Hyperfan(trunk, power, self.target_tensors)
        return initial_theta(self.shapes, self.initialization, self.embedding_scale, fan, generator)

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        """Initial task embeddings, N(0, embedding_scale^2): (tasks, embedding_size)."""
        values = torch.randn(tasks, self.embedding_size, generator=generator, device=generator.device)
        return values * self.embedding_scale

    def draw(self, tasks: int, generator: Generator) -> Tensors:
        """The random part of a training step for this number of tasks.

        Returns:
            `noise` (noise,), one vector for all tasks and chunks, and `trunk.<layer>.mask` (tasks, chunks, units) of 0
            and 1 / (1 - dropout), `outputs` (tasks, num_weights), added to the weights; each only if there is any.
        """
        device, drawn = generator.device, Tensors()
        if self.noise:
            drawn["noise"] = torch.randn(self.noise, generator=generator, device=device)
        for layer, units in enumerate(self.hidden if self.dropout else ()):
            chance = torch.rand(tasks, self.num_chunks, units, generator=generator, device=device)
            drawn[f"trunk.{layer}.mask"] = (chance >= self.dropout) / (1 - self.dropout)
        if self.perturbation:
            noise = torch.randn(tasks, self.num_weights, generator=generator, device=device)
            drawn["outputs"] = self.perturbation * noise
        return drawn

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        """Weights (tasks, num_weights) for embeddings (tasks, embedding_size), from one pass over all tasks and chunks.

        `drawn` is from `draw` in training; None is evaluation mode.
        """
        extended = _with_one(self.hidden_activations(theta, embeddings, drawn))
        return self._perturbed(self._weights(theta["head"], extended), drawn)

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """Generated weights, and a function that propagates a gradient with respect to them back.

        Equal to a call followed by autograd, but faster: autograd would fill a gradient of all chunks with zeros, copy
        into it, and sum it once more for the bias. Arguments as of a call.

        Returns:
            Weights (tasks, num_weights), detached; and a function from their gradient (tasks, num_weights) to that of
            theta, by name and contiguous, and that of the embeddings.

        Example:
            >>> hypernet = Hypernetwork(num_weights=10, chunk_size=4, hidden=(3,), task_embedding=2, chunk_embedding=2)
            >>> theta = hypernet.init(torch.Generator().manual_seed(1))
            >>> weights, back = hypernet.generate(theta, torch.randn(1, 2))
            >>> gradient, of_embeddings = back(2 * weights)  # of the sum of squares
            >>> gradient["head"].shape, of_embeddings.shape
            (torch.Size([4, 4]), torch.Size([1, 2]))
        """
        leaves = {name: value.detach().requires_grad_() for name, value in theta.items() if name != "head"}
        inputs, head = embeddings.detach().requires_grad_(), theta["head"].detach()
        with torch.enable_grad():
            hidden = self.hidden_activations(leaves, inputs, drawn)
        with torch.no_grad():
            extended = _with_one(hidden)
            weights = self._perturbed(self._weights(head, extended), drawn)

        @torch.no_grad()
        def back(gradient: Tensor) -> tuple[Tensors, Tensor]:
            of_head, of_hidden = self._back_through_head(head, extended.to(head.dtype), gradient)
            reached = [*leaves.values(), inputs]
            *grads, of_inputs = torch.autograd.grad(hidden, reached, of_hidden.to(hidden.dtype))
            by_name = dict(zip(leaves, grads, strict=True)) | {"head": of_head}
            return {name: by_name[name].contiguous() for name in theta}, of_inputs

        return weights, back

    def hidden_activations(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        """Inputs of the head, (tasks, chunks, h); with an empty trunk the hypernetwork's inputs."""
        tasks = embeddings.shape[-2]
        if not drawn and tasks * self.num_chunks > PAIRS_AS_ONE:
            of_tasks, of_chunks = self.first_layer_terms(theta, embeddings)
            sums = of_tasks.unsqueeze(-2) + (
                of_chunks.transpose(-3, -2) if self.task_chunks else of_chunks.unsqueeze(-3)
            )
            hidden = self.hidden_from_first_layer(theta, sums.flatten(-3, -2))
            return torch.unflatten(hidden, -2, (-1, self.num_chunks))
        drawn = drawn or {}
        activations = self._inputs(theta, embeddings, drawn).flatten(-3, -2)
        for layer in range(len(self.hidden)):
            activations = self._layer(theta, layer, activations)
            if f"trunk.{layer}.mask" in drawn:
                activations = activations * drawn[f"trunk.{layer}.mask"].flatten(-3, -2)
        return torch.unflatten(activations, -2, (tasks, self.num_chunks))

    def first_layer_terms(self, theta: Tensors, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer before its normalisation, as two terms: W [e; c] + b = (W_e e + b) + W_c c.

        It costs tasks + chunks products with parts of W instead of tasks x chunks with W. Evaluation mode.

        Returns:
            Terms of the tasks (tasks, units) and of the chunks (chunks, units); of chunks of each task's own (chunks,
            tasks, units). With an empty trunk their sum is the head's input: [e, 0, 0] and [0, c, 0].
        """
        chunks, tasks = self._chunk_embeddings(theta, embeddings), embeddings[..., : self.task_embedding]
        if not self.hidden:
            of_tasks = functional.pad(tasks, (0, self.chunk_embedding + self.noise))
            return of_tasks, functional.pad(chunks, (self.task_embedding, self.noise))
        weight, ends = theta["trunk.0.weight"], (self.task_embedding, self.task_embedding + self.chunk_embedding)
        of_tasks = _affine(tasks, weight[..., : ends[0]], theta["trunk.0.bias"])
        weight = weight[..., ends[0] : ends[1]].mT
        return of_tasks, chunks @ (weight.unsqueeze(-3) if self.task_chunks else weight)

    def first_layer_back_(
        self, gradient: Tensors, theta: Tensors, embeddings: Tensor, of_tasks: Tensor, of_chunks: Tensor
    ) -> None:
        """Adds to `gradient`, in place, what reaches it through `first_layer_terms`; the bias's is their plain sum.

        Args:
            gradient: by the names in theta, and `embeddings` if theirs is wanted.
            theta: of the terms, as are `embeddings`.
            embeddings: (tasks, embedding_size).
            of_tasks: gradient of the tasks' terms.
            of_chunks: gradient of the chunks' terms.
        """
        end = self.task_embedding
        of_inputs = slice(end, end + self.chunk_embedding)
        into = gradient["embeddings"][..., :end] if "embeddings" in gradient else None
        if not self.hidden:
            if into is not None:
                into.add_(of_tasks[..., :end])
            self._add_to_chunks_(gradient, of_chunks[..., of_inputs])
            return
        weight, reached = theta["trunk.0.weight"], gradient["trunk.0.weight"]
        add_product_(reached[..., :end], of_tasks.mT, embeddings[..., :end])
        if into is not None:
            add_product_(into, of_tasks, weight[..., :end])
        if self.task_chunks:
            chunks = self._chunk_embeddings(theta, embeddings).flatten(-3, -2)
            add_product_(reached[..., of_inputs], of_chunks.flatten(-3, -2).mT, chunks)
            if into is not None:
                self._add_to_chunks_(gradient, of_chunks @ weight[..., of_inputs].unsqueeze(-3))
        elif self.chunk_embedding:
            add_product_(reached[..., of_inputs], of_chunks.mT, theta["chunks"])
            add_product_(gradient["chunks"], of_chunks, weight[..., of_inputs])

    def _add_to_chunks_(self, gradient: Tensors, of_chunks: Tensor) -> None:
        """Adds the gradient of chunk embeddings, shaped as those, where they are kept."""
        if self.task_chunks and "embeddings" in gradient:
            gradient["embeddings"][..., self.task_embedding :].add_(of_chunks.transpose(-3, -2).flatten(-2))
        elif self.chunk_embedding and not self.task_chunks:
            gradient["chunks"].add_(of_chunks)

    def _chunk_embeddings(self, theta: Tensors, embeddings: Tensor) -> Tensor:
        """(chunks, chunk_embedding), shared by all tasks; or (chunks, tasks, chunk_embedding) of each task's own."""
        if self.task_chunks:
            parts = embeddings[..., self.task_embedding :]
            return parts.unflatten(-1, (self.num_chunks, self.chunk_embedding)).transpose(-3, -2)
        return theta["chunks"] if self.chunk_embedding else embeddings.new_zeros(*embeddings.shape[:-2], 1, 0)

    def hidden_from_first_layer(self, theta: Tensors, sums: Tensor) -> Tensor:
        """Inputs of the head from sums of `first_layer_terms`: (pairs, units) -> (pairs, h). Evaluation mode."""
        activations = self._activated(theta, 0, sums) if self.hidden else sums
        for layer in range(1, len(self.hidden)):
            activations = self._layer(theta, layer, activations)
        return activations

    def _weights(self, head: Tensor, extended: Tensor) -> Tensor:
        """(tasks, chunks, h + 1) -> (tasks, num_weights)."""
        weights = extended.flatten(-3, -2) @ head.mT
        return weights.reshape(*extended.shape[:-2], -1)[..., : self.num_weights]

    def _perturbed(self, weights: Tensor, drawn: Tensors | None) -> Tensor:
        return weights + drawn["outputs"] if drawn and "outputs" in drawn else weights

    def _back_through_head(self, head: Tensor, extended: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """From the gradient of the weights (tasks, num_weights) to those of the head and of its inputs.

        The last chunk may be cut, and is handled separately, so that nothing is padded.
        """
        whole = self.num_weights // self.chunk_size
        *replicas, tasks, _, h = extended.shape
        of_whole = gradient[..., : whole * self.chunk_size].reshape(*replicas, -1, self.chunk_size)
        of_head = of_whole.mT @ extended[..., :whole, :].reshape(*replicas, -1, h)
        of_hidden = extended.new_empty(*replicas, tasks, self.num_chunks, h - 1)
        if tasks == 1:
            add_product_(of_hidden[..., 0, :whole, :], of_whole, head[..., :-1], beta=0)
        else:
            of_hidden[..., :whole, :] = (of_whole @ head[..., :-1]).unflatten(-2, (-1, whole))
        if whole < self.num_chunks:
            of_cut = gradient[..., whole * self.chunk_size :]
            rows = slice(0, of_cut.shape[-1])
            add_product_(of_head[..., rows, :], of_cut.mT, extended[..., whole, :])
            add_product_(of_hidden[..., whole, :], of_cut, head[..., rows, :-1], beta=0)
        return of_head, of_hidden

    def _layer(self, theta: Tensors, layer: int, inputs: Tensor) -> Tensor:
        """A trunk layer without its dropout: (..., n, inputs) -> (..., n, units)."""
        sums = _affine(inputs, theta[f"trunk.{layer}.weight"], theta[f"trunk.{layer}.bias"])
        return self._activated(theta, layer, sums)

    def _activated(self, theta: Tensors, layer: int, sums: Tensor) -> Tensor:
        """Normalisation and activation of a trunk layer."""
        if self.normalization == "layer":
            sums = functional.layer_norm(sums, sums.shape[-1:])
            scale, shift = theta[f"trunk.{layer}.scale"], theta[f"trunk.{layer}.shift"]
            sums = sums * scale.unsqueeze(-2) + shift.unsqueeze(-2)
        return getattr(functional, self.activation)(sums)

    def _inputs(self, theta: Tensors, embeddings: Tensor, drawn: Tensors) -> Tensor:
        """[task embedding, chunk embedding, noise] of each pair: (tasks, chunks, inputs)."""
        *replicas, tasks, _ = embeddings.shape
        pairs = (*replicas, tasks, self.num_chunks)
        parts = [embeddings[..., : self.task_embedding].unsqueeze(-2).expand(*pairs, -1)]
        if self.chunk_embedding:
            chunks = self._chunk_embeddings(theta, embeddings)
            parts.append(chunks.transpose(-3, -2) if self.task_chunks else chunks.unsqueeze(-3).expand(*pairs, -1))
        if self.noise:
            noise = drawn.get("noise", embeddings.new_zeros(*replicas, self.noise))
            parts.append(noise.unsqueeze(-2).unsqueeze(-2).expand(*pairs, -1))
        return torch.cat(parts, dim=-1)


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(..., n, inputs) with (..., units, inputs) and (..., units) -> (..., n, units)."""
    if inputs.ndim == 2:
        return functional.linear(inputs, weight, bias)
    return torch.baddbmm(bias.unsqueeze(-2), inputs, weight.mT)


def _with_one(hidden: Tensor) -> Tensor:
    """(..., h) -> (..., h + 1): a 1 for the bias."""
    return functional.pad(hidden, (0, 1), value=1.0)
