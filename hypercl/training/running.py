"""One run of an experiment, from where its folder says it was left to its summary."""

from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext

from hypercl.config import Experiment, UserError, assign
from hypercl.config.models import Imported
from hypercl.machine import DataError
from hypercl.tasks import TaskStream, TestDataGuard, guard_test_data, open_leaking, open_stream, open_with_test
from hypercl.training.device import computing, resolve
from hypercl.training.folder import RunFolder, RunFolders
from hypercl.training.loop import Run
from hypercl.training.memory import keep_to_share
from hypercl.training.own_metric import OwnMetric
from hypercl.training.parts import require_buildable
from hypercl.training.progress import Progress


def run(
    experiment: Experiment,
    place: RunFolders,
    *,
    test: bool = False,
    keep: bool = False,
    leak: bool = False,
    reports_per_task: int = 4,
    processes: int = 1,
    fewer_at_once: bool = False,
    metrics: Sequence[Imported] = (),
) -> Generator[Progress, None, None]:
    """Trains an experiment, from where its folder says it was left.

    Closing the generator writes a checkpoint first. The same seed on the same machine gives the same numbers, whether
    interrupted or not.

    Args:
        experiment: what to train.
        place: where data lies and where the run's folder is.
        test: open the test data at the end and measure on it. A run without it has none, and while it lasts nothing in
            this process can open any. The call that ends the run decides, or a later one after `keep`.
        keep: keep what was known after each task, so that test data can be opened once the run is finished.
        leak: take test data as validation data: a sweep's protocol `test_leak` alone.
        reports_per_task: reports for each task, the last one when it is learned.
        processes: that share the device, and its memory.
        fewer_at_once: compute with half as many replicas at once as before, or as planned: memory did not suffice.
        metrics: of the user's own, computed at the end beside the others.

    Yields:
        `Started`, then `Tick`s and `Report`s, then `Finished`.

    Raises:
        Diverged: a loss or a weight is no longer finite, of every replica.
        UserError: missing data, another experiment in the folder, a device that is not there, a target or a
            method that cannot be built, a compression ratio that is not achievable, `test` after a run that did not
            `keep` what it needs.
        Superseded: another process has begun to train in the folder.
    """
    folder = RunFolder(place)
    opener = open_with_test if test else open_leaking if leak else open_stream
    with guard_test_data() if opener is open_stream else nullcontext(TestDataGuard()) as guard:
        experiment = resolve(as_begun(experiment, folder))
        folder.require_same(experiment)
        require_buildable(experiment, place.import_paths)
        with computing(experiment.training) as device:
            keep_to_share(processes, device)
            stream = opened(opener, experiment, place)
            folder.begin(experiment)  # once nothing of the user's is known to be missing or wrong
            own = [OwnMetric(one, place.import_paths) for one in metrics]
            running = Run(experiment, place, folder, device, reports_per_task, stream, test, keep, guard, own)
            yield from running.progress(processes, fewer_at_once)


def opened(opener: Callable[..., TaskStream], experiment: Experiment, place: RunFolders) -> TaskStream:
    """The stream of an experiment; what is wrong with it is the machine's: no setting that a sweep varies decides on
    data."""
    try:
        return opener(experiment.tasks, place.data_dir, place.offline, place.import_paths)
    except UserError as error:
        raise DataError(str(error)) from error


def as_begun(experiment: Experiment, folder: RunFolder) -> Experiment:
    """Thread count and device are part of a run: what is `auto` stays as it was when the run began."""
    stored = folder.stored()
    if stored is None:
        return experiment
    keep = {
        f"training.{key}": getattr(stored.training, key)
        for key in ("device", "threads")
        if getattr(experiment.training, key) == "auto"
    }
    return assign(experiment, keep)
