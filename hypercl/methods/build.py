"""From the section `method` to a learner."""

from collections.abc import Callable

from hypercl.config.models.method import (
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
from hypercl.methods.dgr import DGRLearner
from hypercl.methods.er import ERLearner
from hypercl.methods.ewc import EwcLearner, OnlineEwcLearner
from hypercl.methods.hnet import HnetLearner
from hypercl.methods.hnet_ent import HnetEntLearner
from hypercl.methods.hnet_replay import HnetReplayLearner
from hypercl.methods.hnet_tir import HnetTirLearner
from hypercl.methods.imported import imported_method
from hypercl.methods.joint import JointLearner
from hypercl.methods.learner import Learner
from hypercl.methods.learner_spec import Parts
from hypercl.methods.lwf import LwFLearner
from hypercl.methods.network_learner import NetworkLearner
from hypercl.methods.scratch import ScratchLearner
from hypercl.methods.si import SILearner
from hypercl.methods.stored_real import StoredRealLearner

LEARNERS: dict[type, Callable[[Parts], Learner]] = {
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


def build_method(parts: Parts) -> Learner:
    """The learner that the section `method` of the parts' experiments names."""
    return LEARNERS[type(parts.experiment.method)](parts)
