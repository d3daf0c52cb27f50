"""`training`: how long, with what optimiser, on what."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hypercl.config.models.section import (
    Checks,
    Count,
    Flag,
    Fraction,
    Kinds,
    NotNegative,
    Number,
    Positive,
    Section,
    Units,
    Whole,
    is_mapping,
    switched,
)


class _Optimizer(Section):
    lr: Positive = 1e-3
    """Learning rate, for the hypernetwork and for the task embedding. Source: von Oswald et al. (2020), Split MNIST."""
    weight_decay: NotNegative = 0.0
    """Adam and SGD add it to the gradient, AdamW shrinks the weights by lr times it."""
    renew: Flag = True
    """Reset the running means and sums at each task, as in von Oswald et al. (2020). Without it those of a network's
    weights are kept over the whole stream, as in van de Ven & Tolias (2019); a task embedding's are always new."""


class Adam(_Optimizer):
    """Steps scaled by the running means of the gradient and of its square (Kingma & Ba, 2015)."""

    name: Literal["adam"] = "adam"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: Positive = 1e-8
    """Added to the root of the mean square."""


class AdamW(Adam):
    """Adam, with the weights shrunk apart from the gradient (Loshchilov & Hutter, 2019)."""

    name: Literal["adamw"] = "adamw"  # pyright: ignore[reportIncompatibleVariableOverride]


class SGD(_Optimizer):
    """Steps along the gradient, with momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Fraction = 0.9
    """Decay of the running sum of gradients."""
    nesterov: Flag = False
    """Nesterov's form of momentum."""


class RMSprop(_Optimizer):
    """Gradients divided by the root of their mean square (Hinton, 2012), with torch's defaults."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Fraction = 0.99
    """Decay of the running mean of the squared gradient."""
    eps: Positive = 1e-8
    """Added to the root of the mean square."""
    momentum: Fraction = 0.0
    """Decay of the running sum of the scaled gradients."""
    centered: Flag = False
    """Divide by the root of the variance: the mean gradient's square is taken off first (Graves, 2013)."""


class _Warm(Section):
    warmup: Fraction = 0.0
    """Share of a task's steps over which the rate rises linearly to what the schedule makes of it."""


class Constant(_Warm):
    """The same rate throughout."""

    name: Literal["constant"] = "constant"


class Step(_Warm):
    """The rate is multiplied by the factor of the last milestone passed. Source: von Oswald et al. (2020), CIFAR."""

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


class Cosine(_Warm):
    """Half a cosine from the base rate down to a share of it, over each task's steps."""

    name: Literal["cosine"] = "cosine"
    floor: Fraction = 0.0
    """Share of the base rate left at the end."""


class OneCycle(Section):
    """Half a cosine up to the base rate, another down to nearly nothing (Smith & Topin, 2018), as in torch.

    The momentum stays as it is.
    """

    name: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[Number, Field(gt=0, lt=1)] = 0.3
    """Share of a task's steps on the way up."""
    start: Fraction = 0.04
    """Share of the base rate at the start."""
    end: Fraction = 4e-6
    """Share of the base rate at the end."""


class Plateau(_Warm):
    """The rate is lowered where the validation accuracy of the task no longer rises.

    As torch's ReduceLROnPlateau in mode max, with any rise counted. Factor, patience, cooldown and the lowest rate are
    those of von Oswald et al. (2020) for ResNet-32, who check at each of 200 epochs.
    """

    name: Literal["plateau"] = "plateau"
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.31622776601683794
    """The rate is multiplied by this; the root of 0.1."""
    patience: Annotated[Whole, Field(ge=0)] = 5
    """Number of checks in a row without a new best before the next one lowers the rate."""
    cooldown: Annotated[Whole, Field(ge=0)] = 0
    """Checks after a lowering that do not count against patience."""
    min_lr: NotNegative = 5e-7
    """Lower bound of the rate."""
    checks: Checks = 50
    """Checks per task, evenly spaced; each reads at most report_samples validation samples of the task."""

    @model_validator(mode="after")
    def _can_act(self) -> "Plateau":
        if self.checks < self.patience + 3:
            raise ValueError(
                f"with patience {self.patience} the rate could first be lowered at check {self.patience + 2}, and "
                f"steps must follow: give at least {self.patience + 3} checks, not {self.checks}"
            )
        return self


