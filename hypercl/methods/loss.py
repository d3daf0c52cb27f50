"""Losses of a learner: classification, regression and distillation."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, pad, softmax

from hypercl.tensors import vecdot


def classification_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy with the targets 1 - s on the right class and s / (K - 1) on each other one.

    The soft targets of von Oswald et al. (2020), 0.95 and 0.05 / 9. torch's `label_smoothing` shares s among all K
    classes, including the right one; it is equal at s K / (K - 1). A single class is not smoothed.

    Logits (samples, K) and labels (samples,) -> a scalar; with a leading replica axis -> (replicas,). Half precision is
    computed in float32.
    """
    classes = logits.shape[-1]
    shared = smoothing * classes / (classes - 1) if classes > 1 else 0.0
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if logits.ndim == 2:
        return cross_entropy(logits, labels, label_smoothing=shared)
    return cross_entropy(logits.mT, labels, label_smoothing=shared, reduction="none").mean(-1)


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean squared error of a regression.

    Outputs and labels (samples, K) -> a scalar; with a leading replica axis -> (replicas,). Half precision is computed
    in float32.
    """
    outputs = outputs if outputs.dtype == torch.float64 else outputs.float()
    return (outputs - labels).square().mean((-2, -1))


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 if `training.precision` is bf16; for forward passes of hypernetwork and target only.

    Parameters, gradients, optimiser and losses are float32 either way. The regulariser stays outside: it squares
    differences of nearly equal outputs, most of which the 8 bits of bfloat16 would round to zero.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


@dataclass(frozen=True)
class Distillation:
    """Distillation of a teacher's outputs into a student.

    Soft targets: T^2 * mean over samples of -sum_k softmax(teacher / T)_k log softmax(student / T)_k. Source: Hinton et
    al. (2015). Hard targets: cross entropy with the teacher's prediction as label.
    """

    temperature: float = 2.0
    """T."""
    targets: str = "soft"
    """soft or hard."""
    new_classes: str = "exclude"
    """Soft target of classes that the teacher lacks: `exclude` gives probability 0, `zero_logit` a logit of 0."""
    smoothing: float = 0.0
    """Label smoothing of hard targets."""

    def loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The mean over samples: a scalar, or (replicas,).

        Args:
            student: logits (samples, classes), or (replicas, samples, classes); in float32 or more.
            teacher: those of the first classes, (samples, known), or (replicas, samples, known), known <= classes.
        """
        if self.targets == "hard":
            return classification_loss(student, teacher.argmax(-1), self.smoothing)
        if self.new_classes == "zero_logit":
            teacher = pad(teacher, (0, student.shape[-1] - teacher.shape[-1]))
        targets = softmax(teacher / self.temperature, -1)
        logs = log_softmax(student / self.temperature, -1)[..., : teacher.shape[-1]]
        return self.temperature**2 * -vecdot(targets, logs).mean(-1)
