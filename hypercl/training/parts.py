"""From an experiment's sections to the objects that train: sizes first, then the parts themselves."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from pathlib import Path

import torch

from hypercl.config import Experiment, UserError, assign
from hypercl.config.models import ImportedMethod, ImportedTarget, ModulationHypernet
from hypercl.config.models import OwnWeights as NoHypernet
from hypercl.hypernets import build_hypernet
from hypercl.methods import (
    AnyHypernetwork,
    Learner,
    LearnerSpec,
    StepInfo,
    build_method,
    generator_parameters,
    own_weights,
    replica_configs,
    require_alike,
)
from hypercl.targets import GeneratedModel, build_target, named, same_fingerprint, weight_shapes
from hypercl.tasks import Shape, shape_of
from hypercl.training.bundle import Bundle
from hypercl.training.memory import group_sizes, peak_of, room_for_one_of

SAMPLES, SAMPLES_OF_CONVOLUTIONS = 1000, 250
"""Samples predicted at once. On a CPU core a multilayer perceptron was quickest at 1000 or more (a fifth quicker than
at 250), ResNet-32 at 125 to 500 (at 1000 half as slow again)."""


@dataclass(frozen=True)
class Sizes:
    """How large the networks of an experiment are; known without data."""

    parameters: int
    """Hypernetwork parameters (chunk embeddings included) and task embeddings; the target's where it has its own."""
    target_parameters: int
    """Generated weights of the target."""
    chunk_size: int
    """Weights a chunk, solved where it is `auto`; all weights where there are no chunks."""
    generator_parameters: int = 0
    """Trained to replay inputs: decoder, or its hypernetwork with task embeddings, and encoder. Not in `parameters`."""

    @property
    def compression_ratio(self) -> float:
        """(Hypernetwork parameters + task embeddings) / target parameters."""
        return self.parameters / self.target_parameters


def sizes(experiment: Experiment, import_paths: Sequence[Path] = (), shape: Shape | None = None) -> Sizes:
    """The sizes of an experiment's networks, without reading data or making a network.

    Args:
        experiment: the experiment.
        import_paths: folders in which a user's own target is looked for, before what is installed.
        shape: of the stream as far as it has come; left out, what the settings alone say.

    Raises:
        OutOfReach: no chunk size has a compression ratio as small as `hypernet.compression_ratio`.

    Example:
        >>> from hypercl.config import loads
        >>> sizes(loads("experiment: {tasks: {name: split_mnist}}", "x").experiment).compression_ratio
        0.9733743023766226
    """
    shape = shape or shape_of(experiment.tasks)
    modulated = isinstance(experiment.hypernet, ModulationHypernet)
    shapes = weight_shapes(experiment.target, shape.input_shape, shape.num_outputs, import_paths, modulated)
    weights = sum(prod(size) for _, size in shapes)
    generator = generator_parameters(experiment, shape)
    if isinstance(experiment.hypernet, NoHypernet):
        return Sizes(weights, weights, weights, generator)
    hypernet = build_hypernet(experiment.hypernet, weights, shape.num_tasks, shapes)
    parameters = hypernet.num_parameters + shape.num_tasks * hypernet.embedding_size
    return Sizes(parameters, weights, hypernet.chunk_size, generator)


def seeds_of(experiment: Experiment) -> tuple[int, ...]:
    """The seed of each replica."""
    return tuple(variant.training.seed for variant in replica_configs(experiment))


