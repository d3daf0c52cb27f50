"""A training of about ten seconds that keeps its slot, but not its CPU: five tasks, a report every half second."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypercl.config import Experiment
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.workers.engine import Engine
from hypercl.sweep.workers.trainable import RunTrainable
from hypercl.training import RunSummary
from hypercl.training.progress import Finished, Progress, Report, Started, Tick

SECONDS = 10.0
TIMES = "times.json"
TEXT = """
experiment:
  tasks: {name: split_digits}
  hypernet: {name: chunked, task_embedding: 8}
space:
  method.beta: {log_uniform: [1e-4, 10]}
search: {sampler: random, trials: 40, include_base: false}
pruner: {name: none}
"""


class IdleSizes:
    parameters = 1000
    target_parameters = 10_000
    compression_ratio = 0.1


def idle_run(experiment: Experiment, folder: Path, reports_per_task: int) -> Iterator[Progress]:
    """Sleeps between its reports; at last writes when its first step began and when it ended to `times.json`."""
    began = time.time()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = experiment.tasks.num_tasks
    steps = tasks * reports_per_task
    yield Started(experiment, folder, tasks, (reports_per_task,) * tasks, 1, 1, "cpu", 1, ())
    for step in range(1, steps + 1):
        time.sleep(max(0.0, began + SECONDS * step / steps - time.time()))
        task = (step - 1) // reports_per_task
        accuracies = (0.9,) * (task + 1)
        value = sum(accuracies) / tasks
        rows = ({"iteration": step, "task": task + 1, "progress": value},)
        learned = step % reports_per_task == 0
        yield Report(step, value, task, step, accuracies, learned, time.time() - began, rows)
        yield Tick(task, step, step)
    (folder / "accuracy_matrix.csv").write_text("after,task 1\nbefore,0.5\ntask 1,0.9\n")
    (folder / TIMES).write_text(json.dumps({"began": began, "ended": time.time()}))
    content = {"validation": {"final_accuracy": 0.9, "forgetting": 0.01}, "compression_ratio": 0.1}
    yield Finished(RunSummary.of(content))


class IdleTrainable(RunTrainable):
    def start(self) -> Iterator[Progress]:
        experiment = Experiment.model_validate(self._job.experiment)
        return idle_run(experiment, self._job.folder, self._job.reports_per_task)


class IdleEngine(Engine):
    def trainable(self) -> type:
        return IdleTrainable

    def sizes(self, experiment: Experiment, import_paths: tuple[Path, ...]) -> Any:
        return IdleSizes()

    def prepare(self, experiment: Experiment, given: SweepOptions) -> None:
        pass
