"""How many replicas have room at once: what one takes is measured, and compared with what is free."""

import ctypes
import os
import platform
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hypercl.training.cgroups import memory_limit, memory_room

BYTES_OF_CONTEXT = 2**29
"""What a process takes of a GPU before its first tensor: context, workspaces of cuBLAS and cuDNN. A guess: no GPU has
confirmed it."""
SHARE = 0.8
"""Of the free memory, what a group of replicas may take."""


def group_sizes(replicas: int, bytes_each: int, free: int | None) -> list[int]:
    """As few groups as have room, as even as can be; at least one replica a group.

    Args:
        replicas: in all.
        bytes_each: what one of them takes in a step.
        free: bytes of free memory; None where it is not known, and then all are one group.
    """
    return even_groups(replicas, replicas if free is None else max(1, int(SHARE * free) // max(1, bytes_each)))


def even_groups(replicas: int, room: int) -> list[int]:
    """As few groups of at most `room` replicas as there can be, as even as can be."""
    groups = -(-replicas // room)
    return [replicas // groups + (number < replicas % groups) for number in range(groups)]


def halved(groups: list[int]) -> list[int]:
    """Each group of several replicas as two: what is computed where the memory that was planned was not there."""
    return [part for size in groups for part in ((size + 1) // 2, size // 2) if part]


def room_for_one_of(processes: int, device: torch.device) -> int | None:
    """Bytes that one of several processes on a device may plan with: what is free, and at most its part of the whole,
    since the others may have begun at the same moment."""
    free = free_memory(device)
    return free if free is None or processes == 1 else min(free, _share(processes, device))


def keep_to_share(processes: int, device: torch.device) -> None:
    """On a GPU that processes share: one that takes more than its part is out of memory itself, not its neighbours."""
    if device.type == "cuda":
        part = 1.0 if processes == 1 else max(0.01, _share(processes, device) / _all_memory(device))
        torch.cuda.set_per_process_memory_fraction(part, device)  # pyright: ignore[reportUnknownMemberType]


def _share(processes: int, device: torch.device) -> int:
    """Bytes for the tensors of one of several processes."""
    return _all_memory(device) // processes - (BYTES_OF_CONTEXT if device.type == "cuda" else 0)


def _all_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    there, limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), memory_limit()
    return there if limit is None else min(there, limit)


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process can still take on a device; on the CPU within its cgroups. None where it is unknown."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu":
        return None
    found = [_available(Path("/proc/meminfo")), memory_room()]
    return min((room for room in found if room is not None), default=None)


def gpu_need() -> float | None:
    """The part of its GPU's memory that this process needs, by the peak of its tensors so far, with room to spare; None
    where it computes on none."""
    if not torch.cuda.is_initialized():
        return None
    device = torch.device("cuda", torch.cuda.current_device())
    return (torch.cuda.max_memory_allocated(device) / SHARE + BYTES_OF_CONTEXT) / _all_memory(device)


def peak_of(action: Callable[[], object]) -> int:
    """The most bytes that tensors made during an action held at one moment, on whatever device."""
    with _Held() as held:
        action()
    return held.peak


class _Held(TorchDispatchMode):
    """Adds up the storages that operations make, backward passes included, and takes off those that are let go."""

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.peak = self._now = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._see(leaf, given)
        return result

    def _see(self, tensor: Tensor, given: set[int]) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._known or place in given or not size:
            return
        self._known[place] = size
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._let_go, place).atexit = False

    def _let_go(self, place: int) -> None:
        self._now -= self._known.pop(place, 0)


def _available(meminfo: Path) -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h."""
_NEVER, _LARGEST = 2**31 - 1, 2**30


def keep_freed_memory() -> None:
    """Has the C library keep what is freed, instead of returning it to the system and asking for it again.

    A step makes and drops the same large tensors each time. What was given back comes again page by page, each filled
    with zeros first: in the SplitMNIST setting 1,300 pages a step, a third of its time on the CPU. glibc alone (Linux)
    is told; elsewhere, and under another allocator, nothing happens. A process stays as large as it was at its peak.
    """
    if _glibc():
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)


def give_back_freed_memory() -> None:
    """Gives back what was kept: between two runs of a process."""
    if _glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
