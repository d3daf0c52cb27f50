"""A temporary folder that goes with its process, however that ends."""

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypercl.config import UserError

_OWNER = "owner"
"""A file that a process locks as long as it lives."""


@contextmanager
def own_folder(base: Path) -> Generator[Path]:
    """A folder of this process's, a driver or a trial, gone afterwards; those of processes that were killed go now.

    Raises:
        UserError: no folder can be made there.
    """
    for abandoned in base.glob("hcl-*"):
        with suppress(OSError):  # a process of Ray's wrote once more after its folder was removed
            if abandoned.stat().st_uid == os.getuid() and not (abandoned / _OWNER).exists():
                shutil.rmtree(abandoned, ignore_errors=True)
        with suppress(OSError), (abandoned / _OWNER).open("r+") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end_orphans(abandoned)
            shutil.rmtree(abandoned, ignore_errors=True)
    try:
        made = Path(tempfile.mkdtemp(prefix=".hcl-", dir=base))
    except OSError as error:
        raise UserError(
            f"{base} takes no temporary files: {error.strerror}\n"
            "    fix:     set RAY_TMPDIR and TMPDIR to folders that exist and that you may write to, or unset them"
        ) from None
    with (made / _OWNER).open("w") as owner:
        with suppress(OSError):  # a file system without locks, where nothing is taken for abandoned
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = made.rename(made.with_name(made.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _end_orphans(folder: Path) -> None:
    """Ends the processes of a killed driver's Ray, known by their token: agents that were just starting stay."""
    mark = f"RAY_AUTH_TOKEN_PATH={folder / 'token'}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                os.kill(int(path.name), signal.SIGKILL)
