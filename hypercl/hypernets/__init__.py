"""Networks that generate a target's weights from a task embedding."""

from hypercl.hypernets.build import build_hypernet
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.hypernets.own_weights import OwnWeights

__all__ = [
    "Hypernetwork",
    "OwnWeights",
    "build_hypernet",
]
