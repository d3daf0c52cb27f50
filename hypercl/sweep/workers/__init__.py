"""Ray: where trials and other runs are trained."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.workers.cluster import attached_ray, local_ray
    from hypercl.sweep.workers.engine import Engine
    from hypercl.sweep.workers.gpu_meter import GpuMeter
    from hypercl.sweep.workers.job import RunStore, TrialJob
    from hypercl.sweep.workers.node_data import fetch_on_nodes, why_no_data
    from hypercl.sweep.workers.nodes import Nodes
    from hypercl.sweep.workers.planned_run import PlannedRun, RanRun, as_begun
    from hypercl.sweep.workers.resources import Machine, Slots, fit_slots, this_machine
    from hypercl.sweep.workers.runs import RunSession, train_all
    from hypercl.sweep.workers.scheduler import StudyScheduler
    from hypercl.sweep.workers.searcher import StudySearcher
    from hypercl.sweep.workers.session import Heartbeat, tune_study

__all__, __getattr__ = lazy(__name__, __file__)
