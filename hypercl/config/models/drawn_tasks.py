"""Streams whose data is drawn at random: regression of given functions, and the copy task."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hypercl.config.models.section import (
    NotNegative,
    Number,
    Positive,
    TaskCount,
    Whole,
    at_most,
)
from hypercl.config.models.stream import Stream


class ToyRegression(Stream):
    """Regression of one number: the polynomials x + 3 on [-4, -2], 2 x^2 - 1 on [-1, 1], (x - 3)^3 on [2, 4], one after
    the other. Nothing is downloaded. Source: von Oswald et al. (2020), figure 2."""

    regression: ClassVar[bool] = True
    name: Literal["toy_regression"] = "toy_regression"
    scenario: Literal["task", "domain"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Whether the task is known at test time (task) or not (domain)."""
    heads: Literal["own", "shared"] = "shared"
    """One output for all tasks, or, with scenario task, one for each."""
    num_tasks: Annotated[Whole, Field(ge=1, le=3)] = 3
    """Number of polynomials."""
    samples: Annotated[Whole, Field(ge=4), at_most(1_000_000)] = 200
    """Samples drawn for each task, x uniform; the test data is 50 equally spaced x without noise."""
    noise: NotNegative = 0.05
    """Standard deviation of the noise of drawn samples. Source: von Oswald et al. (2020)."""
    validation: Annotated[Number, Field(gt=0, le=0.5)] = 0.5
    """Share of each task's samples held out; a sweep optimises their R^2 or MSE. Half of 200 leaves the paper's 100."""
    split_seed: Whole = 42
    """Seed of the samples and of the validation split: the same for all trials of a sweep."""

    @model_validator(mode="after")
    def _three(self) -> Self:
        if self.skip + self.num_tasks > 3:
            raise ValueError(f"a skip of {self.skip} leaves {3 - self.skip} of the 3 tasks, not {self.num_tasks}")
        return self


class GaussianBumps(Stream):
    """Regression of the value of a two-dimensional normal density where its points lie, around each of nine means
    {-4, 0, 4} x {-4, 0, 4} one after the other. Nothing is downloaded. Source: the toy example in the code of von
    Oswald et al. (2020)."""

    regression: ClassVar[bool] = True
    name: Literal["gaussian_bumps"] = "gaussian_bumps"
    scenario: Literal["task", "domain"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Whether the task is known at test time (task) or not (domain)."""
    heads: Literal["own", "shared"] = "shared"
    """One output for all tasks, or, with scenario task, one for each."""
    num_tasks: Annotated[Whole, Field(ge=1, le=9)] = 9
    """Number of means."""
    width: Positive = 0.5
    """Standard deviation of the density in each direction. Source: the code of von Oswald et al. (2020)."""
    samples: Annotated[Whole, Field(ge=4), at_most(1_000_000)] = 2000
    """Points drawn for each task; 50 others are its test data."""
    validation: Annotated[Number, Field(gt=0, le=0.5)] = 0.5
    """Share of each task's samples held out; a sweep optimises their R^2 or MSE. Half of 2000 leaves the source's
    1000."""
    split_seed: Whole = 42
    """Seed of the samples and of the validation split: the same for all trials of a sweep."""

    @model_validator(mode="after")
    def _nine(self) -> Self:
        if self.skip + self.num_tasks > 9:
            raise ValueError(f"a skip of {self.skip} leaves {9 - self.skip} of the 9 tasks, not {self.num_tasks}")
        return self


class CopyTasks(Stream):
    """Random sequences of symbols to be repeated after a mark, by each task in an order of its own; the first task
    keeps the order. A class is predicted at each of the steps after the mark, and accuracy is the share of such steps.
    Nothing is downloaded. Source: the permuted copy task of Ehret et al. (2021), with symbols in place of bits."""

    labelled_steps: ClassVar[bool] = True
    name: Literal["copy"] = "copy"
    scenario: Literal["task"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride]
    """The task is known at test time."""
    heads: Literal["own", "shared"] = "shared"
    """The same outputs for all tasks, or outputs of its own for each."""
    num_tasks: TaskCount = 5
    """Number of orders."""
    symbols: Annotated[Whole, Field(ge=2), at_most(1000)] = 8
    """Number of different symbols, which are the classes."""
    length: Annotated[Whole, Field(ge=1, le=1000)] = 5
    """Symbols of a sequence. An input has 2 length + 1 steps: the symbols, the mark, and an empty step for each
    answer."""
    samples: Annotated[Whole, Field(ge=10), at_most(1_000_000)] = 2000
    """Sequences drawn for each task; 500 others are its test data."""
    order_seed: Whole = 42
    """Seed of the orders."""
    split_seed: Whole = 42
    """Seed of the sequences and of the validation split: the same for all trials of a sweep."""

    @model_validator(mode="after")
    def _enough_sequences(self) -> Self:
        if self.length < 32 and self.symbols**self.length < 4 * (self.samples + 500):
            raise ValueError(
                f"{self.symbols} symbols make {self.symbols**self.length:,} sequences of length {self.length}, too few "
                f"for {self.samples:,} samples and a test set of 500 others: give more symbols or a longer length"
            )
        return self
