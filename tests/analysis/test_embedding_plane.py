import numpy as np
import pandas as pd
import torch

from hypercl.analysis import accuracy_over_plane, plane_figure, plane_of


class Sensitive:
    """Predicts class 1 wherever the first number of the embedding is positive."""

    def logits_at(self, embeddings: torch.Tensor, inputs: torch.Tensor, task: int):
        for embedding in embeddings:
            yield torch.stack([torch.zeros(len(inputs)), embedding[0].expand(len(inputs))], dim=1)


def test_the_plane_of_two_dimensional_embeddings_is_their_own() -> None:
    embeddings = np.array([[1.0, 2.0], [-3.0, 4.0], [0.0, 0.0]])
    plane = plane_of(embeddings)
    assert plane is not None
    assert plane.explained == 1
    np.testing.assert_array_equal(plane.coordinates(embeddings), embeddings)
    assert plane_of(embeddings[:1]) is not None


def test_the_plane_of_larger_ones_holds_the_most_variance() -> None:
    draw = np.random.default_rng(0)
    axes = np.linalg.qr(draw.normal(size=(6, 3)))[0].T
    embeddings = draw.normal(size=(40, 3)) * [3.0, 2.0, 0.1] @ axes + 5
    plane = plane_of(embeddings)
    assert plane is not None
    assert 0.99 < plane.explained < 1
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    back = plane.origin + plane.coordinates(embeddings) @ plane.axes
    assert np.abs(back - embeddings).max() < 0.5


def test_single_numbers_and_a_single_task_span_no_plane() -> None:
    assert plane_of(np.array([[1.0], [2.0]])) is None
    assert plane_of(np.ones((1, 5))) is None


def test_the_grid_covers_all_embeddings_and_accuracy_is_that_of_its_points() -> None:
    embeddings = np.array([[-1.0, 0.0], [1.0, 0.5]])
    plane = plane_of(embeddings)
    assert plane is not None
    x, y = plane.points(embeddings, 5)
    assert x.min() < -1 < 1 < x.max()
    assert y.min() < 0 < 0.5 < y.max()
    data = [(torch.zeros(4, 1), torch.tensor([1, 1, 1, 0])), (torch.zeros(2, 1), torch.tensor([0, 0]))]
    frame = pd.DataFrame(accuracy_over_plane(Sensitive(), plane, x, y, data))  # pyright: ignore[reportArgumentType]
    assert len(frame) == 2 * 25
    assert set(frame["accuracy"][(frame["task"] == 1) & (frame["x"] > 0)]) == {0.75}
    assert set(frame["accuracy"][(frame["task"] == 2) & (frame["x"] > 0)]) == {0.0}
    figure = plane_figure({"after task 2": frame}, {"after task 2": embeddings}, ("one", "two"))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["task 1", "task 2"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2"]
