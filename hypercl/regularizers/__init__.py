"""What protects earlier tasks, and the steps of optimisers, as pure functions of tensors."""

from hypercl.regularizers.clipping import clip_norm
from hypercl.regularizers.masks import HeadMask
from hypercl.regularizers.optimizers import Optimizer, build_optimizer
from hypercl.regularizers.output import Anchor, DirectForm, OutputRegularizer, draw_subset

__all__ = [
    "Anchor",
    "DirectForm",
    "HeadMask",
    "Optimizer",
    "OutputRegularizer",
    "build_optimizer",
    "clip_norm",
    "draw_subset",
]
