"""Runs whose folders are at a URI (`study.run_folders`), as the driver of a sweep deals with them."""

import uuid
from contextlib import suppress
from pathlib import Path

from hypercl.config import SweepFile
from hypercl.machine import MachineError
from hypercl.remote import RemoteFolder
from hypercl.sweep.study import SweepStudy, begin_run_folders, bring_run, send_code
from hypercl.sweep.workers import RunStore


class StoredRuns:
    """Where a sweep's runs are; does nothing where they are in its results.

    Args:
        study: the sweep's.
        file: as written.
        folder: its results; what races and the final step have left at the URI is brought there.
        on_nodes: whether there are nodes that do not see it.

    Raises:
        UserError: the runs lie elsewhere already, or those of another sweep lie there.
        RemoteError: the URI cannot be read or written.
    """

    def __init__(self, study: SweepStudy, file: SweepFile, folder: Path, on_nodes: bool) -> None:
        self._study, self._folder = study.optuna, folder
        uri = begin_run_folders(study.optuna, study.optuna.study_name, study.uid, file)
        self.store = None if uri is None else RunStore(uri, f".stop-{uuid.uuid4().hex[:8]}")
        """For the jobs of its runs."""
        self._told = self.store if on_nodes else None
        if uri is None:
            return
        send_code(uri, folder)
        for stage in ("race", "confirm", "final"):
            self.bring(folder / stage)

    def bring(self, run: Path) -> None:
        """Brings what a run, or several, left at the URI into a folder of the results."""
        bring_run(self._folder, self._study.user_attrs, run)

    def say_stop(self) -> None:
        """Tells trials on nodes that do not see the results folder; those that do not hear it are ended later."""
        if self._told is not None:
            with suppress(MachineError):
                RemoteFolder(self._told.uri).write(self._told.stop, b"")

    def end(self) -> None:
        """Takes back what was said."""
        if self._told is not None:
            with suppress(MachineError):
                RemoteFolder(self._told.uri).remove(self._told.stop)
