"""One session of Ray Tune over a study."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ray import tune
from ray.air._internal import usage
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayTaskError
from ray.tune import Callback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher

from hypercl.control import AtOnce, Control
from hypercl.sweep.listener import Listener
from hypercl.sweep.study import SweepStudy
from hypercl.sweep.workers import job
from hypercl.sweep.workers.gpu_meter import GpuMeter
from hypercl.sweep.workers.resources import Slots


class Stateless(Searcher):
    """A searcher that keeps no state for Ray."""

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles searchers into snapshots that are never read."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: folders and journal are the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True


class AsManyAsFit(ConcurrencyLimiter):
    """Hands out no more trials than there is room for at the time, since a cluster grows and shrinks."""

    def __init__(self, searcher: Searcher, slots: Slots) -> None:
        self._slots = slots
        super().__init__(searcher, max(1, slots.room))

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles searchers into snapshots that are never read."""
        return {}

    def get_state(self) -> dict[str, Any]:
        return {}

    def suggest(self, trial_id: str) -> Any:
        self.max_concurrent = self._slots.room
        return super().suggest(trial_id)


class Heartbeat(Callback):
    """Runs with every turn of Ray Tune's loop, about ten times a second: limits, trials.csv, the listener.

    Args:
        study: whose trials are trained.
        control: says when to stop.
        listener: gets a tick each turn.
        write_trials: writes trials.csv.
        meter: counts GPU time.
        say_stop: tells trials that the sweep is stopping, beside the stop file.
        share_by: is told what of a GPU's memory a trial needs that finished; says what follows from it.
    """

    def __init__(
        self,
        study: SweepStudy,
        control: Control,
        listener: Listener,
        write_trials: Callable[[], None],
        meter: GpuMeter,
        say_stop: Callable[[], None] = lambda: None,
        share_by: Callable[[float], str] = lambda _: "",
    ) -> None:
        self._study, self._control, self._listener = study, control, listener
        self._write_trials, self._meter = write_trials, meter
        self._share_by = share_by
        self._say_stop: Callable[[], None] | None = say_stop
        self._written, self._next_write = -1, 0.0
        self._said: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles callbacks into snapshots that are never read."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Says what a trial's process has to say: once, however many trials have the same to say."""
        self._meter.reported(trial.trial_id, trial.config["job"], result)
        for _, own in job.results_of(trial.config["job"], result):
            if (need := own.get(job.GPU_NEED)) and (changed := self._share_by(need)):
                self._listener.said(changed)
        for text in result.get(job.NOTES, ()):
            if text not in self._said:
                self._said.add(text)
                self._listener.said(f"{trial.config['job'].name}: {text}")

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process has begun, or was given to it by another trial."""
        self._meter.started(trial.trial_id, trial.config["job"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It ended, or was stopped."""
        self._meter.ended(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process died."""
        self._meter.ended(trial.trial_id)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._control.at_once:
            raise AtOnce
        if self._control.stopping and self._say_stop is not None:  # which also looks at the time limit
            self._say_stop()
            self._say_stop = None
        self._study.beat()
        self._meter.tick()
        ended, now = self._study.ended, time.monotonic()
        if ended != self._written and now > self._next_write:
            self._write_trials()
            # However many trials there are, writing them takes at most a twentieth of the time.
            done = time.monotonic()
            self._written, self._next_write = ended, done + max(1.0, 20 * (done - now))
        self._listener.tick()


def _taken(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    return tune.PlacementGroupFactory([dict(config["job"].takes)])


def tune_study(
    trainable: type,
    slots: Slots,
    searcher: Stateless,
    scheduler: TrialScheduler,
    heartbeat: Heartbeat,
    storage: Path,
) -> None:
    """Runs trials until the searcher has finished and none is left.

    Args:
        trainable: what runs a trial.
        slots: how many run at once.
        searcher: hands out trials; of the study, or of a list of runs.
        scheduler: hears their reports.
        heartbeat: runs with every turn of the loop.
        storage: a folder that all nodes see, for what Ray insists on writing; nothing in it is read again.
    """
    tuner = tune.Tuner(
        tune.with_resources(trainable, _taken),
        tune_config=tune.TuneConfig(
            search_alg=AsManyAsFit(searcher, slots),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.config["job"].name,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"session-{uuid.uuid4().hex[:8]}",  # a driver has several: search, races, final step
            storage_path=str(storage),
            callbacks=[heartbeat],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),  # `deaths` decides on restarts
        ),
    )

    def known(of_ray: Callable[..., None]) -> Callable[..., None]:
        """Ray's loop ends at an error that it does not know, such as that of a worker killed for lack of memory."""

        def failed(self: RayActorManager, *, exception: Exception, **tracked: Any) -> None:
            if not isinstance(exception, RayActorError | RayTaskError):
                exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
            of_ray(self, exception=exception, **tracked)

        return failed

    start_failed, task_failed = RayActorManager._actor_start_failed, RayActorManager._actor_task_failed
    start = patch.object(RayActorManager, "_actor_start_failed", known(start_failed))
    task = patch.object(RayActorManager, "_actor_task_failed", known(task_failed))

    # For usage statistics, which are off, Ray counts its own loggers, and imports wandb to that end.
    unused = patch.object(usage, "tag_callbacks", return_value=False)
    with unused, start, task:
        tuner.fit()
