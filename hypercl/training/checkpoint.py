"""Checkpoints that survive being killed, garbled or truncated while they are written.

A file is one line of JSON (format, version and SHA-256 of what follows) and then what `torch.save` writes. It
is written beside its final place, synced and renamed, and the folder is synced; the newest two are kept.
"""

import hashlib
import io
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from hypercl.config import UserError
from hypercl.files import write_bytes

_FORMAT = "hypercl-checkpoint"
_VERSION = 2
_NAME = re.compile(r"^step-(\d{12})\.pt$")


LOG = logging.getLogger(__name__)


class BrokenFile(UserError):
    """A file's content is not what was written."""


def write(path: Path, content: Any, allowed: Callable[[], None] = lambda: None) -> None:
    """Writes tensors, numbers, texts, lists and dicts to a file, whole or not at all, where that is `allowed`."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    write_bytes(path, json.dumps(header).encode() + b"\n" + payload, allowed)


def read(path: Path, device: torch.device | str = "cpu") -> Any:
    """What `write` wrote, its tensors on a device.

    Raises:
        BrokenFile: the file was cut, changed, or is of a later version.
        UserError: an earlier version wrote it, and this one cannot resume from it.
    """
    first, _, payload = path.read_bytes().partition(b"\n")
    try:
        header = json.loads(first)
        form, version, checksum = header["format"], int(header["version"]), header["sha256"]
    except (ValueError, KeyError, TypeError):
        raise BrokenFile(f"{path}: this is not a checkpoint") from None
    if form != _FORMAT:
        raise BrokenFile(f"{path}: this is not a checkpoint")
    if version > _VERSION:
        raise BrokenFile(f"{path}: version {version} is later than this program's ({_VERSION})")
    if version < _VERSION:
        raise UserError(
            f"{path}: this run was started by an earlier version of hypercl, and this version cannot resume it\n"
            "    fix:     give another --name (nothing in this folder is changed), or resume with that version"
        )
    if hashlib.sha256(payload).hexdigest() != checksum:
        raise BrokenFile(f"{path}: the checksum does not match")
    try:
        return torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise BrokenFile(f"{path}: holds more than data, which is not loaded: {error}") from None
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise BrokenFile(f"{path}: holds nothing that can be loaded: {error}") from None


class Checkpoints:
    """The checkpoints of one run, named by the run's step.

    Args:
        folder: where they are.
        keep: number of newest ones kept.
        allowed: raises where this process must write no more.
        set_aside: whether a broken one is renamed, as a run does that goes on from the one before it.
    """

    def __init__(
        self, folder: Path, keep: int = 2, allowed: Callable[[], None] = lambda: None, set_aside: bool = True
    ) -> None:
        self.folder, self.keep, self._allowed, self._set_aside = folder, keep, allowed, set_aside

    def save(self, step: int, content: Any) -> None:
        """Writes a checkpoint, then sweeps away what is older than the newest `keep` and what a kill left over."""
        write(self._path(step), content, self._allowed)
        for old in self._found()[self.keep :]:
            old.unlink(missing_ok=True)
        for leftover in self.folder.glob("*.partial-*"):
            leftover.unlink(missing_ok=True)

    @property
    def steps(self) -> set[int]:
        """The steps of the run of which there are checkpoints."""
        return {int(match[1]) for path in self._found() if (match := _NAME.match(path.name))}

    def at(self, step: int, device: torch.device | str, parsed: Callable[[Any], Any]) -> Any | None:
        """The checkpoint of a step; None where it is broken, and is set aside."""
        return self._sound(self._path(step), device, parsed)

    def newest(
        self, device: torch.device | str = "cpu", parsed: Callable[[Any], Any] = lambda content: content
    ) -> Any | None:
        """The newest sound checkpoint; None if there is none. Broken ones are set aside, with a warning.

        Args:
            device: of its tensors.
            parsed: makes a run's state of what was written.

        Raises:
            UserError: none can be read, and one of them not for its content: it may be readable again later.
        """
        unreadable: OSError | None = None
        for path in self._found():
            try:
                found = self._sound(path, device, parsed)
            except OSError as error:
                LOG.warning("%s; using the checkpoint before it", error)
                unreadable = error
            else:
                if found is not None:
                    return found
        if unreadable is not None:
            fix = "mend the disk or the network, then rerun the command; or delete the file to start over"
            raise UserError(f"no checkpoint can be read: {unreadable}\n    fix:     {fix}")
        return None

    def _sound(self, path: Path, device: torch.device | str, parsed: Callable[[Any], Any]) -> Any | None:
        try:
            return self._parsed(path, device, parsed)
        except BrokenFile as error:
            LOG.warning("%s; using the checkpoint before it", error)
            if self._set_aside:
                path.replace(path.with_suffix(".broken"))
            return None

    def _parsed(self, path: Path, device: torch.device | str, parsed: Callable[[Any], Any]) -> Any:
        content = read(path, device)
        try:
            return parsed(content)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise BrokenFile(f"{path}: holds no state of a run: {type(error).__name__}: {error}") from None

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:012d}.pt"

    def _found(self) -> list[Path]:
        named = (path for path in self.folder.glob("step-*.pt") if _NAME.match(path.name))
        return sorted((path for path in named if path.is_file()), reverse=True)
