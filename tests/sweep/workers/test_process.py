"""A process that has run a trial is as good as a new one."""

import gc
import random
import resource
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hypercl.config import SweepFile, resolved
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.process import CleanProcess
from hypercl.sweep.workers.trainable import RunTrainable


def test_settings_of_pytorch_are_put_back() -> None:
    clean, threads = CleanProcess(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(threads + 1)
    torch.set_float32_matmul_precision("medium")
    torch.set_grad_enabled(False)
    torch.backends.cudnn.deterministic = not torch.backends.cudnn.deterministic
    clean.restore()
    product = torch.ones(2, requires_grad=True) * 2
    assert (product.dtype, product.device.type, product.requires_grad) == (torch.float32, "cpu", True)
    assert torch.get_num_threads() == threads
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.deterministic


def test_global_generators_begin_anew() -> None:
    def drawn() -> tuple[float, ...]:
        return torch.rand(()).item(), random.random(), float(np.random.rand())

    clean = CleanProcess()
    first = drawn()
    clean.restore()
    assert drawn() == first


def test_what_only_cycles_hold_is_freed() -> None:
    class Held:
        itself: object

    clean, held = CleanProcess(), Held()
    held.itself, there = held, weakref.ref(held)
    del held
    gc.disable()
    try:
        clean.restore()
        assert there() is None
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget a peak")
def test_the_peak_of_memory_is_the_trials_own() -> None:
    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    clean, before = CleanProcess(), peak()
    torch.ones(300 * 2**20, dtype=torch.uint8)
    assert peak() >= before + 100
    risen = peak()
    clean.restore()
    assert peak() <= risen - 100


def test_a_trial_in_a_used_process_ends_with_the_numbers_of_the_first(
    sweep_file: Callable[..., SweepFile], tmp_path: Path
) -> None:
    small = ("tasks.num_tasks=2", "training.iterations=6", "training.batch_size=16")
    small += ("target.hidden=[12]", "hypernet.hidden=[6]", "hypernet.chunk_size=200")
    file = sweep_file(*small)
    other = sweep_file(*small, "hypernet.task_embedding=16", "training.seed=9")
    threads = torch.get_num_threads()

    def job(number: int, of: SweepFile) -> TrialJob:
        folder = tmp_path / str(number)
        stop, name = tmp_path / ".stop", f"test-{number}"
        return TrialJob(number, name, resolved(of.experiment), folder, stop, tmp_path, True, (), 2, {"CPU": 1.0}, None)

    first = job(0, file)
    trainable = RunTrainable({"job": first})
    try:
        found = [_metrics(trainable)]
        for number, of in ((1, other), (2, file)):
            assert trainable.reset_config({"job": job(number, of)})
            found.append(_metrics(trainable))
    finally:
        trainable.cleanup()
    assert found[2] == found[0]
    assert found[1] != found[0]
    assert torch.get_num_threads() == threads


def _metrics(trainable: RunTrainable) -> tuple[list[float], str]:
    """Every report of a trial, and its matrix."""
    values = []
    while True:
        result = trainable.step()
        if result.get("done"):
            assert result["outcome"] == "finished", result["why"]
            return values, (trainable._job.folder / "accuracy_matrix.csv").read_text()
        values.append(result["value"])
