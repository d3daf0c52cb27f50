"""`tasks`: the stream of tasks to be learned one after the other."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hypercl.config.kinds import kinds
from hypercl.config.section import Count, Flag, Number, Section, Whole


class Stream(Section):
    scenario: Literal["task", "domain", "class"] = "task"
    """What is known at test time: the task (CL1), only that the domain changed (CL2), or nothing (CL3)."""
    validation: Annotated[Number, Field(gt=0, le=0.5)] = 0.1
    """Share of each task's training data held out, stratified by class; what a sweep is judged by."""
    split_seed: Whole = 42
    """Seed of the validation split: the same for all trials of a sweep."""

    @field_validator("scenario")
    @classmethod
    def _only_task_so_far(cls, value: str) -> str:
        if value != "task":
            raise ValueError(f"scenario '{value}' is not supported yet: only 'task' is")
        return value


class SplitDigits(Stream):
    """scikit-learn's 8x8 digits in tasks of two classes; comes with the package, nothing is downloaded."""

    name: Literal["split_digits"] = "split_digits"
    num_tasks: Annotated[Whole, Field(ge=1, le=5)] = 5
    """Tasks of two digits each: 0/1, 2/3, ..."""


class SplitMNIST(Stream):
    """MNIST in tasks of two digits."""

    name: Literal["split_mnist"] = "split_mnist"
    num_tasks: Annotated[Whole, Field(ge=1, le=5)] = 5
    """Tasks of two digits each: 0/1, 2/3, ..."""
    download: Flag = False
    """Let torchvision fetch what is missing."""


class PermutedMNIST(Stream):
    """MNIST with the padded pixels of each task in another order; the first task keeps the order."""

    name: Literal["permuted_mnist"] = "permuted_mnist"
    num_tasks: Count = 10
    """Any number of permutations, the identity being the first."""
    padding: Annotated[Whole, Field(ge=0, le=16)] = 2
    """Black pixels added on each side before permuting: 2 makes 32 x 32."""
    order_seed: Whole = 42
    """Seed of the permutations."""
    download: Flag = False
    """Let torchvision fetch what is missing."""


class SplitCIFAR(Stream):
    """CIFAR-10, then CIFAR-100 in tasks of ten classes (0-9, 10-19, ...)."""

    name: Literal["split_cifar"] = "split_cifar"
    num_tasks: Annotated[Whole, Field(ge=1, le=11)] = 6
    """The first task is all of CIFAR-10, each other one ten classes of CIFAR-100."""
    augment: Flag = True
    """Flip (p = 0.5) and crop after padding by 4, on training batches only."""
    download: Flag = False
    """Let torchvision fetch what is missing."""


Tasks = kinds(SplitDigits, SplitMNIST, PermutedMNIST, SplitCIFAR)
