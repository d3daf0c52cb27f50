"""How a learner meets a new task."""

from hypercl.methods.build import build_method
from hypercl.methods.generator import generator_parameters
from hypercl.methods.imported import imported_class, learner_class
from hypercl.methods.learner import Batch, Decision, Learner, Losses, Memory, Moment, Parts, Pass, State, TaskData
from hypercl.methods.network_learner import Network, NetworkLearner, Protection
from hypercl.methods.plain import own_weights
from hypercl.methods.replica_configs import require_alike, variants_of

__all__ = [
    "Batch",
    "Decision",
    "Learner",
    "Losses",
    "Memory",
    "Moment",
    "Network",
    "NetworkLearner",
    "Parts",
    "Pass",
    "Protection",
    "State",
    "TaskData",
    "build_method",
    "generator_parameters",
    "imported_class",
    "learner_class",
    "own_weights",
    "require_alike",
    "variants_of",
]
