"""What a run measures on the tasks it has met, and the files of what was measured."""

from collections.abc import Container, Generator, Mapping, Sequence
from dataclasses import replace
from math import nan

from hypercl.config.models import Stream
from hypercl.methods import State
from hypercl.tasks import Split, Task
from hypercl.training.accuracy_matrix import MATRIX_FILES, AccuracyMatrix
from hypercl.training.bundle import Bundle
from hypercl.training.evaluate import Evaluation, Measured, accuracies, accuracies_of_unknown
from hypercl.training.folder import RunFolder, picture_of_samples
from hypercl.training.functions import write_functions
from hypercl.training.progress import Row
from hypercl.training.replicas import rows, without
from hypercl.training.summary import Matrices


def held_out(tasks: Sequence[Task], limit: int | None) -> dict[int, Split]:
    """Validation data of tasks by their indices, at most `limit` samples each."""
    splits = {task.index: task.validation for task in tasks}
    return {index: split.first(limit, seed=0) for index, split in splits.items()} if limit else splits


def measuring(learner: Bundle, state: State, what: Evaluation, met: int) -> Generator[None, None, Measured]:
    """Each replica's accuracy; yields where the host has waited for the device.

    Args:
        learner: of all replicas.
        state: theirs.
        what: tasks and their data.
        met: number of tasks among which an unknown one is told.
    """
    if what.scenario == "task":
        return (yield from accuracies(learner, state, what))
    return (yield from accuracies_of_unknown(learner, state, what, met))


def of_those_left(measured: Measured, diverged: Container[int]) -> Measured:
    """With nan in the place of all that was measured of replicas that diverged."""

    def left(each: list[list[float]]) -> list[list[float]]:
        return without(each, diverged, [nan] * len(each[0])) if each else []

    inferred = None if measured.inferred is None else left(measured.inferred)
    mse = None if measured.mse is None else left(measured.mse)
    return replace(measured, accuracies=left(measured.accuracies), inferred=inferred, mse=mse)


def row_of_measured(found: Measured) -> Row:
    """What was measured of the tasks met, for metrics.jsonl: keys by the tasks' numbers."""
    by_task = _by_task("validation/task_", found.accuracies)
    if found.inferred:
        by_task["validation/task_inference"] = [sum(each) / len(each) for each in found.inferred]
    errors = _by_task("validation/mse_task_", found.mse or [])
    return rows(by_task, instead=0.0) | (rows(errors) if errors else {})


def _by_task(prefix: str, found: Sequence[Sequence[float]]) -> dict[str, Sequence[float]]:
    """Key of each task -> each replica's value."""
    return {f"{prefix}{number}": each for number, each in enumerate(zip(*found, strict=True), start=1)}


def extend(matrices: Sequence[list[list[list[float]]]], found: Measured, tasks: int) -> None:
    """A further row of each replica's matrices, nan for those of the tasks that were not measured.

    Args:
        matrices: of accuracies, of shares of tasks inferred rightly, of squared errors; each replica's, or empty.
        found: the rows.
        tasks: number of tasks.
    """
    for kind, measured in zip(matrices, (found.accuracies, found.inferred, found.mse), strict=True):
        for matrix, row in zip(kind, measured or [], strict=True):
            matrix.append([*row, *[nan] * (tasks - len(row))])


def write_measured(folder: RunFolder, measured: Mapping[str, Matrices]) -> dict[str, AccuracyMatrix]:
    """Writes the matrices of each data set; returns those of accuracies."""
    written: dict[str, AccuracyMatrix] = {}
    for data, matrices in measured.items():
        file = MATRIX_FILES[data]
        written[data] = folder.write_matrices(matrices.accuracies, file)
        if matrices.inferred:
            folder.write_matrices(matrices.inferred, file.replace("accuracy", "task_inference"))
        if matrices.mse:
            folder.write_matrices(matrices.mse, file.replace("accuracy", "mse"), instead=None)
    return written


def draw(folder: RunFolder, learner: Bundle, state: State, met: Sequence[Task], stream: Stream) -> None:
    """Writes pictures of what the first replica would replay, and the functions that a regression has learned."""
    picture_of_samples(folder.path / "samples" / f"after-task-{len(met)}.png", learner, state, met)
    if stream.regression:
        write_functions(folder.path, learner, state, met, stream.scenario)
