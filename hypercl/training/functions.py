"""What a regression of one number has learned, as points of its functions."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hypercl.files import write_text
from hypercl.methods import State, last_decision
from hypercl.tasks import Task
from hypercl.tensors import numbers
from hypercl.training.bundle import Bundle

COLUMNS = ("task", "x", "target", "prediction")


def write_functions(folder: Path, bundle: Bundle, state: State, met: Sequence[Task], scenario: str) -> None:
    """Writes `functions/after-task-N.csv`: the first replica's predictions on the validation data of the tasks met, the
    task given in scenario task only.

    Nothing where inputs or outputs are more than one number.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    predictors = bundle.predictors(state, [task.index for task in met])
    if scenario != "task":
        predictors = (partial(_decided, bundle, state, len(met)) for _ in met)
    for task, predict in zip(met, predictors, strict=True):
        images, targets = task.validation[torch.arange(len(task.validation), device=task.validation.rows.device)]
        inputs = task.inputs(images)
        if inputs[0].numel() > 1 or targets.shape[1] > 1:
            return
        columns = [numbers(values.flatten()) for values in (inputs, targets, predict(inputs)[0])]
        for x, target, prediction in sorted(zip(*columns, strict=True)):
            table.writerow([task.index + 1, f"{x:.6g}", f"{target:.6g}", f"{prediction:.6g}"])
    write_text(folder / "functions" / f"after-task-{len(met)}.csv", text.getvalue())


def _decided(bundle: Bundle, state: State, met: int, inputs: Tensor) -> Tensor:
    """Predictions without the task's identity: (replicas, samples, outputs)."""
    return last_decision(bundle.task_inferences(state, met), inputs).outputs