class EarlyStopping(Section):
    """A task's training ends when its validation accuracy no longer rises, and the best state is put back.

    The best state is put back at the task's end in any case. With methods joint and stored_real it is the mean
    accuracy of all tasks trained together that counts.
    """

    patience: Count = 5
    """Checks in a row without a new best after which training of the task ends."""
    checks: Checks = 20
    """Checks per task, evenly spaced; each reads at most report_samples validation samples of the task."""

    @model_validator(mode="after")
    def _can_act(self) -> "EarlyStopping":
        if self.checks < self.patience + 2:
            raise ValueError(
                f"with patience {self.patience} training could first end at check {self.patience + 1}: "
                f"give at least {self.patience + 2} checks, not {self.checks}"
            )
        return self


class Training(Section):
    iterations: Count | None = None
    """Steps per task (2,000 if neither this nor epochs is given). Source: von Oswald et al. (2020), Split MNIST."""
    epochs: Count | None = None
    """Passes over a task's training data; give either iterations or epochs."""
    batch_size: Units = 128
    """Samples per step. Source: von Oswald et al. (2020), Split MNIST."""
    optimizer: Annotated[Adam | AdamW | SGD | RMSprop, Kinds(default=Adam)] = Adam()
    """Optimiser; see `renew` for what is kept between tasks."""
    schedule: Annotated[Constant | Step | Cosine | OneCycle | Plateau, Kinds(default=Constant)] = Constant()
    """Learning rate over a task's steps; restarts at each task."""
    early_stopping: Annotated[EarlyStopping | None, switched] = None
    """End a task's training when its validation accuracy no longer rises: true, or the keys that differ from the
    defaults; null trains all steps."""
    label_smoothing: Annotated[Number, Field(ge=0, lt=0.5)] = 0.0
    """Probability taken from the correct class and shared equally by a task's other classes; 0.05 is the paper's 'soft
    targets'."""
    clip_norm: Positive | None = None
    """Maximum norm of the gradient, applied to the sum of both gradients (and to the look-ahead's)."""
    report_samples: Count = 1000
    """Maximum number of validation samples per task that the reports within a task read."""
    evaluate_every: Count | None = None
    """Also evaluate the tasks met every this many steps of a task, before its first step and at its end, on at most
    report_samples validation samples each: for stability gap, worst case, anytime accuracy, learning curve and
    zero-shot transfer. Null: not measured. Each evaluation costs time."""
    seed: Whole = 1
    """Seed of initial weights, batches and augmentation."""
    replicas: Annotated[Whole, Field(ge=1, le=256)] = 1
    """Seeds (seed, seed + 1, ...) that are trained together; every result is their mean, and is also given per seed."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """auto is cuda, else mps, else cpu."""
    threads: Count | Literal["auto"] = "auto"
    """CPU threads; part of the result, since another count rounds otherwise. auto is what the process may use."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """tf32 lets CUDA round products of matrices and convolutions to 10 bits; bf16 runs the target and the
    hypernetwork in autocast, while parameters, optimiser and regulariser stay float32."""

    capture: Literal["auto", False] = "auto"
    """On a GPU a task's step is recorded once, as a CUDA graph, and replayed, if it then gives the result of steps that
    are not recorded; `summary.json` says for each task which it is. false records nothing. On a CPU nothing changes."""

    @model_validator(mode="before")
    @classmethod
    def _length(cls, data: Any) -> Any:
        if is_mapping(data) and data.get("iterations") is None and data.get("epochs") is None:
            return {**data, "iterations": 2000}
        return data

    @model_validator(mode="after")
    def _one_length(self) -> "Training":
        if self.iterations is not None and self.epochs is not None:
            raise ValueError("iterations and epochs are both given: keep one of them")
        return self

    @model_validator(mode="after")
    def _room_to_fall(self) -> "Training":
        if isinstance(self.schedule, Plateau) and self.schedule.min_lr >= self.optimizer.lr:
            raise ValueError(
                f"schedule.min_lr ({self.schedule.min_lr:g}) is not below optimizer.lr ({self.optimizer.lr:g}): "
                "the rate could never be lowered"
            )
        return self

    @model_validator(mode="after")
    def _acts_on_all(self) -> "Training":
        acting = [
            name
            for name, acts in (
                ("schedule plateau", isinstance(self.schedule, Plateau)),
                ("early_stopping", self.early_stopping is not None),
            )
            if acts
        ]
        if self.replicas > 1 and acting:
            raise ValueError(
                f"{' and '.join(acting)} would act on each of the {self.replicas} replicas at a different time, and "
                "they take their steps together: give replicas 1, or a schedule of steps alone and no early_stopping"
            )
        return self
