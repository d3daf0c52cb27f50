"""What a sweep drives: the trainable of a trial, the sizes of a network, the data."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypercl.config import Experiment, resolved
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.study import Sized
from hypercl.sweep.workers.job import RunStore


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

    def data_check(
        self,
        experiment: Experiment,
        given: SweepOptions,
        import_paths: tuple[Path, ...],
        store: RunStore | None = None,
    ) -> Callable[[], str]:
        """What a node of a cluster runs in the place of `prepare`; it returns why there is no data, or ''."""
        asked = (resolved(experiment), given.data_dir, given.offline, import_paths)
        if store is not None:
            from hypercl.sweep.workers.remote_run import why_no_data_here

            return partial(why_no_data_here, store, *asked)
        from hypercl.sweep.workers.node_data import why_no_data

        return partial(why_no_data, *asked)
