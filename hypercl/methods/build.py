"""From the section `method` to a learner."""

from collections.abc import Callable

from hypercl.config.models import (
    DGR,
    ER,
    SI,
    Ewc,
    Finetune,
    Hnet,
    HnetEnt,
    HnetReplay,
    HnetTir,
    ImportedMethod,
    Joint,
    LwF,
    OnlineEwc,
    Scratch,
    StoredReal,
)
from hypercl.methods.er import ERLearner, StoredRealLearner
from hypercl.methods.ewc import EwcLearner, OnlineEwcLearner
from hypercl.methods.generative_replay import DGRLearner, HnetReplayLearner
from hypercl.methods.hnet import HnetEntLearner, HnetLearner
from hypercl.methods.hnet_tir import HnetTirLearner
from hypercl.methods.imported import imported_method
from hypercl.methods.learner import Learner, LearnerSpec
from hypercl.methods.network_learner import NetworkLearner
from hypercl.methods.penalty import SILearner
from hypercl.methods.plain import JointLearner, LwFLearner, ScratchLearner

LEARNERS: dict[type, Callable[[LearnerSpec], Learner]] = {
    Hnet: HnetLearner,
    HnetEnt: HnetEntLearner,
    HnetTir: HnetTirLearner,
    HnetReplay: HnetReplayLearner,
    DGR: DGRLearner,
    Finetune: NetworkLearner,
    Scratch: ScratchLearner,
    Joint: JointLearner,
    Ewc: EwcLearner,
    OnlineEwc: OnlineEwcLearner,
    SI: SILearner,
    LwF: LwFLearner,
    ER: ERLearner,
    StoredReal: StoredRealLearner,
    ImportedMethod: imported_method,
}
"""The learner of each kind of section."""


def build_method(parts: LearnerSpec) -> Learner:
    """The learner that the section `method` of the parts' experiments names."""
    return LEARNERS[type(parts.experiment.method)](parts)
