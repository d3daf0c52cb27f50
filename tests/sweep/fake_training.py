"""A training of tenths of a second for the tests of sweeps: five tasks, a checkpoint after each report."""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypercl.config import Experiment
from hypercl.seeds import derive
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.workers.engine import Engine
from hypercl.sweep.workers.trainable import RunTrainable
from hypercl.training import RunSummary, read_matrices
from hypercl.training.device import choose_device
from hypercl.training.progress import Diverged, Finished, Progress, Report, Started, Tick

if "FAKE_CLOCK" in os.environ:
    import fake_clock  # noqa: F401 - replaces the clock

SECONDS = "FAKE_SECONDS_A_REPORT"
FAULT = "FAKE_FAULT"
"""What goes wrong in which trial; `in:<folder>,<folder>:<kind>` in runs of the final step, by their folders' names."""


TEXT = """
experiment:
  tasks: {name: split_digits}
  hypernet: {name: chunked, task_embedding: 8}
  method: {name: hnet, beta: 0.01}
space:
  method.beta: {log_uniform: [1e-4, 10]}
  hypernet.task_embedding: {choice: [4, 8, 16]}
constraints: {compression_ratio: {max: 1.0}}
pruner: {name: asha}
search: {trials: 6, startup_trials: 3, confirm: false}
"""


class FakeSizes:
    def __init__(self, experiment: Experiment) -> None:
        self.parameters = experiment.hypernet.task_embedding * 1000
        self.target_parameters = 10_000
        self.compression_ratio = self.parameters / self.target_parameters


def accuracy(experiment: Experiment, task: int) -> float:
    """Best at beta = 0.1."""
    return 0.9 - 0.1 * abs(math.log10(experiment.method.beta) + 1) - 0.01 * task


def fake_run(experiment: Experiment, folder: Path, reports_per_task: int, test: bool = False) -> Iterator[Progress]:
    """Every start is written to `starts.txt`; every report's step, once it is told, to `steps.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    number, kind = int(folder.name.rpartition("-")[2]), os.environ.get(FAULT, "")
    with (folder / "starts.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    starts = len((folder / "starts.txt").read_text().split())
    checkpoint = folder / "checkpoint.json"
    done = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    tasks = experiment.tasks.num_tasks
    history = tuple(Report(step, value, 0, step, (value,), False, 0.0) for step, value in done)
    yield Started(experiment, folder, tasks, (10,) * tasks, 1, 1, "cpu", 1, history)
    for step in range(len(done) + 1, tasks * reports_per_task + 1):
        time.sleep(float(os.environ.get(SECONDS, "0.01")))
        _fault(_kind_here(kind, folder), number, step, starts)
        while kind == "wait" and not (folder.parent / "go").exists():
            time.sleep(0.05)
        task = (step - 1) // reports_per_task
        accuracies = tuple(accuracy(experiment, each) for each in range(task + 1))
        value = sum(accuracies) / tasks
        done.append((step, value))
        checkpoint.with_suffix(".tmp").write_text(json.dumps(done))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        with (folder / "steps.txt").open("a") as file:
            file.write(f"{step}\n")
        rows = ({"iteration": step, "task": task + 1, "progress": value},)
        yield Report(step, value, task, step, accuracies, step % reports_per_task == 0, step * 0.01, rows)
        yield Tick(task, step, step)
    (folder / "accuracy_matrix.csv").write_text("after,task 1\nbefore,0.5\ntask 1,0.9\n")
    final = sum(accuracy(experiment, each) for each in range(tasks)) / tasks
    if kind == "missing":
        yield Finished(RunSummary.of({"validation": {"forgetting": 0.0}}))
        return
    if kind == "nan":
        final = math.nan
    summary = _summary(experiment, final, test)
    summary.write(folder)
    yield Finished(summary, read_matrices(folder))


def _summary(experiment: Experiment, final: float, test: bool) -> RunSummary:
    """As of a run: of each replica, and their means; a seed moves an accuracy by up to 0.01."""
    training = experiment.training
    names = ("validation", "test") if test else ("validation",)
    unknown = dict.fromkeys(("forward_transfer", "task_inference_accuracy"))
    replicas = []
    for seed in range(training.seed, training.seed + training.replicas):
        accuracy = final + 0.01 * (derive(seed) % 100) / 100 * test
        own = {"final_accuracy": accuracy, "during_accuracy": accuracy, "forgetting": 0.01, "backward_transfer": -0.01}
        replicas.append({"seed": seed, "diverged": None, **{name: {**own, **unknown} for name in names}})
    several = {"replicas": replicas, "diverged_replicas": 0} if len(replicas) > 1 else {}
    means = {name: replicas[0][name] for name in names}
    cost = {"compression_ratio": 0.5, "seed": training.seed, "seconds": 1.0, "hardware": "fake"}
    return RunSummary.of({**means, **cost, **several})


def _kind_here(kind: str, folder: Path) -> str:
    if not kind.startswith("in:"):
        return kind
    _, names, there = kind.split(":")
    return there if folder.name in names.split(",") else ""


def _fault(kind: str, number: int, step: int, starts: int) -> None:
    if kind == "raise":
        raise RuntimeError(f"broken on purpose in trial {number}")
    if kind == "raise_first" and number == 1:
        raise RuntimeError(f"broken on purpose in trial {number}")
    if kind == "diverge" and number % 2 and step == 9:
        raise Diverged(step, math.nan, 2)
    if kind == "memory" and number == 1:
        raise MemoryError("cannot allocate")
    if kind == "memory_twice" and number == 1 and starts <= 2:
        raise MemoryError("cannot allocate")
    if (kind == "hog" or (kind == "hog_once" and starts == 1)) and number == 1 and step == 7:
        held = []
        while True:  # until Ray's memory monitor kills the process
            held.append(bytearray(os.urandom(1) * 50_000_000))
            time.sleep(0.01)
    if kind == "hang" and number == 1 and step == 7:
        threading.Event().wait()
    if kind == "freeze" and step == 7:
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "no_device" and number == 1:
        choose_device("cuda:7")
    if kind == "die" and step == 10 and starts == 1:
        os.kill(os.getpid(), 9)
    if kind == "die_always" and number == 1:
        os.kill(os.getpid(), 9)


class FakeTrainable(RunTrainable):
    def start(self) -> Iterator[Progress]:
        experiment = Experiment.model_validate(self._job.experiment)
        own = self._job
        return fake_run(experiment, own.folder, own.reports_per_task, own.data == "report")


class FakeEngine(Engine):
    def trainable(self) -> type:
        return FakeTrainable

    def sizes(self, experiment: Experiment, import_paths: tuple[Path, ...]) -> Any:
        return FakeSizes(experiment)

    def prepare(self, experiment: Experiment, given: SweepOptions) -> None:
        pass


def steps_of(trainable: RunTrainable) -> Iterator[dict[str, Any]]:
    """The results of a trial, to its end."""
    while True:
        result = trainable.step()
        yield result
        if result.get("done"):
            return
