"""A run whose folder is at a URI: it works in a temporary folder, which is copied there at each checkpoint."""

import atexit
import logging
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hypercl.folder_lock import Superseded
from hypercl.remote import RemoteError, RemoteFolder, send
from hypercl.sweep.study import ENDED
from hypercl.sweep.workers.job import RunStore, TrialJob
from hypercl.sweep.workers.node_data import why_no_data
from hypercl.sweep.workers.own_folder import own_folder
from hypercl.sweep.workers.stall import STACKS
from hypercl.user_code import CODE_FOLDER

LOG = logging.getLogger(__name__)
SECONDS_TO_LOOK = 3.0
"""Between two looks at whether the sweep is stopping."""
SECONDS_WITHOUT = 600.0
"""How long checkpoints may fail to be copied before the run ends for it: they are copied with the next."""
_WRITER, _PRUNED = ".writer", ".pruned"
_OWN = (_WRITER, _PRUNED, ENDED, STACKS)
_SUMMARY, _CHECKPOINTS = "summary.json", "checkpoints/"


class RemoteRun:
    """One run's temporary folder, and the folder at the URI that it is a copy of.

    At the URI a newer file takes the place of an older one, the checkpoint last and the summary after it, and what is
    gone here is removed there only then: whenever a copy is cut off, what is there can be resumed.

    Args:
        given: the run's job, as the driver made it.
        store: where its folder is.
    """

    def __init__(self, given: TrialJob, store: RunStore) -> None:
        self._store, self._given, self._scratch = store, given, _scratch()
        self._key = self._key_of(given.folder)
        self.folder = self._scratch / self._key
        self._token = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
        self._sent: dict[str, tuple[int, int]] = {}
        """Path -> size and time of what is at the URI."""
        self._checkpoints: frozenset[str] = frozenset()
        self._well, self._looked, self._stopping = time.monotonic(), 0.0, False
        self.clear()

    @cached_property
    def _remote(self) -> RemoteFolder:
        return RemoteFolder(self._store.uri)

    @property
    def job(self) -> TrialJob:
        """The job with its folders on this node."""
        given, parent = self._given, self._given.parent
        paths = _local(given.import_paths)
        loggers = given.loggers
        if loggers is not None:
            marker = self._scratch / ".wandb-offline"
            loggers = replace(loggers, results=self.folder, offline_file=marker, import_paths=paths)
        parent = None if parent is None else self._scratch / self._key_of(parent)
        return replace(given, folder=self.folder, parent=parent, import_paths=paths, loggers=loggers)

    def fetch(self) -> None:
        """Takes the run's folder over, as it was left; of a parent, what the run starts from.

        Raises:
            RemoteError: it cannot be read.
        """
        _fetch_code(self._store.uri, self._given.import_paths)
        self._remote.write(f"{self._key}/{_WRITER}", self._token.encode())
        self._remote.remove(f"{self._key}/{ENDED}")
        self._remote.fetch(self._key, self.folder, lambda name: name not in _OWN)
        self._sent = self._found()
        if self._given.parent is not None and not (self.folder / "config.yaml").exists():
            parent = self._key_of(self._given.parent)
            self._remote.fetch(
                parent, self._scratch / parent, lambda name: name.startswith((_CHECKPOINTS, "metrics.jsonl"))
            )

    def copy_checkpoint(self) -> None:
        """Copies where there is a new checkpoint. A failure is a warning, unless it has lasted.

        Raises:
            RemoteError: nothing could be copied for `SECONDS_WITHOUT`.
            Superseded: another process has begun to train this run.
        """
        folder = self.folder / "checkpoints"
        there = frozenset(os.listdir(folder)) if folder.is_dir() else frozenset[str]()
        if there != self._checkpoints:
            self.copy()
            self._checkpoints = there

    def copy(self, last: bool = False) -> None:
        """Copies what has changed.

        Args:
            last: the run ends with it, so that a failure counts at once.

        Raises:
            RemoteError: it could not be copied.
            Superseded: another process has begun to train this run.
        """
        try:
            self._copy()
            self._well = time.monotonic()
        except RemoteError as error:
            if last or time.monotonic() - self._well > SECONDS_WITHOUT:
                raise
            LOG.warning("the newest checkpoint is not copied, which is tried again with the next: %s", error)

    def end(self) -> None:
        """Copies the rest, and notes that the run is over."""
        self.copy(last=True)
        self._remote.write(f"{self._key}/{ENDED}", b"")

    def clear(self) -> None:
        """Removes the run's files from this node."""
        for folder in (self._given.folder, self._given.parent or self._given.folder):
            shutil.rmtree(self._scratch / self._key_of(folder), ignore_errors=True)

    @property
    def stopping(self) -> bool:
        """Whether the sweep is being stopped; asks the URI every few seconds, and takes no answer for no."""
        now = time.monotonic()
        if self._given.cluster and not self._stopping and now - self._looked > SECONDS_TO_LOOK:
            self._looked = now
            try:
                self._stopping = self._remote.exists(self._store.stop)
            except RemoteError as error:
                LOG.debug("%s", error)
        return self._stopping

    def was_pruned(self) -> bool:
        """Whether the driver has pruned this run of a bundle; says so once."""
        if not self._remote.exists(f"{self._key}/{_PRUNED}"):
            return False
        self._remote.remove(f"{self._key}/{_PRUNED}")
        return True

    def _copy(self) -> None:
        found = self._found()
        changed = [name for name, state in found.items() if self._sent.get(name) != state]
        gone = self._sent.keys() - found.keys()
        if not changed and not gone:
            return
        self._require_own()
        checkpoints = [name for name in changed if name.startswith(_CHECKPOINTS)]
        for part in ([n for n in changed if n not in (*checkpoints, _SUMMARY)], checkpoints, [_SUMMARY]):
            send(self._remote, self._key, self.folder, [name for name in part if name in changed])
        for name in gone:
            self._remote.remove(f"{self._key}/{name}")
        self._sent = found

    def _require_own(self) -> None:
        writer = self._remote.read(f"{self._key}/{_WRITER}")
        if writer != self._token.encode():
            raise Superseded(f"{self._remote.uri}/{self._key} belongs to another process, which began later")

    def _found(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not path.is_symlink() and ".partial-" not in path.name and name not in _OWN:
                stat = path.stat()
                found[name] = (stat.st_size, stat.st_mtime_ns)
        return found

    def _key_of(self, folder: Path) -> str:
        return folder.relative_to(self._given.stop_file.parent).as_posix()


def mark_pruned(given: TrialJob) -> None:
    """Tells a trial of a bundle, in whichever process it is trained, that it is pruned."""
    if given.store is None:
        given.pruned_file.parent.mkdir(parents=True, exist_ok=True)
        given.pruned_file.touch()
    else:
        key = given.folder.relative_to(given.stop_file.parent).as_posix()
        RemoteFolder(given.store.uri).write(f"{key}/{_PRUNED}", b"")


def why_no_data_here(
    store: RunStore, experiment: Mapping[str, Any], data_dir: Path, offline: bool, import_paths: Sequence[Path]
) -> str:
    """`why_no_data` on a node that may not see the results folder."""
    try:
        _fetch_code(store.uri, import_paths)
    except RemoteError as error:
        return str(error)
    return why_no_data(experiment, data_dir, offline, _local(import_paths))


def _local(import_paths: Sequence[Path]) -> tuple[Path, ...]:
    """Where this node has the modules of the user's own."""
    return tuple(_scratch() / CODE_FOLDER if _is_elsewhere(path) else path for path in import_paths)


def _fetch_code(uri: str, import_paths: Sequence[Path]) -> None:
    if any(map(_is_elsewhere, import_paths)):
        RemoteFolder(uri).fetch(CODE_FOLDER, _scratch() / CODE_FOLDER)


def _is_elsewhere(path: Path) -> bool:
    """Whether it is the copy of the user's modules in a results folder that this node does not see."""
    return path.name == CODE_FOLDER and not path.is_dir()


@cache
def _scratch() -> Path:
    """A folder of this process: what is imported from it may read further files there as long as that lives."""
    kept = ExitStack()
    atexit.register(kept.close)
    return kept.enter_context(own_folder(Path(tempfile.gettempdir())))
