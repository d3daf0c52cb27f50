"""How a learner meets a new task."""

import torch

from hypercl.config import Experiment
from hypercl.config.method import Finetune, Hnet, Joint, Scratch
from hypercl.hypernets import Hypernetwork
from hypercl.methods.hnet import HnetLearner
from hypercl.methods.hypernet_learner import HypernetLearner, Parts
from hypercl.methods.joint import JointLearner
from hypercl.methods.learner import Batch, Learner, Losses, Memory, Moment, State
from hypercl.methods.scratch import ScratchLearner
from hypercl.targets import GeneratedModel


def build_method(
    experiment: Experiment,
    target: GeneratedModel,
    hypernet: Hypernetwork,
    heads: tuple[slice, ...],
    device: torch.device,
) -> Learner:
    """The learner of an experiment's section `method`."""
    training = experiment.training
    seeds = tuple(range(training.seed, training.seed + training.replicas))
    parts = Parts(target, hypernet, heads, training, device, seeds)
    match experiment.method:
        case Hnet() as config:
            return HnetLearner(parts, config)
        case Finetune():
            return HypernetLearner(parts)
        case Scratch():
            return ScratchLearner(parts)
        case Joint():
            return JointLearner(parts)
        case other:
            raise TypeError(f"no learner for {other!r}")


__all__ = ["Batch", "Learner", "Losses", "Memory", "Moment", "Parts", "State", "build_method"]
