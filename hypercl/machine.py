"""Failures of the machine: what no setting and no code caused, and a person mends."""

import errno

from hypercl.config import UserError

_DISK = {
    errno.ENOSPC: "the disk is full\n    fix:     make room there",
    errno.EDQUOT: "the disk quota is used up\n    fix:     make room there, or ask for a larger quota",
    errno.EROFS: "the file system is read-only\n    fix:     mount it for writing",
    errno.EIO: "the disk cannot be read or written\n    fix:     check the disk, or the server that it is on",
    errno.ESTALE: "the file server has lost the folder\n    fix:     mount it again",
    errno.ENOTCONN: "the file system is no longer connected\n    fix:     mount it again",
}
_DEVICE = (
    "no CUDA-capable device",
    "devices are busy or unavailable",
    "CUDA driver initialization failed",
    "uncorrectable ECC",
    "GPU is lost",
    "hardware error",
)


class MachineError(UserError):
    """What a run needs of its machine is not there: a device, data."""


class DataError(MachineError):
    """Data is not there, or cannot be read."""


def machine_fault(error: BaseException | None) -> str | None:
    """What of the machine failed, and what to do about it, where that is behind an exception; None where it is not."""
    while error is not None:
        if isinstance(error, MachineError):
            return str(error)
        if isinstance(error, OSError) and error.errno in _DISK:
            return f"{error.filename or 'a file'}: {_DISK[error.errno]}"
        if isinstance(error, RuntimeError) and any(mark in str(error) for mark in _DEVICE):
            first, *_ = str(error).strip().splitlines()
            return f"{first}\n    fix:     check the GPU with nvidia-smi"
        error = error.__cause__ or error.__context__
    return None
