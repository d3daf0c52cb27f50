"""How a learner meets a new task."""
# pyright: reportUnusedImport=false

from hypercl.methods.build import build_method, imported_class, learner_class
from hypercl.methods.generator import generator_parameters
from hypercl.methods.learner import (
    AnyHypernetwork,
    Batch,
    Decision,
    Drawn,
    Learner,
    LearnerSpec,
    Losses,
    State,
    StepInfo,
    TaskContext,
    TaskData,
    TaskInference,
    confidence_of,
    last_decision,
)
from hypercl.methods.network_learner import Network, NetworkLearner, Protection
from hypercl.methods.plain import own_weights
from hypercl.methods.replica_configs import replica_configs, require_alike
