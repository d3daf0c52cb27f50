"""A network's answers as targets of another: what a replayed sample's teacher wants of its student."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, pad, softmax

from hypercl.methods.loss import classification_loss


@dataclass(frozen=True)
class Distillation:
    """How a student is held to its teacher's answers.

    Soft targets: T^2 * mean over samples of -sum_k softmax(teacher / T)_k log softmax(student / T)_k. Source: Hinton et
    al. (2015). Hard targets: cross entropy with the teacher's answer as label.
    """

    temperature: float = 2.0
    """T."""
    targets: str = "soft"
    """soft or hard."""
    new_classes: str = "exclude"
    """What soft targets give to classes that the teacher did not know: `exclude` probability 0, `zero_logit` that of a
    logit of 0 beside the teacher's own."""
    smoothing: float = 0.0
    """Of hard targets, as of labels."""

    def loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The mean over samples.

        Args:
            student: logits (samples, classes), or (replicas, samples, classes); in float32 or more.
            teacher: those of the first classes, (samples, known), or (replicas, samples, known), known <= classes.

        Returns:
            A scalar, or (replicas,).
        """
        if self.targets == "hard":
            return classification_loss(student, teacher.argmax(-1), self.smoothing)
        if self.new_classes == "zero_logit":
            teacher = pad(teacher, (0, student.shape[-1] - teacher.shape[-1]))
        wanted = softmax(teacher / self.temperature, -1)
        said = log_softmax(student / self.temperature, -1)[..., : teacher.shape[-1]]
        return self.temperature**2 * -torch.linalg.vecdot(wanted, said).mean(-1)
