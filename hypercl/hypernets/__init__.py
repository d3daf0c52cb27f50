"""Networks that generate a target's weights from a task embedding."""

from hypercl.hypernets.build import build_hypernet
from hypercl.hypernets.hypernetwork import Hypernetwork

__all__ = ["Hypernetwork", "build_hypernet"]
