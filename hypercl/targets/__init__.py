"""Target networks: plain modules that know nothing of hypernetworks, called with generated weights."""
# pyright: reportUnusedImport=false

from hypercl.targets.build import AnyTarget, build_target, count_weights, draw_weights, weight_shapes
from hypercl.targets.generated import GeneratedModel, same_fingerprint
from hypercl.targets.try_out import named
