"""`python -m tests.benchmarks.scale [TRIALS [SAMPLER [SECONDS]]]`: what the driver of a large sweep costs, on real Ray.

Trials are of about a second, on 200 logical CPUs. Ray Tune's loop, its placement groups and futures are real, as are
searcher, study and journal; only the 200 processes of trials are threads of a few.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

os.environ |= {"RAY_prestart_worker_first_driver": "0"}  # Ray would start a process for each logical CPU

import ray
from ray import tune
from ray.air.execution._internal import actor_manager
from ray.air.execution.resources import placement_group

from hypercl.config import Experiment, loads
from hypercl.sweep import SweepOptions, sweep
from hypercl.sweep.study import SweepStudy, read_sweep
from hypercl.sweep.workers import Engine, Machine
from tests.benchmarks.suggestions import TEXT

CPUS, HOSTS, TASKS, SECONDS = 200, 4, 5, 1.0


class Simulated(tune.Trainable):
    """A trial that waits: a report for each of five tasks, then the end."""

    def setup(self, config: dict[str, Any]) -> None:
        self._number, self._step = config["job"].number, 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        time.sleep(SECONDS / (TASKS + 1))
        self._step += 1
        value = (0.3 + 0.6 * (self._number * 0.618 % 1)) * min(self._step, TASKS) / TASKS
        spent = {"seconds": SECONDS * self._step / TASKS, "flops": None}
        if self._step > TASKS:
            metrics = (("validation/final_accuracy", value), ("validation/forgetting", 0.01))
            return {"done": True, "outcome": "finished", "why": "", "metrics": metrics, **spent}
        return {"step": self._step, "value": value, "history": (), "accuracies": (value,), **spent}


class Host:
    """Holds trials in the place of a process each."""

    def __init__(self) -> None:
        self._trials: dict[int, Simulated] = {}

    def begin(self, number: int, config: dict[str, Any]) -> None:
        self._trials[number] = Simulated(config)

    def call(self, number: int, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return getattr(self._trials[number], method)(*args, **options)

    def end(self, number: int) -> None:
        self._trials.pop(number, None)


class Actor:
    """What Ray Tune takes for the process of a trial."""

    hosts: list[Any] = []
    begun = 0

    def __init__(self, config: dict[str, Any], **_: Any) -> None:
        Actor.begun += 1
        if not Actor.hosts:
            made = ray.remote(num_cpus=0, max_concurrency=2 * CPUS // HOSTS)(Host)
            Actor.hosts = [made.remote() for _ in range(HOSTS)]
        self._number, self._host = Actor.begun, Actor.hosts[Actor.begun % HOSTS]
        self._ready = self._host.begin.remote(self._number, config)

    def __getattr__(self, method: str) -> Any:
        if method == "__ray_ready__":
            return SimpleNamespace(remote=lambda: self._ready)
        if method == "__ray_terminate__":
            return SimpleNamespace(remote=lambda: self._host.end.remote(self._number))
        if method.startswith("__"):
            raise AttributeError(method)

        def remote(*args: Any, **options: Any) -> Any:
            return self._host.call.remote(self._number, method, args, options)

        return SimpleNamespace(remote=remote)


class SimulatedEngine(Engine):
    def trainable(self) -> type:
        return Simulated

    def sizes(self, experiment: Experiment, import_paths: tuple[Path, ...]) -> Any:
        return SimpleNamespace(parameters=1000, target_parameters=10_000, compression_ratio=0.1)

    def prepare(self, experiment: Experiment, given: SweepOptions) -> None: ...


def measured(trials: int, sampler: str, seconds: float, folder: Path) -> dict[str, Any]:
    """The driver's cost of a sweep of this many trials, or of as many as it trains in this time."""
    asks: list[float] = []
    ask: Callable[..., Any] = SweepStudy.ask

    def timed(self: SweepStudy, *args: Any, **options: Any) -> Any:
        begin = time.thread_time()
        suggestion = ask(self, *args, **options)
        asks.append(time.thread_time() - begin)
        return suggestion

    settings = [f"search.trials={trials}", f"search.sampler={sampler}", "search.confirm=false"]
    file = loads(TEXT + "pruner: {name: asha, reports_per_task: 1}\n", "scale.yaml", settings)
    options = SweepOptions(folder=folder / "scale", data_dir=folder, final="no", time_limit_s=seconds)
    small = {"annotate_remote_entities": lambda _, entities: [SimpleNamespace(remote=Actor) for _ in entities]}
    machine = Machine(float(CPUS), 0.0)
    began, cpu = time.perf_counter(), time.process_time()
    with (
        patch("hypercl.sweep.driver.this_machine", lambda *_: machine),
        patch("hypercl.sweep.driver._Session._drawn", lambda *_: []),
        patch.multiple(placement_group.PlacementGroupAcquiredResources, **small),
        patch.object(actor_manager.ray, "kill", lambda *_, **__: None),
        patch.object(SweepStudy, "ask", timed),
    ):
        result = sweep(file, options, SimulatedEngine())
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = (options.folder / "study.journal").stat().st_size
    begin = time.perf_counter()
    record = read_sweep(options.folder)
    return {
        "trials": record.trained,
        "sampler": sampler,
        "exit_code": int(result.exit_code),
        "seconds": round(wall, 1),
        "trials_a_minute": round(60 * record.trained / wall),
        "driver_cpu_share": round(cpu / wall, 2),
        "driver_cpu_ms_a_trial": round(1000 * cpu / record.trained),
        "ask_cpu_ms_first_200": round(1000 * sum(asks[:200]) / len(asks[:200]), 1),
        "ask_cpu_ms_last_200": round(1000 * sum(asks[-200:]) / len(asks[-200:]), 1),
        "ask_share_of_cpu": round(sum(asks) / cpu, 2),
        "journal_mib": round(size / 2**20, 1),
        "journal_kib_a_trial": round(size / 1024 / record.trained, 1),
        "journal_load_seconds": round(time.perf_counter() - begin, 2),
        "driver_peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """A line of JSON."""
    trials, sampler, seconds = (*sys.argv[1:], *("2000", "tpe", "540")[len(sys.argv) - 1 :])
    with TemporaryDirectory() as folder:
        print(json.dumps(measured(int(trials), sampler, float(seconds), Path(folder))))


if __name__ == "__main__":
    main()
