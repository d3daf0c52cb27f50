"""What a sweep drives: the trainable of a trial, the sizes of a network, the data."""

from pathlib import Path

from hypercl.config import Experiment
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.study import Sized


class Engine:
    """hypercl's own training. A test puts a quick one in its place."""

    def trainable(self) -> type:
        """A `ray.tune.Trainable` whose config holds a `TrialJob`."""
        from hypercl.sweep.workers.trainable import RunTrainable

        return RunTrainable

    def sizes(self, experiment: Experiment, import_paths: tuple[Path, ...]) -> Sized:
        """The sizes of an experiment's networks, without reading data."""
        from hypercl.training import sizes

        return sizes(experiment, import_paths)

    def prepare(self, experiment: Experiment, given: SweepOptions) -> None:
        """Fetches and decodes the data once, before trials need it.

        Raises:
            UserError: data is missing.
        """
        from hypercl.tasks import open_stream

        open_stream(experiment.tasks, given.data_dir, given.offline, given.import_paths)
