"""Learners of inputs: autoencoders whose decoder draws samples of earlier tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from hypercl.config import Experiment, UserError
from hypercl.config.models import MLP, Autoencoder, Hnet, Regularizer, ReplayHypernet
from hypercl.hypernets import build_hypernet
from hypercl.methods.autoencoder import VariationalAutoencoder
from hypercl.methods.hnet import AnyAnchor, HnetLearner
from hypercl.methods.learner import AnyHypernetwork, Batch, LearnerSpec, Losses, Memory, State, StepInfo, TaskData
from hypercl.methods.network_learner import NetworkLearner, Tensors, at_least_float32, copied
from hypercl.methods.plain import own_weights, plain_network
from hypercl.regularizers import DirectAnchor
from hypercl.seeds import derive, generator
from hypercl.targets import GeneratedModel, build_target, count_weights
from hypercl.tasks import Shape

DECODERS_KEPT = 100_000_000
"""Numbers in the decoders of earlier tasks up to which they are kept while a task is learned (400 MB), which is as
much as the regulariser's direct form keeps; above it they are generated at each step, in blocks of as many."""


class GeneratorLearner(NetworkLearner):
    """An autoencoder that learns a task's inputs; `target` of its own parts is the decoder.

    Its optimiser is the classifier's; its random numbers are its own. The encoder has weights of its own, which
    nothing protects.
    Adds to the state `encoder`, its weights, and their optimiser's state.

    Args:
        parts: the classifier's.
        variants: the setting of each replica, whose method has a section `generator`, as the decoder's learner reads
            it.
        decoder: the decoder and what generates its weights.
    """

    def __init__(
        self, parts: LearnerSpec, variants: Sequence[Experiment], decoder: tuple[GeneratedModel, AnyHypernetwork]
    ) -> None:
        network, hypernet = decoder
        tasks, pixels = parts.shape.num_tasks, prod(parts.shape.input_shape)
        shape = Shape(network.input_shape, (pixels,) * tasks, "domain")
        super().__init__(LearnerSpec(network, hypernet, shape, parts.device, tuple(map(_of_its_own, variants))))
        config: Autoencoder = parts.experiment.method.generator
        self.latent, coder, codes = config.latent, MLP(hidden=config.encoder), 2 * config.latent
        encoder, self.encoder_weights = plain_network(coder, parts.shape.input_shape, codes, parts.device)
        self.autoencoder = VariationalAutoencoder(encoder, network)
        self.conditions = self._conditions(config, network.input_shape[0] - config.latent)
        """(tasks, size), or (replicas, tasks, size)."""

    def init(self) -> State:
        seeds = iter(self.parts.seeds)
        encoder = self._of_each(lambda _: self.encoder_weights.init(generator(next(seeds), "encoder")))
        return {**super().init(), "encoder": {name: value.to(self.parts.device) for name, value in encoder.items()}}

    def start_task(self, state: State, task: int) -> State:
        begun, encoder = super().start_task(state, task), copied(state["encoder"])
        optimizer = {**begun["optimizer"], "encoder": self._optimizer_of("encoder", encoder, state)}
        return {**begun, "encoder": encoder, "optimizer": optimizer}

    @torch.no_grad()
    def sample(self, state: State, task: int, count: int) -> Tensor:
        """Inputs of the first replica's decoder of a task as it is now: (count, *input_shape), in 0 .. 1."""
        code = self._normal((count, self.latent), "shown", task)
        weights = self.parts.hypernet(state["theta"], state["embeddings"][..., [task], :]).squeeze(-2)
        inputs = self.autoencoder.decode(weights, code, self.conditions[..., task, :])
        return inputs[0] if self.bundled else inputs

    def _task_gradients(
        self, state: State, memory: Memory, batches: Sequence[Batch], now: StepInfo
    ) -> tuple[Losses, Tensors, Tensor, dict[str, Tensors]]:
        """As of the base; the encoder takes its step here, since nothing but the batch has a say in it."""
        with self._networks_run():
            embeddings = state["embeddings"][..., [now.task], :]
            weights, back = self.parts.hypernet.generate(state["theta"], embeddings, self._drawn(1, now))
        decoder = at_least_float32(weights).squeeze(-2).requires_grad_()
        encoder = state["encoder"]["weights"].detach().requires_grad_()
        ((inputs, _),) = batches
        if not now.step:
            _require_unit_interval(inputs)
        loss = self._cost((encoder, decoder), inputs, memory, now)
        of_encoder, of_decoder = torch.autograd.grad(loss.sum(), [encoder, decoder])
        of_encoder, moments = self._clipped({"weights": of_encoder}), state["optimizer"]["encoder"]
        self.optimizer.step_(state["encoder"], of_encoder, moments, now.lr)
        return {"task": loss.detach()}, *back(of_decoder.unsqueeze(-2)), state["buffers"]

    def _cost(self, weights: tuple[Tensor, Tensor], inputs: Tensor, memory: Memory, now: StepInfo) -> Tensor:
        """The loss of encoder and decoder on a batch: a scalar, or (replicas,)."""
        del memory
        return self._costs(weights, inputs, now).mean(-1)

    def _costs(self, weights: tuple[Tensor, Tensor], inputs: Tensor, now: StepInfo) -> Tensor:
        """Of each sample."""
        samples = inputs.shape[1 if self.bundled else 0]
        noise = self._normal((samples, self.latent), "latent", now.task, now.step)
        with self._networks_run():
            return self.autoencoder.costs(weights, inputs, noise, self.conditions[..., now.task, :])

    def _conditions(self, config: Autoencoder, size: int) -> Tensor:
        """What the decoder is told of each task."""
        tasks = len(self.parts.heads)
        if isinstance(config, ReplayHypernet) and config.condition == "gaussian":
            each = [self._normal((size,), "condition", task, device="cpu") for task in range(tasks)]
            return torch.stack(each, dim=-2).to(self.parts.device)
        one_hot = torch.eye(tasks, size, device=self.parts.device)
        return one_hot.expand(len(self.parts.seeds), -1, -1) if self.bundled else one_hot

    def _normal(self, shape: tuple[int, ...], *purpose: int | str, device: torch.device | str | None = None) -> Tensor:
        """N(0, 1) of each replica's own: (*shape), or (replicas, *shape)."""
        device = self.parts.device if device is None else device
        draws = [generator(seed, *purpose, device=device) for seed in self.parts.seeds]
        each = [torch.randn(shape, generator=draw, device=device) for draw in draws]
        return torch.stack(each) if self.bundled else each[0]


