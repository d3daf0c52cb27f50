"""What driver, searcher and scheduler agree on while a sweep runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stop = Literal["sigint", "sigterm", "time", "failed", "infeasible"]








@dataclass
class Control:
    """Whether the sweep is stopping, and why. The stop file is what trials look at, on every node."""

    stop_file: Path
    reason: Stop | None = None
    at_once: bool = False
    """A second signal came: not even checkpoints are waited for."""
    failed_in_row: int = 0
    first_failure: str = ""

    def stop(self, reason: Stop) -> None:
        """No more trials; running ones write a checkpoint and end."""
        self.reason = self.reason or reason
        self.stop_file.touch()

    def stop_asking(self, reason: Stop) -> None:
        """No more trials; running ones go on to their end."""
        self.reason = self.reason or reason
