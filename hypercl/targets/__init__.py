"""Target networks: plain modules that know nothing of hypernetworks, called with generated weights."""

from hypercl.targets.build import build_target, count_weights
from hypercl.targets.generated import GeneratedModel

__all__ = ["GeneratedModel", "build_target", "count_weights"]
