import math

import numpy as np
import pytest

from hypercl.analysis import matrix_figure, write_matrix_png
from hypercl.config import UserError
from hypercl.training import AccuracyMatrix
from hypercl.training.folder import RunFolder, RunFolders


def stream_of(tasks: int) -> list[list[float]]:
    learned = [[0.9 + 0.001 * j if j <= i else math.nan for j in range(tasks)] for i in range(tasks)]
    return [[0.5] * tasks, *learned]


@pytest.fixture
def folder(tmp_path):
    """A run's folder as training writes it."""
    RunFolder(RunFolders(tmp_path, tmp_path)).write_matrices([stream_of(3)])
    return tmp_path


def numbers(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_matrix_reads_back_as_training_wrote_it(folder):
    matrix = AccuracyMatrix.read(folder / "accuracy_matrix.csv")
    assert matrix.after == ("before", "task 1", "task 2", "task 3")
    assert matrix.tasks == ("task 1", "task 2", "task 3")
    np.testing.assert_allclose(matrix.cells, stream_of(3))


def test_every_cell_that_was_evaluated_shows_its_percentage(folder):
    figure = matrix_figure(AccuracyMatrix.read(folder / "accuracy_matrix.csv"), "a title")
    assert numbers(figure) == ["50.0"] * 3 + ["90.0", "90.0", "90.1", "90.0", "90.1", "90.2"]
    axes = figure.axes[0]
    assert axes.get_title() == "a title"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["before", "1", "2", "3"]


@pytest.mark.parametrize(("tasks", "shown"), [(20, True), (21, False), (100, False)])
def test_more_than_twenty_tasks_show_no_numbers(tmp_path, tasks, shown):
    RunFolder(RunFolders(tmp_path, tmp_path)).write_matrices([stream_of(tasks)])
    figure = matrix_figure(AccuracyMatrix.read(tmp_path / "accuracy_matrix.csv"), "")
    assert bool(numbers(figure)) == shown
    assert len(figure.axes[0].get_xticks()) <= 20


def test_one_task_and_perfect_accuracy_can_be_drawn(tmp_path):
    RunFolder(RunFolders(tmp_path, tmp_path)).write_matrices([[[0.1], [1.0]]])
    assert numbers(matrix_figure(AccuracyMatrix.read(tmp_path / "accuracy_matrix.csv"), "")) == ["10.0", "100.0"]


def test_pictures_stand_beside_their_files(folder):
    assert [path.name for path in write_matrix_png(folder)] == ["accuracy_matrix.png"]
    RunFolder(RunFolders(folder, folder)).write_matrices([stream_of(3)], "accuracy_matrix_test.csv")
    pictures = write_matrix_png(folder)
    assert [path.name for path in pictures] == ["accuracy_matrix.png", "accuracy_matrix_test.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_a_folder_without_matrix_is_named(tmp_path):
    with pytest.raises(UserError, match=r"holds no accuracy_matrix\.csv"):
        write_matrix_png(tmp_path)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "after,task 1\nbefore,much\n"])
def test_a_damaged_matrix_is_named(tmp_path, content):
    (tmp_path / "accuracy_matrix.csv").write_text(content)
    with pytest.raises(UserError, match=r"accuracy_matrix\.csv holds no accuracy matrix"):
        AccuracyMatrix.read(tmp_path / "accuracy_matrix.csv")


def test_drawing_leaves_pyplot_alone():
    import subprocess
    import sys

    program = (
        "import sys; from hypercl.analysis import matrix_figure; from hypercl.training import AccuracyMatrix\n"
        "matrix_figure(AccuracyMatrix.of([[0.5], [0.9]]), '')\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
