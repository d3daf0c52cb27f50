"""Target networks: plain modules that know nothing of hypernetworks, called with generated weights."""

from hypercl.targets.build import build_target, count_weights
from hypercl.targets.generated import GeneratedModel
from hypercl.targets.own_code import FOLDER as CODE_FOLDER
from hypercl.targets.own_code import keep_code

__all__ = ["CODE_FOLDER", "GeneratedModel", "build_target", "count_weights", "keep_code"]
