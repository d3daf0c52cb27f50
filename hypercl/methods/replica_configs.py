"""Configs of the replicas of one bundle, which differ in scalars."""

from collections.abc import Sequence

from hypercl.config import Experiment, UserError
from hypercl.config.models import VARYING
from hypercl.config.reading import known_paths, lookup


def replica_configs(experiment: Experiment) -> tuple[Experiment, ...]:
    """The replicas of an experiment: the same config with consecutive seeds."""
    training = experiment.training
    seeds = range(training.seed, training.seed + training.replicas)
    return tuple(
        experiment.model_copy(update={"training": training.model_copy(update={"seed": seed})}) for seed in seeds
    )


def require_alike(experiments: Sequence[Experiment]) -> None:
    """Refuses configs that cannot be replicas of one bundle.

    Raises:
        UserError: two of them differ in a key outside `VARYING`.
    """
    first = experiments[0]
    for number, other in enumerate(experiments[1:], start=1):
        paths = dict.fromkeys([*known_paths(first), *known_paths(other)])
        for path in paths:
            if path not in VARYING and _at(first, path) != _at(other, path):
                raise UserError(
                    f"replica {number}: {path} is {_at(other, path)}, that of replica 0 is {_at(first, path)}: "
                    f"replicas of a bundle may differ in {', '.join(VARYING)} only\n"
                    "    fix:     train it in a separate bundle"
                )


def _at(experiment: Experiment, path: str) -> object:
    try:
        return lookup(experiment, path)
    except KeyError:
        return "not set"
