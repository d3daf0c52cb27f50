"""Networks that generate a target's weights from a task embedding."""
# pyright: reportUnusedImport=false

from hypercl.hypernets.build import OwnWeights, build_hypernet
from hypercl.hypernets.composite import CompositeHypernetwork, Part, tensors_of_part
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.hypernets.not_generated import SharedWeights
from hypercl.hypernets.self_attention import SelfAttentionHypernetwork
