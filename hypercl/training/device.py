"""Where a run computes, and with how many threads."""

import logging
import os
import platform
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from hypercl.config import Experiment, UserError, assign
from hypercl.config.models import Training
from hypercl.machine import MachineError
from hypercl.training.memory import keep_freed_memory

LOG = logging.getLogger(__name__)


def choose_device(wish: str) -> str:
    """`auto` is cuda, else mps, else cpu.

    Raises:
        MachineError: the device asked for is not there.
    """
    mps = torch.backends.mps.is_available()
    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    kind, _, index = wish.partition(":")
    there = {"cpu": 1, "mps": int(mps), "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0}[kind]
    if int(index or 0) >= there:
        found = ", ".join(["cpu", *(["mps"] if mps else []), *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise MachineError(f"there is no device '{wish}' here; found: {found}. Use --device auto")
    return wish


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, its cgroup's quota, and what SLURM granted a task."""
    from joblib import cpu_count  # pyright: ignore[reportMissingTypeStubs]

    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(cpu_count(), max(1, int(slurm))) if slurm.isdigit() else cpu_count()


def available_gpus() -> int:
    """GPUs that this process and those that it starts may use.

    CUDA shows a process one slice of a GPU (MIG) at most. Of several that CUDA_VISIBLE_DEVICES lists, each counts here:
    each is for a process of its own.
    """
    listed = [each for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip().startswith("MIG-")]
    seen = torch.cuda.device_count()
    return max(seen, len(listed)) if seen else 0


def hardware(device: str) -> str:
    """The model of the GPU, or of the processor."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def resolve(experiment: Experiment) -> Experiment:
    """The experiment with `auto` replaced by the device and the threads it will use.

    Raises:
        UserError: the device asked for is not there, or has nothing of the precision asked for.
    """
    training = experiment.training
    threads = available_cpus() if training.threads == "auto" else training.threads
    device = choose_device(training.device)
    _require_precision(training.precision, device)
    if device == "cpu" and (slow := imitated(training.precision)):
        LOG.warning("training.precision: %s", slow)
    return assign(experiment, {"training.device": device, "training.threads": threads})


def _require_precision(precision: str, device: str) -> None:
    """Refuses a precision that a device does not have, where it would do nothing."""
    cuda = device.startswith("cuda")
    if precision == "tf32" and not (cuda and torch.cuda.get_device_capability(device)[0] >= 8):
        what = f"the device is {device}" if not cuda else f"{torch.cuda.get_device_name(device)} is older"
        raise UserError(
            f"training.precision: tf32 is arithmetic of NVIDIA GPUs from Ampere on, and {what}\n"
            "    fix:     --set training.precision=fp32"
        )
    if precision == "bf16" and device == "mps":
        raise UserError(
            "training.precision: bf16 is for cpu and cuda, and the device is mps\n"
            "    fix:     --set training.precision=fp32"
        )


def imitated(precision: str) -> str | None:
    """What to say where this processor has no instructions for a precision and imitates them."""
    if precision != "bf16" or (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return None
    return "this processor has no instructions for bf16 and is slower with it; --set training.precision=fp32"


@contextmanager
def computing(training: Training) -> Generator[torch.device]:
    """Sets the thread count and reproducible arithmetic of the precision asked for; puts back what was set before.

    From the first time on, the process keeps memory that it frees.

    Args:
        training: the section, its device and threads resolved.
    """
    tf32 = training.precision == "tf32"
    threads, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    keep_freed_memory()
    torch.set_num_threads(int(training.threads))
    if tf32:
        torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32):
            yield torch.device(training.device)
    finally:
        torch.set_num_threads(threads)
        if tf32:
            torch.set_float32_matmul_precision(products)
