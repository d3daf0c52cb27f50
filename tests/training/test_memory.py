"""How many replicas have room at once."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypercl.config import loads
from hypercl.training import memory
from hypercl.training.memory import (
    BYTES_OF_CONTEXT,
    _available,
    free_memory,
    gpu_need,
    group_sizes,
    keep_to_share,
    peak_of,
    room_for_one_of,
)
from hypercl.training.parts import Networks

NUMBERS = 1000
BYTES = 4 * NUMBERS


@given(replicas=st.integers(1, 256), each=st.integers(1, 10**6), free=st.integers(0, 10**8))
def test_groups_hold_everyone_have_room_and_are_as_even_as_can_be(replicas: int, each: int, free: int) -> None:
    groups = group_sizes(replicas, each, free)
    assert sum(groups) == replicas
    assert max(groups) - min(groups) <= 1
    assert max(groups) == 1 or max(groups) * each <= free
    fewer = len(groups) - 1
    assert not fewer or -(-replicas // fewer) * each > 0.8 * free - each


def test_what_is_not_known_splits_nothing() -> None:
    assert group_sizes(7, 10**12, None) == [7]


def test_the_peak_counts_what_is_held_at_one_moment() -> None:
    def let_go() -> None:
        for _ in range(5):
            torch.zeros(NUMBERS)

    def kept() -> None:
        [torch.zeros(NUMBERS) for _ in range(5)]

    assert peak_of(let_go) <= 2 * BYTES
    assert peak_of(kept) == 5 * BYTES


def test_views_and_changes_in_place_take_nothing() -> None:
    given = torch.zeros(NUMBERS)
    assert peak_of(lambda: given.view(10, 100).add_(1)[3:].mul_(2)) == 0


def test_what_a_backward_pass_needs_is_counted() -> None:
    weights = torch.randn(NUMBERS, requires_grad=True)

    def backward() -> None:
        values = weights
        for _ in range(5):
            values = torch.tanh(values)
        torch.autograd.grad(values.sum(), weights)

    assert 5 * BYTES < peak_of(backward) < 8.1 * BYTES


def test_a_replica_is_measured_in_a_step_of_the_last_task(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [50]}
  training: {batch_size: 16, device: cpu, threads: 1, replicas: 4}
"""
    experiment = loads(text, "x").experiment
    networks = Networks.of(experiment, torch.device("cpu"))
    state = networks.learner(experiment).init()
    one = sum(value.nbytes for value in state["theta"].values()) / 4
    asked: list[int] = []
    parts = sys.modules["hypercl.training.parts"]
    monkeypatch.setattr(parts, "group_sizes", lambda replicas, each, _: asked.append(each) or [replicas])
    assert networks.groups(experiment) == [4]
    assert 5 * one < asked[0] < 200 * one  # value, gradient, two moments, what is protected


def test_free_memory_is_what_the_machine_and_its_cgroups_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_memory(torch.device("meta")) is None
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:   30 kB\n")
    assert _available(tmp_path / "meminfo") == 30 * 1024
    assert _available(tmp_path / "none") is None
    monkeypatch.setattr(memory, "memory_room", lambda: 1234)
    assert free_memory(torch.device("cpu")) == 1234
    monkeypatch.setattr(memory, "memory_room", lambda: None)
    assert (free_memory(torch.device("cpu")) or 0) > 1234


def test_what_a_process_needs_of_its_gpu_is_its_peak_with_room_and_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_need() is None
    gib = 2**30
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10 * gib, 80 * gib))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 4 * gib)
    assert gpu_need() == pytest.approx((5 * gib + BYTES_OF_CONTEXT) / (80 * gib))


def test_a_process_on_a_shared_gpu_plans_with_its_part_and_keeps_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, gib, kept = torch.device("cuda"), 2**30, []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (78 * gib, 80 * gib))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda part, _: kept.append(part))
    assert room_for_one_of(1, gpu) == 78 * gib
    assert room_for_one_of(4, gpu) == 20 * gib - BYTES_OF_CONTEXT
    for processes in (4, 1, 1000):
        keep_to_share(processes, gpu)
    keep_to_share(4, torch.device("cpu"))
    assert kept == [pytest.approx((20 * gib - BYTES_OF_CONTEXT) / (80 * gib)), 1.0, 0.01]
