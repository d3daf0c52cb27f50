"""What one trial takes, and how many fit on what is there."""

from dataclasses import dataclass

from hypercl.config import UserError
from hypercl.config.models import Resources

AUTO_CPUS, AUTO_GPUS = 1.0, 0.25
GIB = 2**30
TRIAL_MEMORY = int(0.9 * GIB)
"""A trial's process with torch on a CPU, measured at 0.7 GiB before its data."""


@dataclass(frozen=True)
class Machine:
    """What the sweep may use: this process's share of a machine, or a cluster."""

    cpus: float
    gpus: float
    memory: int | None = None
    """Bytes free, where known."""


@dataclass(frozen=True)
class Slots:
    """What one trial takes, and how many run at once."""

    cpus: float
    gpus: float
    concurrent: int
    notes: tuple[str, ...] = ()
    """What was changed from the file, in sentences."""

    @property
    def threads(self) -> int:
        """CPU threads of a trial."""
        return max(1, int(self.cpus))

    @property
    def sharing(self) -> int:
        """Trials that share the memory they compute in: a GPU's, or the machine's."""
        return min(self.concurrent, max(1, round(1 / self.gpus))) if self.gpus else self.concurrent


def this_machine(cpus: float | None = None, gpus: float | None = None) -> Machine:
    """What this process may really use: affinity, cgroup quota and SLURM's grant, cut to `--cpus` and `--gpus`."""
    import torch

    from hypercl.training import available_cpus, free_memory

    there_cpus, there_gpus = available_cpus(), torch.cuda.device_count()
    return Machine(
        cpus=there_cpus if cpus is None else min(cpus, there_cpus),
        gpus=there_gpus if gpus is None else min(gpus, there_gpus),
        memory=free_memory(torch.device("cpu")),
    )


def fit_slots(wish: Resources, there: Machine, most: int | None = None) -> Slots:
    """Fits a file's `resources` to what is there.

    Args:
        wish: the file's section.
        there: what the sweep may use.
        most: `--max-concurrent`, which goes before the file's.

    Raises:
        UserError: one trial is larger than the machine.
    """
    notes: list[str] = []
    gpus = wish.gpus if wish.gpus != "auto" else (AUTO_GPUS if there.gpus else 0.0)
    if gpus and not there.gpus:
        notes.append(f"there is no GPU here: the share of {gpus:g} a trial is dropped")
        gpus = 0.0
    cpus = min(AUTO_CPUS, there.cpus) if wish.cpus == "auto" else wish.cpus
    if cpus > there.cpus or gpus > there.gpus:
        wanted, found = _amount(cpus, gpus), _amount(there.cpus, there.gpus)
        raise UserError(
            f"a trial wants {wanted}, and this sweep may use {found}\n"
            f"    fix:     --set resources.cpus={min(cpus, there.cpus):g}"
            + (f" --set resources.gpus={there.gpus:g}" if gpus > there.gpus else "")
        )
    if gpus > 1 and gpus != int(gpus):
        raise UserError(f"resources.gpus is {gpus:g}: more than one GPU must be a whole number")
    fitting = int(there.cpus / cpus + 1e-9)
    if gpus:
        fitting = min(fitting, int(there.gpus) * int(1 / gpus + 1e-9) if gpus <= 1 else int(there.gpus / gpus))
    if there.memory is not None and not gpus and fitting * TRIAL_MEMORY > there.memory:
        fitting = max(1, there.memory // TRIAL_MEMORY)
        notes.append(f"{there.memory / GIB:.1f} GiB of memory are free: {fitting} trials at once")
    limit = most or wish.max_concurrent
    return Slots(float(cpus), float(gpus), min(fitting, limit) if limit else max(1, fitting), tuple(notes))


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
