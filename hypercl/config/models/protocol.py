"""`protocol`, `final`, `search.confirm`, `search.race`: on what a setting is tuned, on what and how surely it is
reported."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hypercl.config.models.section import Count, Flag, Fraction, Kinds, Section, Whole


class StreamProtocol(Section):
    """Tune on the validation data of the whole stream; report on the same stream's test data, with fresh seeds and,
    where the stream has `order_seed`, fresh orders. Source: Lopez-Paz and Ranzato (2017)."""

    name: Literal["stream"] = "stream"


class FirstK(Section):
    """Tune on the validation data of the first k tasks; report on the remaining tasks, which a new model learns with
    the setting that was found. Source: Chaudhry et al. (2019), arXiv 1812.00420."""

    name: Literal["first_k"] = "first_k"
    k: Count = 3
    """Tasks to tune on; the stream must have more."""


class FirstTask(Section):
    """Tune on the validation data of the first task alone; report on the whole stream.
    Source: Lee et al. (2024), arXiv 2404.06466."""

    name: Literal["first_task"] = "first_task"


class Transfer(Section):
    """Tune on the experiment's stream; report on another one of the same shape, which a new model learns.
    Source: Cha and Cho (2024), arXiv 2403.09066."""

    name: Literal["transfer"] = "transfer"
    to: Annotated[dict[str, Any], Field(min_length=1, examples=[{"order_seed": 7}])]
    """The stream to report on: keys that differ from the section tasks, such as {order_seed: 7}; or, with another
    name, a section of its own, such as {name: split_cifar100}."""


class StabilityDecay(Section):
    """Tune at each new task: the learning rate by plain fine-tuning first, then the method's strength (method.beta,
    method.strength) from its highest value down, until the new task is learned nearly as well. Report on the whole
    stream, with the values found for each task. Source: De Lange et al. (2021), arXiv 1909.08383."""

    name: Literal["stability_decay"] = "stability_decay"
    drop: Fraction = 0.2
    """How far the accuracy on the new task may stay below that of fine-tuning, as a share of it."""
    halvings: Annotated[Whole, Field(ge=0, le=30)] = 7
    """Maximum number of times the strength is halved; the last attempt is accepted as it is."""
    rates: Annotated[Whole, Field(ge=1, le=20)] = 3
    """Number of learning rates tried at each task, evenly spaced on the distribution's scale; every value of a
    choice."""


class TestLeak(Section):
    """Tune on test data, on purpose, to measure how much that inflates a result; named as such wherever it appears."""

    __test__ = False
    name: Literal["test_leak"] = "test_leak"


Protocol = Annotated[
    StreamProtocol | FirstK | FirstTask | Transfer | StabilityDecay | TestLeak, Kinds(default=StreamProtocol)
]


class Final(Section):
    """The end of a sweep: the best settings and the experiment as written are retrained on fresh seeds, and test
    data is opened, once. `hypercl final RESULTS` begins it, when no further trials are wanted."""

    auto: Flag = False
    """Begin it as soon as the search is over, without being asked."""
    settings: Count | Literal["all"] = 3
    """Number of best settings, beside the experiment as written, and never fewer than the best of each method that the
    space compares; with several objectives the number taken from the Pareto front, or all of it."""
    seeds: Annotated[Whole, Field(ge=5, le=1000)] = 10
    """Fresh seeds of each setting, at least 5; from 10 on there is a bootstrap interval as well."""
    from_scratch: Flag = False
    """Also train a new target on each task alone: the reference of forward transfer."""
    joint: Flag = False
    """Also train the target on all tasks met so far together: the reference of intransigence."""


class Confirm(Section):
    """After the search the best settings and the experiment as written get further seeds, on validation data: after
    each round the better half of the challengers stays, and the last one becomes best.yaml only where it is better than
    the experiment as written with enough certainty. Else that stays the best."""

    settings: Annotated[Whole, Field(ge=1, le=100)] = 3
    """Number of challengers: the settings with the highest expected values."""
    share: Annotated[Fraction, Field(gt=0)] = 0.25
    """Cost of the stage: trainings of one seed, as a share of those of the search if none were pruned; never fewer
    than 3 for each setting that takes part."""
    alpha: Annotated[Fraction, Field(gt=0)] = 0.05
    """How certain that must be: the probability that the challenger is no better, given all values of the search and
    the further ones (with search.fidelity the p of a paired t test on the further ones), is at most this."""


class Race(Section):
    """After the search the leaders get further seeds, until a paired test separates them or the budget is spent.
    Source: Birattari et al. (2002), F-Race."""

    settings: Annotated[Whole, Field(ge=2, le=100)] = 4
    """Number of best settings that race."""
    seeds: Annotated[Whole, Field(ge=3, le=1000)] = 12
    """Maximum number of further seeds per setting."""
    block: Annotated[Whole, Field(ge=1, le=100)] = 3
    """Seeds of each setting in a round, trained together; where the stream has `order_seed`, each by itself, with an
    order of its own. From the fifth seed on it is decided after each round who is dropped."""
    alpha: Annotated[Fraction, Field(gt=0)] = 0.05
    """Chance, over all rounds and races, that a setting is dropped though none of the others is better (Bonferroni)."""
    every: Count | None = None
    """Also race each time this many trials have been trained, including the leader of the last race; null races only
    after the search."""
