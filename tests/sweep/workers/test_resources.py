"""What fits on a machine."""

import math
import os
from typing import cast

import pytest
import torch

from hypercl.config import UserError
from hypercl.config.models.sweep import Resources
from hypercl.sweep.workers.nodes import Nodes
from hypercl.sweep.workers.resources import GIB, MOST_A_GPU, Machine, Slots, fit_slots, this_machine
from hypercl.training import memory


@pytest.mark.parametrize(
    ("wish", "there", "expected"),
    [
        ({}, Machine(4, 0), (1, 0, 4)),
        ({}, Machine(16, 2), (1, 0.25, 8)),
        ({"cpus": 2.0}, Machine(5, 0), (2, 0, 2)),
        ({"cpus": 0.5}, Machine(2, 0), (0.5, 0, 4)),
        ({"gpus": 0.5, "cpus": 1.0}, Machine(8, 1), (1, 0.5, 2)),
        ({"gpus": 0.6, "cpus": 1.0}, Machine(8, 2), (1, 0.6, 2)),
        ({"gpus": 2.0, "cpus": 1.0}, Machine(8, 4), (1, 2, 2)),
        ({"max_concurrent": 1}, Machine(4, 0), (1, 0, 1)),
        ({"gpus": 0.0}, Machine(4, 1), (1, 0, 4)),
    ],
)
def test_a_trial_gets_its_share_and_as_many_run_as_fit(wish: dict, there: Machine, expected: tuple) -> None:
    slots = fit_slots(Resources(**wish), there)
    assert (slots.cpus, slots.gpus, slots.concurrent) == expected