@dataclass(frozen=True)
class HnetGeneratorMemory:
    """What a generated decoder keeps while a task is learned."""

    anchor: AnyAnchor | None
    """The regulariser's."""
    before: State
    """theta and the earlier embeddings, as they were before the task."""
    decoders: Tensor | None
    """Weights of the earlier decoders then, (tasks, num_weights), where there is room for them."""


class HnetGenerator(GeneratorLearner, HnetLearner):
    """A decoder that a hypernetwork of its own generates for each task, under its own output regulariser."""

    def __init__(self, parts: LearnerSpec) -> None:
        config: ReplayHypernet = parts.experiment.method.generator
        tasks, pixels = parts.shape.num_tasks, prod(parts.shape.input_shape)
        size = config.latent + _condition_size(config)
        decoder = build_target(MLP(hidden=config.decoder), (size,), pixels).to(parts.device)
        shapes = [(name, tuple(shape)) for name, shape in decoder.shapes.items()]
        hypernet = build_hypernet(config.hypernet, decoder.num_weights, tasks, shapes)
        super().__init__(parts, [_generated(each) for each in parts.variants], (decoder, hypernet))

    def start_task(self, state: State, task: int) -> State:
        state = super().start_task(state, task)
        if not task or state["anchor"]:
            return state
        before = {"theta": copied(state["theta"]), "embeddings": state["embeddings"][..., :task, :].clone()}
        return {**state, "anchor": before}

    @torch.no_grad()
    def task_context(self, state: State, task: int) -> HnetGeneratorMemory:
        anchor, decoders = super().task_context(state, task), None
        if isinstance(anchor, DirectAnchor):
            decoders = anchor.targets
        memory = HnetGeneratorMemory(anchor, state["anchor"], decoders)
        if task and decoders is None and task <= self._decoders_kept:
            return HnetGeneratorMemory(anchor, state["anchor"], self._decoders(memory, slice(0, task)))
        return memory

    def step(self, state: State, memory: Memory, batches: Sequence[Batch], now: StepInfo) -> tuple[State, Losses]:
        return super().step(state, memory.anchor, batches, now)

    def draw(self, memory: HnetGeneratorMemory, count: int, now: StepInfo) -> Tensor:
        """Inputs of every earlier task, by its decoder as it was before the task that is learned.

        Args:
            memory: from `task_context`.
            count: samples of each task.
            now: where in the stream; the same inputs whenever it is asked.

        Returns:
            (tasks, count, *input_shape), after an axis of replicas where there are several; in 0 .. 1.
        """
        codes = self._normal((now.task, count, self.latent), "replayed", now.task, now.step)
        many, blocks = self._decoders_kept if memory.decoders is None else now.task, []
        for start in range(0, now.task, many):
            tasks = slice(start, min(start + many, now.task))
            weights = self._decoders(memory, tasks)
            own, conditions = codes[..., tasks, :, :].flatten(0, -3), self.conditions[..., tasks, :].flatten(0, -2)
            with self._networks_run():
                inputs = self.autoencoder.decode(weights.flatten(0, -2), own, conditions)
            blocks.append(inputs.unflatten(0, weights.shape[:-1]))
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1 if self.bundled else 0)

    @torch.no_grad()
    def _decoders(self, memory: HnetGeneratorMemory, tasks: slice) -> Tensor:
        """Weights of some earlier decoders: (tasks, num_weights)."""
        if memory.decoders is not None:
            return memory.decoders[..., tasks, :]
        return self.parts.hypernet(memory.before["theta"], memory.before["embeddings"][..., tasks, :])

    @property
    def _decoders_kept(self) -> int:
        """Decoders that may be held at once."""
        return max(1, DECODERS_KEPT // (self.parts.target.num_weights * len(self.parts.seeds)))


class PlainGenerator(GeneratorLearner):
    """An autoencoder of its own weights, trained on the new batch and on samples of its former self (Shin et al. 2017).

    Adds to the state `former`, the decoder's weights as they were before the task.

    Args:
        parts: the classifier's.
        share: from a task to the weight of replayed samples in the loss, which is the classifier's.
    """

    def __init__(self, parts: LearnerSpec, share: Callable[[int], float]) -> None:
        config: Autoencoder = parts.experiment.method.generator
        coder, pixels = MLP(hidden=config.decoder), prod(parts.shape.input_shape)
        decoder = build_target(coder, (config.latent,), pixels).to(parts.device)
        weights = own_weights(coder, (config.latent,), pixels, decoder.num_weights, ())
        super().__init__(parts, parts.variants, (decoder, weights))
        self.share = share

    def init(self) -> State:
        return {**super().init(), "former": {}}

    def start_task(self, state: State, task: int) -> State:
        state = super().start_task(state, task)
        return {**state, "former": copied(state["theta"]) if task else {}}

    def task_context(self, state: State, task: int) -> Tensor | None:
        """Weights of the former decoder."""
        return state["former"]["weights"] if task else None

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        del task, data
        return {**state, "former": {}}

    def draw(self, memory: Tensor, count: int, now: StepInfo) -> Tensor:
        """Inputs of whichever earlier tasks, by the decoder as it was before the task that is learned.

        Returns:
            (count, *input_shape), after an axis of replicas where there are several; in 0 .. 1.
        """
        code = self._normal((count, self.latent), "replayed", now.task, now.step)
        with self._networks_run():
            return self.autoencoder.decode(memory, code, self.conditions[..., 0, :])

    def _cost(self, weights: tuple[Tensor, Tensor], inputs: Tensor, memory: Memory, now: StepInfo) -> Tensor:
        if memory is None:
            return super()._cost(weights, inputs, memory, now)
        axis = 1 if self.bundled else 0
        samples, share = inputs.shape[axis], self.share(now.task)
        both = torch.cat([inputs, self.draw(memory, samples, now)], dim=axis)
        new, replayed = self._costs(weights, both, now).split(samples, dim=-1)
        return (1 - share) * new.mean(-1) + share * replayed.mean(-1)


def generator_parameters(experiment: Experiment, shape: Shape) -> int:
    """Numbers that an experiment's method trains to replay inputs: decoder, or its hypernetwork with the embeddings of
    all tasks, and encoder; 0 where it generates none.

    Raises:
        OutOfReach: no chunk size has a compression ratio as small as `method.generator.hypernet` asks.
    """
    config: Autoencoder | None = getattr(experiment.method, "generator", None)
    if config is None:
        return 0
    encoder = count_weights(MLP(hidden=config.encoder), shape.input_shape, 2 * config.latent)
    size = config.latent + (_condition_size(config) if isinstance(config, ReplayHypernet) else 0)
    decoder = count_weights(MLP(hidden=config.decoder), (size,), prod(shape.input_shape))
    if not isinstance(config, ReplayHypernet):
        return encoder + decoder
    hypernet = build_hypernet(config.hypernet, decoder, shape.num_tasks)
    return encoder + hypernet.num_parameters + shape.num_tasks * hypernet.task_embedding


def _generated(variant: Experiment) -> Experiment:
    """The setting by which a replica's decoder is learned."""
    config: ReplayHypernet = variant.method.generator
    method = Hnet(beta=config.beta, lookahead=config.lookahead, regularizer=Regularizer(mask_heads=False))
    return variant.model_copy(update={"hypernet": config.hypernet, "method": method})


def _of_its_own(variant: Experiment) -> Experiment:
    """With random numbers of its own."""
    training = variant.training.model_copy(update={"seed": derive(variant.training.seed, "generator")})
    return variant.model_copy(update={"training": training})


def _condition_size(config: ReplayHypernet) -> int:
    return 0 if config.condition == "none" else config.condition_size


def _require_unit_interval(inputs: Tensor) -> None:
    low, high = (float(value) for value in inputs.aminmax())
    if low < 0 or high > 1:
        raise UserError(
            f"tasks: inputs lie in {low:.3g} .. {high:.3g}, and a generator replays inputs in 0 .. 1\n"
            "    fix:     scale them, or use a method that replays none"
        )
