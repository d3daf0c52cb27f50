"""What one trial takes, and how many fit on what is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypercl.config import UserError
from hypercl.config.models import Resources

if TYPE_CHECKING:
    from hypercl.sweep.workers.nodes import Nodes

AUTO_CPUS, AUTO_GPUS = 1.0, 0.25
MOST_A_GPU = 16
"""Trials on one GPU, however little memory they need: they share its time."""
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
    grows: bool = False
    """Whether nodes come for trials that wait."""


@dataclass
class Slots:
    """What one trial takes, and how many run at once; `enlarge` changes both."""

    cpus: float
    gpus: float
    concurrent: int
    """How many run at once, at the start."""
    notes: tuple[str, ...] = ()
    """What was changed from the file, in sentences."""
    most: int | None = None
    """How many may run at once, whatever fits."""
    nodes: "Nodes | None" = None
    """Of a cluster, whose size changes."""
    kind: str | None = None
    """Ray's resource that marks the nodes on which a trial may run."""
    there: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of one machine, what it has, as Ray names it."""
    by_need: bool = False
    """Whether the first trial that finishes decides how many share a GPU."""

    @property
    def of_ray(self) -> dict[str, float]:
        """What one trial takes, as Ray names it."""
        return {"CPU": self.cpus, "GPU": self.gpus} | ({} if self.kind is None else {self.kind: 0.001})

    def share_by(self, need: float) -> str:
        """Lets as many trials share a GPU as the memory of one that finished allows, where the file leaves that open.

        Args:
            need: the part of a GPU's memory that it needs.

        Returns:
            What changed, in a sentence; '' where nothing did.
        """
        if not self.by_need:
            return ""
        self.by_need = False
        together = min(MOST_A_GPU, int(1 / need))
        if together <= round(1 / self.gpus):
            return ""
        self.gpus = 10_000 // together / 10_000  # Ray counts in ten-thousandths, and rounds
        if self.nodes is None:
            self.concurrent = _at_most(max(1, self.fitting(self.there)), self.most)
        return f"resources.gpus: a trial needs {need:.0%} of a GPU's memory: from now on {together} share one"

    def enlarge(self, had: float) -> bool:
        """A trial ran out of memory on this part of a GPU: the next ones get twice that, at most all of it.

        Returns:
            Whether the trial can have more than it had.
        """
        if not 0 < had < 1:
            return False
        self.by_need = False
        if self.gpus <= had:
            self.gpus = min(1.0, 2 * had)
            if self.nodes is None:
                self.concurrent = _at_most(max(1, self.fitting(self.there)), self.most)
        return True

    @property
    def room(self) -> int:
        """How many may run at once now."""
        return self.concurrent if self.nodes is None else _at_most(self.nodes.room(self), self.most)

    def fitting(self, there: Mapping[str, float]) -> int:
        """How many trials fit on a machine with these resources, as Ray names them."""
        cpus, gpus = there.get("CPU", 0.0), there.get("GPU", 0.0)
        fitting = int(cpus / self.cpus + 1e-9) if self.kind is None or there.get(self.kind) else 0
        if not self.gpus:
            return min(fitting, max(1, int(there.get("memory", GIB * GIB)) // TRIAL_MEMORY))
        return min(fitting, int(gpus) * int(1 / self.gpus + 1e-9) if self.gpus <= 1 else int(gpus / self.gpus))

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

    from hypercl.training import available_cpus, available_gpus, free_memory

    there_cpus, there_gpus = available_cpus(), available_gpus()
    return Machine(
        cpus=there_cpus if cpus is None else min(cpus, there_cpus),
        gpus=there_gpus if gpus is None else min(gpus, there_gpus),
        memory=free_memory(torch.device("cpu")),
    )


def fit_slots(wish: Resources, there: Machine, most: int | None = None, nodes: "Nodes | None" = None) -> Slots:
    """Fits a file's `resources` to what is there.

    Args:
        wish: the file's section.
        there: what the sweep may use.
        most: `--max-concurrent`, which goes before the file's.
        nodes: of a cluster.

    Raises:
        UserError: one trial is larger than the machine, or than any node.
    """
    notes: list[str] = []
    gpus = wish.gpus if wish.gpus != "auto" else (AUTO_GPUS if there.gpus else 0.0)
    if there.grows and wish.gpus == "auto" and not gpus:
        notes.append("no GPU is here yet, and trials ask for CPUs alone; --set resources.gpus=0.25 asks for GPUs")
    if gpus and not there.gpus and not there.grows:
        notes.append(f"there is no GPU here: the share of {gpus:g} a trial is dropped")
        gpus = 0.0
    cpus = wish.cpus if wish.cpus != "auto" else AUTO_CPUS if there.grows else min(AUTO_CPUS, there.cpus)
    if not there.grows and (cpus > there.cpus or gpus > there.gpus):
        wanted, found = _amount(cpus, gpus), _amount(there.cpus, there.gpus)
        raise UserError(
            f"a trial wants {wanted}, and this sweep may use {found}\n"
            f"    fix:     --set resources.cpus={min(cpus, there.cpus):g}"
            + (f" --set resources.gpus={there.gpus:g}" if gpus > there.gpus else "")
        )
    if gpus > 1 and gpus != int(gpus):
        raise UserError(f"resources.gpus is {gpus:g}: more than one GPU must be a whole number")
    kind = None if wish.accelerator is None or nodes is None else nodes.kind(wish.accelerator)
    if wish.accelerator is not None and nodes is None:
        notes.append(f"resources.accelerator: {wish.accelerator} chooses nodes of a cluster, and this is one machine")
    machine = {"CPU": there.cpus, "GPU": there.gpus} if nodes is None else {}
    by_need = wish.gpus == "auto" and bool(gpus)
    slots = Slots(float(cpus), float(gpus), 1, (), most or wish.max_concurrent, nodes, kind, machine, by_need)
    if nodes is not None:
        fitting = nodes.room(slots)
        if not fitting:
            raise UserError(
                f"a trial wants {_amount(cpus, gpus)}, which no node of the cluster has\n"
                "    fix:     --set resources.cpus=N, --set resources.gpus=N; ray status lists the nodes' resources"
            )
    else:
        fitting = slots.fitting(machine)
    if there.memory is not None and not gpus and fitting * TRIAL_MEMORY > there.memory:
        fitting = max(1, there.memory // TRIAL_MEMORY)
        trials = "one trial" if fitting == 1 else f"{fitting} trials"
        notes.append(f"{there.memory / GIB:.1f} GiB of memory are free: {trials} at once")
    return replace(slots, concurrent=_at_most(max(1, fitting), slots.most), notes=tuple(notes))


def _at_most(number: int, most: int | None) -> int:
    return min(number, most) if most else number


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
