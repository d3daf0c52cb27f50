"""What protects earlier tasks, and the steps of optimisers, as pure functions of tensors."""

from hypercl.regularizers.choice import cheaper_form
from hypercl.regularizers.clipping import clip_norm
from hypercl.regularizers.gram import GramForm
from hypercl.regularizers.gram_step import GramAnchor
from hypercl.regularizers.masks import HeadMask
from hypercl.regularizers.optimizers import Optimizer, build_optimizer
from hypercl.regularizers.output import Anchor, DirectForm, OutputRegularizer, draw_subset

__all__ = [
    "Anchor",
    "DirectForm",
    "GramAnchor",
    "GramForm",
    "HeadMask",
    "Optimizer",
    "OutputRegularizer",
    "build_optimizer",
    "cheaper_form",
    "clip_norm",
    "draw_subset",
]
