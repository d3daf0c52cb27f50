"""`hypercl predict RUN FILES ...`: the classes of image files, or a regression's predictions for numbers, as CSV."""

import argparse
import csv
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from hypercl.cli.paths import paths_beside
from hypercl.config import UserError
from hypercl.tasks import form_of, inputs_of, open_stream, read_files
from hypercl.training import TrainedModel

AT_ONCE = 256
COLUMNS = ("file", "class", "probability", "task")


def predict_command(args: argparse.Namespace) -> int:
    """Prints a row an image: its class (by name where the stream's data is at hand), the probability among the classes
    of its task, and the task, given or inferred. Of a regression a row an input, which is a row of a CSV file.

    Raises:
        UserError: there is no trained run, no image, a file that cannot be read, or the task is needed and not given.
    """
    folder = run_of(args.results.resolve())
    model = TrainedModel(folder, None, args.device or "cpu", paths_beside(folder / "config.yaml"))
    config, task = model.experiment.tasks, None if args.task is None else args.task - 1
    if task is not None and not 0 <= task < model.learned:
        raise UserError(f"--task: {args.task} is not learned; this run has learned tasks 1 to {model.learned}")
    if task is None and model.shape.scenario == "task":
        raise UserError("tasks.scenario is task: the task of the inputs must be known\n    fix:     --task 1")
    if model.shape.regression:
        _predict_numbers(model, args.files, task)
        return 0
    form, files = form_of(config), list(_files(args.files))
    names = _names(model, args)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(COLUMNS)
    for part in (files[start : start + AT_ONCE] for start in range(0, len(files), AT_ONCE)):
        inputs = inputs_of(config, task or 0)(read_files(part, form))
        classes, probabilities, tasks = model.decide(inputs, task)
        assert probabilities is not None  # of classes
        each = zip(part, classes.tolist(), probabilities.tolist(), _each(tasks, len(part)), strict=True)
        for file, found, probability, one in each:
            out.writerow([file, names.get((one, found), found), f"{probability:.4f}", _counted(one)])
    return 0


def _predict_numbers(model: TrainedModel, files: list[Path], task: int | None) -> None:
    """Prints the predictions of a regression for the rows of CSV files."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["file", "row", "prediction", "task"])
    for file in files:
        inputs = _inputs(file, model.shape.input_shape)
        found, _, tasks = model.decide(inputs, task)
        each = zip(found.tolist(), _each(tasks, len(inputs)), strict=True)
        for number, (values, one) in enumerate(each, start=1):
            out.writerow([file, number, " ".join(f"{value:.6g}" for value in values), _counted(one)])


def _each(tasks: Tensor | None, inputs: int) -> list[int | None]:
    """The task of each input, where there is one."""
    return [None] * inputs if tasks is None else tasks.tolist()


def _counted(task: int | None) -> str:
    """A task as people count, from 1."""
    return "" if task is None else str(task + 1)


def _inputs(file: Path, shape: tuple[int, ...]) -> Tensor:
    """The rows of a CSV file as inputs, (rows, *shape); a first row of names is left out."""
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    width, found = prod(shape), list[list[float]]()
    with file.open(encoding="utf-8", newline="") as text:
        rows = [row for row in csv.reader(text) if row]
    for number, row in enumerate(rows, start=1):
        try:
            values = [float(cell) for cell in row]
        except ValueError:
            if number == 1:
                continue
            raise UserError(f"{file}: row {number} is {','.join(row)}; allowed: {width} numbers") from None
        if len(values) != width:
            raise UserError(f"{file}: row {number} has {len(values)} numbers, and an input of this run has {width}")
        found.append(values)
    if not found:
        raise UserError(f"{file} holds no row of numbers")
    return torch.tensor(found).reshape(-1, *shape)


def run_of(folder: Path) -> Path:
    """The folder of a run: this one, that of a sweep's best trial, or the one run that `hypercl train` wrote into it.

    Raises:
        UserError: no trial is complete yet, or several runs are in it.
    """
    if not (folder / "sweep.yaml").is_file():
        runs = [] if (folder / "config.yaml").is_file() else sorted(folder.glob("runs/*/config.yaml"))
        if len(runs) > 1:
            allowed = ", ".join(str(run.parent) for run in runs)
            raise UserError(f"{folder} holds {len(runs)} runs\n    allowed: {allowed}")
        return runs[0].parent if runs else folder
    from hypercl.sweep.study import read_sweep

    record = read_sweep(folder)
    best = record.best()
    if best is None:
        raise UserError(f"{folder}: no trial is complete yet")
    return record.trial_folder(best.number)


def _files(given: list[Path]) -> Iterator[Path]:
    """The files, and of a folder those that are images by their suffix."""
    known = set(Image.registered_extensions())
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in known and file.is_file())
            if not inside:
                raise UserError(f"{path} holds no image")
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise UserError(f"there is no file {path}")


def _names(model: TrainedModel, args: argparse.Namespace) -> dict[tuple[int | None, int], str]:
    """(Task, class) -> name, where the stream can be opened without fetching anything."""
    try:
        stream = open_stream(model.experiment.tasks, args.data_dir, True, model.import_paths)
        each = [stream.task(index) for index in range(model.learned)]
    except (UserError, OSError):
        return {}
    named: dict[tuple[int | None, int], str] = {}
    for task in each:
        for place, name in enumerate(task.classes):
            if model.shape.scenario == "class":  # where a class counts over the stream, and says the task
                named[None, task.head.start + place] = named[task.index, task.head.start + place] = name
            else:
                named[task.index, place] = name
    return named
