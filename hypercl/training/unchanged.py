"""What a run depends on beside its settings, and whether a resumed run still has it: data and a user's own target."""

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor

from hypercl.config import UserError
from hypercl.targets import same_fingerprint
from hypercl.tasks import Split, Task

_WHOLE, _EACH = 2**24, 2**30
"""Bytes of images up to which all of them are read, and up to which some pixels of each; beyond, some images."""
_IMAGES = 1000


def digest(task: Task) -> str:
    """Of the training and validation data of a task: classes, labels, and the images or an even sample of them."""
    hashed = blake2b(repr(task.classes).encode(), digest_size=10)
    for split in (task.train, task.validation):
        hashed.update(split.labels.cpu().numpy().tobytes())
        hashed.update(_sample(split).cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _sample(split: Split) -> Tensor:
    size = len(split) * split.images[:1].nbytes
    rows = split.rows if size <= _EACH else split.rows[:: -(-len(split) // _IMAGES)]
    step = 1 if size > _EACH else max(1, -(-size // _WHOLE))
    return split.images.flatten(1)[:, ::step][rows]


def require_unchanged(begun: Sequence[str], now: Sequence[str], target: Sequence[float], fingerprint: Tensor) -> None:
    """Refuses to resume a run whose data or target are not what it was begun with.

    Args:
        begun: digest of each task read when the checkpoint was written; empty if an earlier version wrote it.
        now: digest of each task now.
        target: fingerprint of the target that the run was begun with; empty if it is not a user's own.
        fingerprint: that of the target now.

    Raises:
        UserError: one of them changed.
    """
    changed = [task for task, (old, new) in enumerate(zip(begun, now, strict=False), start=1) if old != new]
    if changed or (begun and len(now) < len(begun)):
        tasks = ", ".join(map(str, changed or range(len(now) + 1, len(begun) + 1)))
        raise UserError(
            f"tasks: the data of task {tasks} changed since this run was begun: results of both would be mixed\n"
            "    fix:     restore the data to resume, or give the new data another --name; a stream of your own must "
            "return the same data each time it is called"
        )
    if target and not same_fingerprint(torch.tensor(target), fingerprint):
        raise UserError(
            "target: the network computes something else than when this run was begun: its constants changed (a file "
            "that it reads, an installed package, or random numbers without a fixed seed)\n"
            "    fix:     restore it to resume, or give the new one another --name"
        )
