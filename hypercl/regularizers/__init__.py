"""What protects earlier tasks, and the steps of optimisers: functions of tensors."""
# pyright: reportUnusedImport=false

from hypercl.regularizers.costs import cheaper_form
from hypercl.regularizers.device_speed import speed_of
from hypercl.regularizers.generated import GeneratedForm
from hypercl.regularizers.gram import GramForm
from hypercl.regularizers.gram_step import GramAnchor, Point
from hypercl.regularizers.masks import HeadMask
from hypercl.regularizers.optimizers import Optimizer, Rate, build_optimizer, clip_norm
from hypercl.regularizers.output import DirectAnchor, DirectForm, Strength, draw_subset
from hypercl.regularizers.quadratic import LayerByLayer, Quadratic, diagonal_fisher, layer_by_layer, quickest
from hypercl.regularizers.shared import SharedAnchor, SharedForm
from hypercl.regularizers.step_back import step_back
from hypercl.regularizers.step_forms import FirstOrder, StepAnchor, StepForm, ValuePreserving
