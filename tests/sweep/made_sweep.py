"""Folders of sweeps that were never trained, for what only reads them."""

import math
import random
from pathlib import Path

from hypercl.config import SweepFile, assign, loads
from hypercl.config.reading.yaml_text import dump
from hypercl.files import write_text
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.space import settings_of
from hypercl.sweep.study.study import SweepStudy

TEXT = """
experiment:
  tasks: {name: split_digits}
  method: {name: hnet, beta: 0.01}
space:
  method.beta: {log_uniform: [1e-4, 10]}
  hypernet.chunk_size: {int_log: [500, 60000]}
  hypernet.hidden: {choice: [[10, 10], [25, 25], [200, 250, 350], []]}
  training.optimizer.name: {choice: [adam, sgd]}
  training.optimizer.momentum: {uniform: [0, 0.95], when: {training.optimizer.name: sgd}}
  training.clip_norm: {choice: [null, 1, 100]}
  method.lookahead: {choice: [true, false]}
search: {sampler: random, trials: 40, include_base: false}
"""
SMALL = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {log_uniform: [1e-4, 10]}}
search: {sampler: random, trials: 40, include_base: false}
"""
ERROR = "Traceback (most recent call last):\n  ...\nRuntimeError: broken on purpose\n"


def made_sweep(folder: Path, complete: int, pruned: int = 0, running: int = 0, text: str = TEXT) -> SweepFile:
    """Writes a folder as a sweep leaves it; the last ended trial failed where any was pruned. Best at beta = 0.1."""
    file = loads(text, "made.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    write_sweep(folder, file, folder.name)
    study = SweepStudy(folder / "study.journal", folder.name, file, threads=1)
    rng = random.Random(1)
    kinds = ["complete"] * complete + ["pruned"] * pruned
    rng.shuffle(kinds)
    if pruned:
        kinds.append("failed")
    for kind in [*kinds, *["running"] * running]:
        suggestion = study.ask()
        assert suggestion is not None
        experiment = assign(file.experiment, settings_of(file.experiment, file.space, suggestion.params))
        quality = 0.97 - 0.03 * abs(math.log10(experiment.method.beta) + 1) + rng.gauss(0, 0.005)
        _trial(folder, study, suggestion.number, kind, quality)
        own = folder / "trials" / str(suggestion.number)
        write_text(own / "config.yaml", dump({"experiment": experiment.model_dump(mode="json", exclude_none=True)}))
    return file


def _trial(folder: Path, study: SweepStudy, number: int, kind: str, quality: float) -> None:
    last = {"complete": 20, "pruned": 8, "failed": 3, "running": 6}[kind]
    for step in range(1, last + 1):
        study.report(number, step, quality * step / 20)
    if kind == "running":
        return
    own = folder / "trials" / str(number)
    outcome = Outcome("pruned", "stopped at step 8 (2 tasks learned)", seconds=2.0)
    if kind == "complete":
        outcome = Outcome("complete", value=quality, metrics={"validation/forgetting": 0.01}, seconds=5.0)
        rows = ["after,task 1,task 2,task 3,task 4,task 5", "before,0.5,0.5,0.5,0.5,0.5"]
        for task in range(5):
            cells = [f"{quality - 0.01 * (task - other):.4f}" if other <= task else "" for other in range(5)]
            rows.append(f"task {task + 1}," + ",".join(cells))
        write_text(own / "accuracy_matrix.csv", "\n".join(rows) + "\n")
    if kind == "failed":
        outcome = Outcome("failed", ERROR)
        write_text(own / "error.txt", ERROR)
    study.decide(number, outcome)
    study.settle(number)
