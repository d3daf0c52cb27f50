"""How a learner meets a new task."""

from collections.abc import Sequence

import torch

from hypercl.config import Experiment
from hypercl.config.method import Finetune, Hnet, Joint, Scratch
from hypercl.hypernets import Hypernetwork
from hypercl.methods.hnet import HnetLearner
from hypercl.methods.hypernet_learner import HypernetLearner, Parts
from hypercl.methods.joint import JointLearner
from hypercl.methods.learner import Batch, Learner, Losses, Memory, Moment, State
from hypercl.methods.scratch import ScratchLearner
from hypercl.methods.variants import require_alike, variants_of
from hypercl.targets import GeneratedModel


def build_method(
    experiment: Experiment | Sequence[Experiment],
    target: GeneratedModel,
    hypernet: Hypernetwork,
    heads: tuple[slice, ...],
    device: torch.device,
) -> Learner:
    """The learner of an experiment's section `method`.

    Args:
        experiment: with as many replicas as `training.replicas` says; or the experiments of a bundle's replicas, which
            differ in scalars.
        target: what is generated.
        hypernet: what generates it; the scalars of its initialisation are those of the experiments.
        heads: outputs of each task.
        device: where it computes.

    Raises:
        UserError: the experiments differ in more than scalars.
    """
    if isinstance(experiment, Experiment):
        variants = variants_of(experiment)
    else:
        variants = tuple(experiment)
        require_alike(variants)
    experiment = variants[0]
    parts = Parts(target, hypernet, heads, experiment.training, device, variants)
    match experiment.method:
        case Hnet() as config:
            betas = [variant.method.beta for variant in variants if isinstance(variant.method, Hnet)]
            return HnetLearner(parts, config, betas)
        case Finetune():
            return HypernetLearner(parts)
        case Scratch():
            return ScratchLearner(parts)
        case Joint():
            return JointLearner(parts)
        case other:
            raise TypeError(f"no learner for {other!r}")


__all__ = ["Batch", "Learner", "Losses", "Memory", "Moment", "Parts", "State", "build_method", "variants_of"]
