"""Where a run computes, and with how many threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from hypercl.config import Experiment, UserError, assign


def choose_device(wish: str) -> str:
    """`auto` is cuda, else mps, else cpu.

    Raises:
        UserError: the device asked for is not there.
    """
    mps = torch.backends.mps.is_available()
    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    kind, _, index = wish.partition(":")
    there = {"cpu": 1, "mps": int(mps), "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0}[kind]
    if int(index or 0) >= there:
        found = ", ".join(["cpu", *(["mps"] if mps else []), *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise UserError(f"there is no device '{wish}' here; found: {found}. Use --device auto")
    return wish


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, its cgroup's quota, and what SLURM granted a task."""
    limits = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    limits += [int(slurm)] if slurm.isdigit() else []
    quota = _cgroup_quota()
    limits += [max(1, int(quota))] if quota else []
    return max(1, min(limits))


def resolve(experiment: Experiment) -> Experiment:
    """The experiment with `auto` replaced by the device and the threads it will use."""
    training = experiment.training
    threads = available_cpus() if training.threads == "auto" else training.threads
    return assign(experiment, {"training.device": choose_device(training.device), "training.threads": threads})


@contextmanager
def computing(device: str, threads: int) -> Iterator[torch.device]:
    """Sets the thread count and reproducible float32 arithmetic; puts back what was set before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield torch.device(device)
    finally:
        torch.set_num_threads(before)


def _cgroup_quota() -> float | None:
    """CPUs of the cgroup's quota, version 2 or 1; None without a quota."""
    two = Path("/sys/fs/cgroup/cpu.max")
    one = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    try:
        if two.exists():
            quota, period = two.read_text().split()
        elif all(path.exists() for path in one):
            quota, period = (path.read_text().strip() for path in one)
        else:
            return None
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return None