@dataclass(frozen=True)
class Networks:
    """What the learners of an experiment's replicas have in common: networks without weights."""

    shape: Shape
    target: GeneratedModel
    hypernet: AnyHypernetwork
    device: torch.device
    import_paths: Sequence[Path] = ()

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        device: torch.device,
        import_paths: Sequence[Path] = (),
        shape: Shape | None = None,
    ) -> "Networks":
        """The target and the hypernetwork of an experiment, on a device; the arguments are those of `sizes`.

        Raises:
            UserError: the target cannot be built, or a layer of it cannot be replicated on the device.
        """
        shape = shape or shape_of(experiment.tasks)
        modulated = isinstance(experiment.hypernet, ModulationHypernet)
        network = experiment.target, shape.input_shape, shape.num_outputs
        target = build_target(*network, import_paths, modulated).to(device)
        if experiment.training.batch_size == 1 and target.fails_on_one:
            raise UserError(
                f"training.batch_size: 1, but the target cannot train with a single sample: {target.fails_on_one}\n"
                "    fix:     --set training.batch_size=2 or more, or a target without batch normalisation"
            )
        if experiment.training.replicas > 1:
            target.require_bundle(device)
        hypernet = own_weights(experiment.target, target, import_paths, experiment.method, modulated)
        if not isinstance(experiment.hypernet, NoHypernet):
            shapes = [(name, tuple(size)) for name, size in target.shapes.items()]
            draw = hypernet.draw_weights
            hypernet = build_hypernet(experiment.hypernet, target.num_weights, shape.num_tasks, shapes, draw)
        return cls(shape, target, hypernet, device, import_paths)

    def learner(self, experiment: Experiment | Sequence[Experiment]) -> Learner:
        """The method of an experiment, with as many replicas as it says; or of the experiments of a bundle's replicas.

        Raises:
            UserError: the experiments differ in more than scalars.
        """
        if isinstance(experiment, Experiment):
            variants = replica_configs(experiment)
        else:
            variants = tuple(experiment)
            require_alike(variants)
        return build_method(
            LearnerSpec(self.target, self.hypernet, self.shape, self.device, variants, self.import_paths)
        )

    def groups(self, experiment: Experiment, processes: int = 1) -> list[int]:
        """How many replicas memory has room for at once, measured in a step of the last task with one of them.

        Args:
            experiment: whose replicas.
            processes: that share the device.
        """
        replicas = experiment.training.replicas
        if replicas == 1:
            return [1]
        return group_sizes(replicas, self._bytes_each(experiment), room_for_one_of(processes, self.device))

    def bundle(self, experiment: Experiment | Sequence[Experiment], groups: Sequence[int]) -> Bundle:
        """The replicas of an experiment, or experiments that differ in scalars, in groups of these sizes."""
        learners: list[Learner] = []
        for start, size in zip(accumulate(groups, initial=0), groups, strict=False):
            if isinstance(experiment, Experiment):
                seed = experiment.training.seed + start
                own = assign(experiment, {"training.seed": seed, "training.replicas": size})
            else:
                own = experiment[start : start + size]
            learners.append(self.learner(own))
        most = SAMPLES_OF_CONVOLUTIONS if self.target.convolves and self.device.type == "cpu" else SAMPLES
        in_all = 4 * SAMPLES if self.target.convolves else 16 * SAMPLES
        return Bundle(learners, groups, max(most // 8, min(most, in_all // sum(groups))))

    def _bytes_each(self, experiment: Experiment) -> int:
        learner, last = self.learner(assign(experiment, {"training.replicas": 1})), self.shape.num_tasks - 1
        size = experiment.training.batch_size

        def step() -> None:
            inputs = torch.zeros(size, *self.shape.input_shape, device=self.device)
            steps = (self.shape.steps,) if self.shape.steps else ()
            labels = torch.zeros(size, *steps, dtype=torch.int64, device=self.device)
            batches = [(inputs, labels)] * len(learner.trains_on(last))
            state = learner.start_task(learner.init(), last)
            learner.step(state, learner.task_context(state, last), batches, StepInfo(last, 0, 0.0))

        return peak_of(step)


def require_buildable(experiment: Experiment, import_paths: Sequence[Path] = ()) -> None:
    """Refuses what cannot be built, before anything is written.

    Warns of weights of a user's own target that are generated and never read.

    Raises:
        UserError: a target or a method of the user's own is not found, fails, does not do what is asked of it, or
            differs each time it is built; a compression ratio that is not achievable.
    """
    sizes(experiment, import_paths)
    if isinstance(experiment.method, ImportedMethod) or isinstance(experiment.target, ImportedTarget):
        networks = Networks.of(experiment, torch.device("cpu"), import_paths)
        networks.learner(experiment)
        if isinstance(experiment.target, ImportedTarget):
            _require_repeatable(experiment, networks)


def _require_repeatable(experiment: Experiment, networks: Networks) -> None:
    target, shape = networks.target, networks.shape
    modulated = isinstance(experiment.hypernet, ModulationHypernet)
    again = build_target(experiment.target, shape.input_shape, shape.num_outputs, networks.import_paths, modulated)
    if not same_fingerprint(target.fingerprint(), again.fingerprint()):
        raise UserError(
            "target: it differs each time it is built: its constants or initial weights come from a generator without "
            "a fixed seed\n"
            "    fix:     seed that generator, or draw from the global state of torch, NumPy or random, which is seeded"
        )
    if target.unread:
        warnings.warn(
            f"target: {len(target.unread)} of {len(target.shapes)} parameters are generated, but the outputs do not "
            f"depend on them: {named(target.unread)}; remove them, or set requires_grad_(False)",
            UserWarning,
            stacklevel=2,
        )


def build_learner(experiment: Experiment, device: torch.device, import_paths: Sequence[Path] = ()) -> Learner:
    """The method of an experiment with its target and hypernetwork."""
    return Networks.of(experiment, device, import_paths).learner(experiment)


def build_bundle(experiments: Sequence[Experiment], device: torch.device, import_paths: Sequence[Path] = ()) -> Learner:
    """One learner of several settings that differ in scalars: beta, learning rate, initial scales, seed.

    All tensors of its state have an axis of replicas in front, one setting each; a step takes batches (replicas, batch,
    *input_shape), gives losses (replicas,), and is to each what its own step alone would be. The learning rate of a
    step (`StepInfo.lr`) is that of the first setting; the others keep their ratio to it.

    Raises:
        UserError: the settings differ in something else, which is named.

    Example:
        >>> from hypercl.config import loads
        >>> text = "experiment: {tasks: {name: split_digits}}"
        >>> settings = [loads(text, "x", [f"method.beta={beta}"]).experiment for beta in (0.01, 0.1, 1)]
        >>> learner = build_bundle(settings, torch.device("cpu"))
        >>> state = learner.start_task(learner.init(), 0)
        >>> inputs, labels = torch.rand(3, 32, 1, 8, 8), torch.zeros(3, 32, dtype=torch.int64)
        >>> context = learner.task_context(state, 0)
        >>> state, losses = learner.step(state, context, [(inputs, labels)], StepInfo(0, 0, 1e-3))
        >>> losses["task"].shape
        torch.Size([3])
    """
    first = assign(experiments[0], {"training.replicas": len(experiments)})
    return Networks.of(first, device, import_paths).learner(experiments)