class TwoNodes:
    """A cluster of an old and a new node."""

    nodes = (
        {"CPU": 3.0, "GPU": 1.0, "accelerator_type:T4": 1.0},
        {"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0},
    )

    def room(self, slots: Slots) -> int:
        return sum(map(slots.fitting, self.nodes))

    def kind(self, name: str) -> str:
        return f"accelerator_type:{name}"


@pytest.mark.parametrize(
    ("wish", "fitting"),
    [
        ({"cpus": 2.0, "gpus": 0.0}, 1 + 4),
        ({"cpus": 1.0, "gpus": 0.5}, 2 + 4),
        ({"cpus": 1.0, "gpus": 2.0}, 1),
        ({"cpus": 1.0, "gpus": 0.5, "accelerator": "A100"}, 4),
        ({"cpus": 1.0, "gpus": 0.5, "max_concurrent": 3}, 3),
    ],
)
def test_on_a_cluster_as_many_trials_run_as_fit_on_its_nodes_one_by_one(wish: dict, fitting: int) -> None:
    slots = fit_slots(Resources(**wish), Machine(11, 3), nodes=cast(Nodes, TwoNodes()))
    assert (slots.concurrent, slots.room) == (fitting, fitting)
    assert ("accelerator_type:A100" in slots.of_ray) == ("accelerator" in wish)


def test_trials_that_need_more_of_a_gpu_get_twice_as_much_and_fewer_run_at_once() -> None:
    slots = fit_slots(Resources(), Machine(16, 1))
    assert (slots.gpus, slots.concurrent, slots.sharing) == (0.25, 4, 4)
    assert slots.enlarge(0.25)
    assert (slots.gpus, slots.concurrent, slots.sharing, slots.of_ray) == (0.5, 2, 2, {"CPU": 1, "GPU": 0.5})
    assert slots.enlarge(0.25)  # which another had: it has more by now
    assert slots.gpus == 0.5
    assert slots.enlarge(0.5)
    assert (slots.gpus, slots.concurrent, slots.sharing) == (1, 1, 1)
    assert not slots.enlarge(1.0)
    assert not slots.enlarge(0.0)


@pytest.mark.parametrize(
    ("need", "together"), [(0.1, 10), (0.15, 6), (0.001, MOST_A_GPU), (0.24, 4), (0.4, 4), (1.2, 4)]
)
def test_what_the_first_trial_to_finish_needs_decides_how_many_share_a_gpu(need: float, together: int) -> None:
    slots = fit_slots(Resources(), Machine(32, 2))
    said = slots.share_by(need)
    assert (slots.concurrent, slots.sharing) == (2 * together, together)
    assert slots.fitting({"CPU": 32, "GPU": 1}) == together
    assert math.ceil(slots.gpus * 10_000) * together <= 10_000
    changed = f"resources.gpus: a trial needs {need:.0%} of a GPU's memory: from now on {together} share one"
    assert said == (changed if together > 4 else "")
    assert slots.share_by(0.01) == ""


def test_a_share_that_the_file_names_stays_as_does_one_that_did_not_suffice() -> None:
    slots = fit_slots(Resources(gpus=0.5), Machine(32, 1))
    assert (slots.share_by(0.01), slots.gpus) == ("", 0.5)
    slots = fit_slots(Resources(), Machine(32, 1))
    slots.enlarge(0.25)
    assert (slots.share_by(0.01), slots.gpus) == ("", 0.5)
    assert fit_slots(Resources(), Machine(32, 0)).share_by(0.01) == ""


def test_trials_that_share_a_gpu_by_need_get_more_where_that_does_not_suffice() -> None:
    slots = fit_slots(Resources(), Machine(32, 1))
    slots.share_by(0.1)
    assert slots.enlarge(slots.gpus)
    assert (slots.gpus, slots.concurrent) == (pytest.approx(0.2), 5)


def test_a_node_with_little_memory_holds_fewer_trials_on_cpus_and_at_least_one() -> None:
    slots = Slots(1, 0, 1)
    assert [slots.fitting({"CPU": 8.0, "memory": float(free)}) for free in (64 * GIB, 3 * GIB, GIB // 2)] == [8, 3, 1]


def test_a_trial_larger_than_any_node_is_refused() -> None:
    with pytest.raises(UserError, match=r"9 CPUs and 0\.25 GPUs, which no node of the cluster has"):
        fit_slots(Resources(cpus=9.0), Machine(11, 3), nodes=cast(Nodes, TwoNodes()))


def test_on_a_cluster_that_grows_what_a_trial_asks_for_need_not_be_there_yet() -> None:
    empty = Machine(0, 0, grows=True)
    slots = fit_slots(Resources(cpus=4.0, gpus=0.5), empty, nodes=cast(Nodes, TwoNodes()))
    assert (slots.cpus, slots.gpus, slots.notes) == (4, 0.5, ())
    slots = fit_slots(Resources(), empty, nodes=cast(Nodes, TwoNodes()))
    assert (slots.cpus, slots.gpus) == (1, 0)
    assert "--set resources.gpus=0.25 asks for GPUs" in slots.notes[0]


def test_an_accelerator_on_one_machine_is_said_to_mean_nothing() -> None:
    assert "chooses nodes of a cluster" in fit_slots(Resources(accelerator="A100"), Machine(2, 0)).notes[0]


def test_a_gpu_share_is_dropped_and_said_where_there_is_none() -> None:
    slots = fit_slots(Resources(gpus=0.5), Machine(2, 0))
    assert slots.gpus == 0
    assert "no GPU" in slots.notes[0]


def test_the_command_line_goes_before_the_file() -> None:
    assert fit_slots(Resources(max_concurrent=1), Machine(4, 0), most=3).concurrent == 3


def test_a_trial_larger_than_the_machine_is_refused_with_what_fits() -> None:
    with pytest.raises(UserError, match=r"wants 4 CPUs.*may use 2 CPUs[\s\S]*resources\.cpus=2"):
        fit_slots(Resources(cpus=4.0), Machine(2, 0))
    with pytest.raises(UserError, match=r"resources\.gpus=1"):
        fit_slots(Resources(gpus=2.0), Machine(2, 1))
    with pytest.raises(UserError, match="whole number"):
        fit_slots(Resources(gpus=1.5), Machine(2, 2))


def test_little_memory_means_fewer_trials_at_once() -> None:
    slots = fit_slots(Resources(), Machine(16, 0, memory=4 * GIB))
    assert slots.concurrent == 4
    assert "memory" in slots.notes[0]


@pytest.mark.parametrize(
    ("visible", "seen", "counted"),
    [("MIG-a,MIG-b", 1, 2), ("MIG-a", 1, 1), ("2,3", 2, 2), ("", 0, 0), ("MIG-gone", 0, 0)],
)
def test_each_slice_of_a_gpu_counts_though_cuda_shows_a_process_one(
    visible: str, seen: int, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    assert this_machine().gpus == counted


def test_trials_get_what_the_cgroup_leaves_as_replicas_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_room", lambda: GIB // 4)
    assert this_machine().memory == memory.free_memory(torch.device("cpu")) == GIB // 4


def test_threads_are_whole() -> None:
    assert fit_slots(Resources(cpus=0.5), Machine(2, 0)).threads == 1
    assert fit_slots(Resources(cpus=2.5), Machine(4, 0)).threads == 2


def test_affinity_and_slurm_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert this_machine().cpus == 1
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    here = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(here)})
        assert this_machine().cpus == 1
    finally:
        os.sched_setaffinity(0, here)
    assert this_machine(cpus=0.5).cpus == 0.5
