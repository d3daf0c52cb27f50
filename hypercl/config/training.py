"""`training`: how long, with what optimiser, on what."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hypercl.config.kinds import kinds
from hypercl.config.section import Count, Flag, Fraction, NotNegative, Number, Positive, Section, Whole


class _Optimizer(Section):
    lr: Positive = 1e-3
    """Learning rate, for the hypernetwork and for the task embedding."""
    weight_decay: NotNegative = 0.0
    """Adam and SGD add it to the gradient, AdamW shrinks the weights by lr times it."""


class Adam(_Optimizer):
    name: Literal["adam"] = "adam"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: Positive = 1e-8
    """Added to the root of the mean square."""


class AdamW(Adam):
    name: Literal["adamw"] = "adamw"  # pyright: ignore[reportIncompatibleVariableOverride]


class SGD(_Optimizer):
    name: Literal["sgd"] = "sgd"
    momentum: Fraction = 0.9
    """Decay of the running sum of gradients."""
    nesterov: Flag = False
    """Nesterov's form of momentum."""


class Constant(Section):
    """The same rate throughout."""

    name: Literal["constant"] = "constant"


class Step(Section):
    """The rate is multiplied by the factor of the last milestone passed; the defaults are the paper's for CIFAR."""

    name: Literal["step"] = "step"
    milestones: tuple[Annotated[Number, Field(gt=0, lt=1)], ...] = (0.4, 0.6, 0.8, 0.9)
    """Fractions of a task's steps, rising."""
    factors: tuple[Positive, ...] = (0.1, 0.01, 0.001, 0.0005)
    """Factor of the base rate from each milestone on."""

    @model_validator(mode="after")
    def _pairs(self) -> "Step":
        if len(self.milestones) != len(self.factors):
            raise ValueError(f"{len(self.milestones)} milestones need as many factors, not {len(self.factors)}")
        if any(a >= b for a, b in pairwise(self.milestones)):
            raise ValueError("milestones must rise")
        return self


class Cosine(Section):
    """Half a cosine from the base rate down to a share of it, over each task's steps."""

    name: Literal["cosine"] = "cosine"
    floor: Fraction = 0.0
    """Share of the base rate left at the end."""


class Training(Section):
    iterations: Count | None = None
    """Steps a task (2,000 where neither this nor epochs is given)."""
    epochs: Count | None = None
    """Passes over a task's training data; exactly one of iterations and epochs holds."""
    batch_size: Count = 128
    """Samples a step."""
    optimizer: kinds(Adam, AdamW, SGD, default=Adam) = Adam()  # pyright: ignore[reportInvalidTypeForm]
    """Made anew for each task."""
    schedule: kinds(Constant, Step, Cosine, default=Constant) = Constant()  # pyright: ignore[reportInvalidTypeForm]
    """The learning rate over a task's steps."""
    clip_norm: Positive | None = None
    """Bound of the gradient's norm, applied to the sum of both gradients (and to the look-ahead's)."""
    report_samples: Count = 1000
    """At most so many validation samples a task are read by the reports inside a task."""
    seed: Whole = 1
    """Seed of initial weights, batches and augmentation."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """auto is cuda, else mps, else cpu."""
    threads: Count | Literal["auto"] = "auto"
    """CPU threads; part of the result, since another count rounds otherwise. auto is what the process may use."""

    @model_validator(mode="before")
    @classmethod
    def _length(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("iterations") is None and data.get("epochs") is None:
            return {**data, "iterations": 2000}
        return data

    @model_validator(mode="after")
    def _one_length(self) -> "Training":
        if self.iterations is not None and self.epochs is not None:
            raise ValueError("iterations and epochs are both given: keep one of them")
        return self
