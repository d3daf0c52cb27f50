"""Generators for replay: variational autoencoders that sample earlier tasks' inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil, prod

import torch
from torch import Tensor

from hypercl.config import Experiment, UserError
from hypercl.config.models import MLP, Autoencoder, Hnet, OwnWeights, Regularizer, ReplayHypernet, generator_of
from hypercl.hypernets import build_hypernet
from hypercl.methods.autoencoder import VariationalAutoencoder
from hypercl.methods.hnet import AnyAnchor, HnetLearner
from hypercl.methods.learner import AnyHypernetwork, Batch, LearnerSpec, Losses, State, StepInfo, TaskContext, TaskData
from hypercl.methods.network_learner import NetworkLearner, at_least_float32
from hypercl.methods.plain import plain_network
from hypercl.methods.scale import restored, scale_of, standardized
from hypercl.regularizers import DirectAnchor
from hypercl.seeds import derive, generator
from hypercl.targets import GeneratedModel, count_weights, weight_shapes
from hypercl.tasks import Shape
from hypercl.tensors import Tensors, copied

DECODERS_KEPT = 100_000_000
"""Limit on stored weights of earlier decoders (400 MB, as much as the regulariser's direct form stores); above it they
are generated at each step, in blocks of this size."""


class GeneratorLearner(NetworkLearner):
    """An autoencoder that learns a task's inputs; the `target` of its spec is the decoder.

    It uses the classifier's optimiser settings and separate random numbers. The encoder has its own, unprotected
    weights. A task has one decoder, or one for each of its classes, each with a row of `embeddings`.
    Adds to the state `encoder`, its weights, and their optimiser's state.

    Args:
        spec: the classifier's.
        variants: the config of each replica for the decoder's learner.
        decoder: the decoder and the hypernetwork of its weights.
    """

    def __init__(
        self, spec: LearnerSpec, variants: Sequence[Experiment], decoder: tuple[GeneratedModel, AnyHypernetwork]
    ) -> None:
        network, hypernet = decoder
        self.rows = rows_of_tasks(spec.experiment, spec.shape)
        """Of the embeddings of each task's decoders."""
        pixels = prod(spec.shape.input_shape)
        shape = Shape(network.input_shape, (pixels,) * self.rows[-1].stop, "domain")
        own = tuple(reseeded(variant, "generator") for variant in variants)
        super().__init__(LearnerSpec(network, hypernet, shape, spec.device, own))
        config = generator_of(spec.experiment.method)
        assert config is not None
        self.latent = config.latent
        encoder = MLP(hidden=config.encoder), spec.shape.input_shape, 2 * config.latent
        encoder_network, self.encoder_weights = plain_network(*encoder, spec.device, spec.experiment.method)
        deviation = None
        if isinstance(config, ReplayHypernet) and config.likelihood == "gaussian":
            deviation = config.deviation
        self.autoencoder = VariationalAutoencoder(encoder_network, network, deviation)
        self.conditions = self._conditions(config, network.input_shape[0] - config.latent)
        """(decoders, size), or (replicas, decoders, size)."""

    def init(self) -> State:
        def draw(variant: Experiment) -> Tensors:
            return self.encoder_weights.init(generator(variant.training.seed, "encoder"))

        encoder = {name: value.to(self.spec.device) for name, value in self._of_each(draw).items()}
        return {**super().init(), "encoder": encoder}

    def start_task(self, state: State, task: int) -> State:
        started, encoder = super().start_task(state, task), copied(state["encoder"])
        optimizer = {**started["optimizer"], "encoder": self._optimizer_of("encoder", encoder, state)}
        return {**started, "encoder": encoder, "optimizer": optimizer}

    @torch.no_grad()
    def sample(self, state: State, task: int, count: int) -> Tensor:
        """Inputs of a task from the first replica as it is now: (count, *input_shape).

        Of several decoders equally many each, one after the other.
        """
        rows = self._rows(task)
        codes = self._normal((count, self.latent), "shown", task).tensor_split(rows.stop - rows.start, -2)
        weights = self.spec.hypernet(state["theta"], state["embeddings"][..., rows, :])
        parts = zip(weights.unbind(-2), codes, self.conditions[..., rows, :].unbind(-2), strict=True)
        inputs = torch.cat([self.autoencoder.decode(*part) for part in parts], self.samples_axis)
        if "scales" in state:
            inputs = restored(inputs, state["scales"][..., rows.start, :, :])
        return inputs[0] if self.bundled else inputs

    def _task_gradients(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[Losses, Tensors, Tensor, dict[str, Tensors]]:
        """As the base class; the encoder, which depends on the batch only, takes its step here."""
        with self._autocast():
            embeddings = state["embeddings"][..., self._rows(info.task), :]
            weights, back = self.spec.hypernet.generate(
                state["theta"], embeddings, self._drawn(embeddings.shape[-2], info)
            )
        decoder = at_least_float32(weights).requires_grad_()
        encoder = state["encoder"]["weights"].detach().requires_grad_()
        (batch,) = batches
        if not info.step and self.autoencoder.deviation is None:
            low, high = (float(value) for value in batch[0].aminmax())
            if low < 0 or high > 1:
                raise UserError(
                    f"tasks: inputs lie in {low:.3g} .. {high:.3g}, but a generator requires 0 .. 1\n"
                    "    fix:     scale them, or use a method without a generator"
                )
        loss = self._cost((encoder, decoder), batch, context, info)
        of_encoder, of_decoder = torch.autograd.grad(loss, [encoder, decoder], self.one.to(loss.dtype))
        of_encoder, moments = self._clipped({"weights": of_encoder}), state["optimizer"]["encoder"]
        self.optimizer.step_(state["encoder"], of_encoder, moments, info.lr)
        return {"task": loss.detach()}, *back(of_decoder), state["buffers"]

    def _rows(self, task: int) -> slice:
        return self.rows[task]

    def _adapts(self, task: int) -> Sequence[int]:
        rows = self._rows(task)
        return range(rows.start, rows.stop)

    def _cost(self, weights: tuple[Tensor, Tensor], batch: Batch, context: TaskContext, info: StepInfo) -> Tensor:
        """The loss of the encoder and the task's decoders (decoders, num_weights) on a batch: a scalar, or
        (replicas,)."""
        inputs, labels = batch
        return self._costs(weights, inputs, info, labels).mean(-1)

    def _costs(
        self, weights: tuple[Tensor, Tensor], inputs: Tensor, info: StepInfo, labels: Tensor | None = None
    ) -> Tensor:
        """Of each sample; labels are read where the task has several decoders."""
        shape = inputs.shape[self.samples_axis], self.latent
        noise = info.drawn(lambda at: self._normal(shape, "latent", at.task, at.step))
        encoder, decoders = weights
        conditions = self.conditions[..., self._rows(info.task), :]
        with self._autocast():
            if decoders.shape[-2] > 1:
                return self.autoencoder.costs((encoder, decoders), inputs, noise, conditions, labels)
            return self.autoencoder.costs((encoder, decoders.squeeze(-2)), inputs, noise, conditions.squeeze(-2))

    def _conditions(self, config: Autoencoder, size: int) -> Tensor:
        """The condition of each decoder."""
        decoders = len(self.spec.heads)
        if isinstance(config, ReplayHypernet) and config.condition == "gaussian":
            drawn = [self._normal((size,), "condition", decoder, device="cpu") for decoder in range(decoders)]
            return torch.stack(drawn, dim=-2).to(self.spec.device)
        one_hot = torch.eye(decoders, size, device=self.spec.device)
        return one_hot.expand(len(self.spec.seeds), -1, -1) if self.bundled else one_hot

    def _normal(self, shape: tuple[int, ...], *purpose: int | str, device: torch.device | str | None = None) -> Tensor:
        """N(0, 1), drawn separately for each replica: (*shape), or (replicas, *shape)."""
        device = self.spec.device if device is None else device
        generators = [generator(seed, *purpose, device=device) for seed in self.spec.seeds]
        drawn = [torch.randn(shape, generator=random, device=device) for random in generators]
        return torch.stack(drawn) if self.bundled else drawn[0]


@dataclass(frozen=True)
class HnetGeneratorContext:
    """Constants of a task for a generated decoder."""

    anchor: AnyAnchor | None
    """The regulariser's."""
    before: State
    """theta and the earlier embeddings before the task."""
    decoders: Tensor | None
    """Weights of the earlier decoders, (decoders, num_weights), if they fit `DECODERS_KEPT`."""
    scales: Tensor | None = None
    """Of the inputs of the earlier decoders' tasks, (decoders, 2, pixels), with likelihood gaussian."""


class HnetGenerator(GeneratorLearner, HnetLearner):
    """A decoder for each task, or class, generated by a separate hypernetwork with its own output regulariser.

    With likelihood gaussian it adds to the state `scales`, (decoders, 2, pixels): mean and deviation of the inputs of
    the decoder's task over its first batch, by which encoder and decoder have them standardised.
    """

    def __init__(self, spec: LearnerSpec) -> None:
        config = generator_of(spec.experiment.method)
        assert isinstance(config, ReplayHypernet)
        assert not isinstance(config.hypernet, OwnWeights)
        decoders, pixels = rows_of_tasks(spec.experiment, spec.shape)[-1].stop, prod(spec.shape.input_shape)
        size = config.latent + _condition_size(config)
        decoder, own = plain_network(MLP(hidden=config.decoder), (size,), pixels, spec.device, spec.experiment.method)
        shapes = [(name, tuple(shape)) for name, shape in decoder.shapes.items()]
        hypernet = build_hypernet(config.hypernet, decoder.num_weights, decoders, shapes, own.draw_weights)
        super().__init__(spec, [_generated(variant) for variant in spec.variants], (decoder, hypernet))

    def init(self) -> State:
        state = super().init()
        return state if self.autoencoder.deviation is None else {**state, "scales": self._unit_scales(state)}

    def start_task(self, state: State, task: int) -> State:
        state = super().start_task(state, task)
        if "scales" in state:  # of a stream of unknown length one for each embedding so far
            scales = self._unit_scales(state)
            scales[..., : state["scales"].shape[-3], :, :] = state["scales"]
            state = {**state, "scales": scales}
        if not task or state["anchor"]:
            return state
        earlier = state["embeddings"][..., : self._rows(task).start, :].clone()
        return {**state, "anchor": {"theta": copied(state["theta"]), "embeddings": earlier}}

    @torch.no_grad()
    def task_context(self, state: State, task: int) -> HnetGeneratorContext:
        anchor = super().task_context(state, task)
        decoders = anchor.targets if isinstance(anchor, DirectAnchor) else None
        earlier = self._rows(task).start
        scales = state["scales"][..., :earlier, :, :].clone() if "scales" in state else None
        context = HnetGeneratorContext(anchor, state["anchor"], decoders, scales)
        if task and decoders is None and earlier <= self._decoders_kept:
            return replace(context, decoders=self._decoders(context, slice(0, earlier)))
        return context

    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        return super().step(state, context.anchor, batches, info)

    def not_recordable(self, context: HnetGeneratorContext, task: int) -> str:
        return super().not_recordable(context.anchor, task)

    def share_of(self, batch_size: int, task: int) -> int:
        """Samples of each earlier decoder to replay beside a batch, rounded up."""
        return ceil(batch_size / self.rows[task].start)

    def draw(self, context: HnetGeneratorContext, count: int, info: StepInfo) -> Tensor:
        """Samples of every earlier decoder as it was before the current task, determined by the step.

        Returns:
            (decoders, count, *input_shape), with a leading replica axis if there are several.
        """
        earlier = self._rows(info.task).start
        shape = earlier, count, self.latent
        codes = info.drawn(lambda at: self._normal(shape, "replayed", at.task, at.step))
        size = self._decoders_kept if context.decoders is None else earlier
        blocks: list[Tensor] = []
        for start in range(0, earlier, size):
            rows = slice(start, min(start + size, earlier))
            weights = self._decoders(context, rows)
            code, conditions = codes[..., rows, :, :].flatten(0, -3), self.conditions[..., rows, :].flatten(0, -2)
            with self._autocast():
                inputs = self.autoencoder.decode(weights.flatten(0, -2), code, conditions)
            blocks.append(torch.unflatten(inputs, 0, weights.shape[:-1]))
        drawn = blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=self.samples_axis)
        return drawn if context.scales is None else restored(drawn, context.scales)

    def _task_gradients(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[Losses, Tensors, Tensor, dict[str, Tensors]]:
        if "scales" not in state:
            return super()._task_gradients(state, context, batches, info)
        ((inputs, labels),) = batches
        scales = state["scales"][..., self._rows(info.task), :, :]
        if not info.step:
            scales.copy_(scale_of(inputs, len(self.autoencoder.encoder.input_shape)).unsqueeze(-3))
        return super()._task_gradients(state, context, [(standardized(inputs, scales[..., 0, :, :]), labels)], info)

    def _unit_scales(self, state: State) -> Tensor:
        """Mean 0 and deviation 1 for each embedding: (decoders, 2, pixels)."""
        embeddings, pixels = state["embeddings"], prod(self.autoencoder.encoder.input_shape)
        scale = embeddings.new_zeros(2, pixels)
        scale[1] = 1
        return scale.repeat(*embeddings.shape[:-1], 1, 1)

    @torch.no_grad()
    def _decoders(self, context: HnetGeneratorContext, rows: slice) -> Tensor:
        """Weights of some earlier decoders: (decoders, num_weights)."""
        if context.decoders is not None:
            return context.decoders[..., rows, :]
        return self.spec.hypernet(context.before["theta"], context.before["embeddings"][..., rows, :])

    @property
    def _decoders_kept(self) -> int:
        """Decoders that fit `DECODERS_KEPT`."""
        return max(1, DECODERS_KEPT // (self.spec.target.num_weights * len(self.spec.seeds)))


class PlainGenerator(GeneratorLearner):
    """An autoencoder with its own weights, trained on new data and samples of its previous decoder (Shin et al. 2017).

    Adds to the state `former`, the decoder's weights before the task. `share`, the classifier's, maps a task to the
    weight of replayed samples in the loss.
    """

    def __init__(self, spec: LearnerSpec, share: Callable[[int], float]) -> None:
        config = generator_of(spec.experiment.method)
        assert config is not None
        decoder = MLP(hidden=config.decoder), (config.latent,), prod(spec.shape.input_shape)
        super().__init__(spec, spec.variants, plain_network(*decoder, spec.device, spec.experiment.method))
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
        return {**state, "former": {}}

    def draw(self, context: Tensor, count: int, info: StepInfo) -> Tensor:
        """Samples of all earlier tasks jointly, from the decoder before the current task: (count, *input_shape)."""
        code = info.drawn(lambda at: self._normal((count, self.latent), "replayed", at.task, at.step))
        with self._autocast():
            return self.autoencoder.decode(context, code, self.conditions[..., 0, :])

    def _cost(self, weights: tuple[Tensor, Tensor], batch: Batch, context: TaskContext, info: StepInfo) -> Tensor:
        if context is None:
            return super()._cost(weights, batch, context, info)
        (inputs, _), axis, share = batch, self.samples_axis, self.share(info.task)
        both = torch.cat([inputs, self.draw(context, inputs.shape[axis], info)], dim=axis)
        new, replayed = self._costs(weights, both, info).chunk(2, dim=-1)
        return (1 - share) * new.mean(-1) + share * replayed.mean(-1)


def generator_parameters(experiment: Experiment, shape: Shape) -> int:
    """Trainable parameters of the generator (encoder; decoder or its hypernetwork and embeddings); 0 without one.

    Raises:
        OutOfReach: no chunk size has a compression ratio as small as `method.generator.hypernet` requires.
    """
    config: Autoencoder | None = getattr(experiment.method, "generator", None)
    if config is None:
        return 0
    encoder = count_weights(MLP(hidden=config.encoder), shape.input_shape, 2 * config.latent)
    size = config.latent + (_condition_size(config) if isinstance(config, ReplayHypernet) else 0)
    shapes = weight_shapes(MLP(hidden=config.decoder), (size,), prod(shape.input_shape))
    decoder = sum(prod(size) for _, size in shapes)
    if not isinstance(config, ReplayHypernet) or isinstance(config.hypernet, OwnWeights):
        return encoder + decoder
    decoders = rows_of_tasks(experiment, shape)[-1].stop
    hypernet = build_hypernet(config.hypernet, decoder, decoders, shapes)
    return encoder + hypernet.num_parameters + decoders * hypernet.embedding_size


def rows_of_tasks(experiment: Experiment, shape: Shape) -> tuple[slice, ...]:
    """The rows that the embeddings of each task's decoders have: one, or one for each of its classes."""
    config = generator_of(experiment.method)
    of_classes = isinstance(config, ReplayHypernet) and config.embedding == "class"
    widths = shape.classes if of_classes else (1,) * shape.num_tasks
    return tuple(slice(end - width, end) for end, width in zip(accumulate(widths), widths, strict=True))


def _generated(variant: Experiment) -> Experiment:
    """The config of a replica's decoder."""
    config = generator_of(variant.method)
    assert isinstance(config, ReplayHypernet)
    method = Hnet(beta=config.beta, lookahead=config.lookahead, regularizer=Regularizer(mask_heads=False))
    return variant.model_copy(update={"hypernet": config.hypernet, "method": method})


def reseeded(variant: Experiment, part: str) -> Experiment:
    """The config of a replica with a separate seed for a part of its learner."""
    training = variant.training.model_copy(update={"seed": derive(variant.training.seed, part)})
    return variant.model_copy(update={"training": training})


def _condition_size(config: ReplayHypernet) -> int:
    return 0 if config.condition == "none" else config.condition_size
