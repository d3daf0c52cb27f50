"""What a run knew after each task, kept until it is measured on test data."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from hypercl.config import UserError
from hypercl.methods import State
from hypercl.training.checkpoint import read, write


class KeptStates:
    """The states for inference in `learned/` of a run's folder; tasks count from 0.

    Args:
        folder: the run's.
        check: called before each writing; raises where another process has begun to train in the folder.
    """

    def __init__(self, folder: Path, check: Callable[[], None]) -> None:
        self._folder, self._check = folder, check

    def keep(self, task: int, state: State) -> None:
        """Keeps what is known after a task."""
        write(self._file(task), state, self._check)

    def after(self, task: int, device: torch.device) -> State:
        """What was known after a task."""
        return read(self._file(task), device)

    def complete(self, tasks: int) -> bool:
        """Whether what was known after each of the first tasks is there."""
        return all(self._file(task).exists() for task in range(tasks))

    def require(self, tasks: int, finished: bool) -> None:
        """Refuses to open test data where nothing could be measured on it.

        Args:
            tasks: learned so far.
            finished: the run has a result.

        Raises:
            UserError: what was known after a task is gone, or the checkpoint of a finished run.
        """
        gone = [task + 1 for task in range(tasks) if not self._file(task).exists()]
        if gone or (finished and not tasks):
            what = f"what was known after task {', '.join(map(str, gone))}" if gone else "the last checkpoint"
            raise UserError(
                f"{self._folder}: test data cannot be opened any more for this run, which did not keep {what}\n"
                "    fix:     train it again with --test, under another --name"
            )

    def remove(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self._folder / "learned", ignore_errors=True)

    def _file(self, task: int) -> Path:
        return self._folder / "learned" / f"task-{task + 1}.pt"
