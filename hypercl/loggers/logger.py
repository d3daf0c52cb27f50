"""The seam between a run and who listens to it."""

from typing import Protocol

from hypercl.training.progress import Finished, Report, Started, Tick


class Logger(Protocol):
    """Hears every item of a run. A report may come twice after a restart: by its `iteration` a logger knows it."""

    def started(self, item: Started) -> None:
        """The run begins or goes on."""

    def tick(self, item: Tick) -> None:
        """The run is alive."""

    def report(self, item: Report) -> None:
        """Accuracies and the losses that led there."""

    def finished(self, item: Finished) -> None:
        """The run is done."""

    def close(self, outcome: str) -> None:
        """Nothing more will come: 'finished', 'stopped' (early, by the pruner), 'interrupted' or 'failed'."""
