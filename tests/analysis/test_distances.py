from dataclasses import dataclass

import pandas as pd
import pytest
import torch

from hypercl.analysis import distances_figure, drift, pairwise


@dataclass
class Known:
    """A model by the weights of each of its tasks."""

    vectors: list[list[float]]

    def weights(self, task: int) -> dict[str, torch.Tensor]:
        return {"layer": torch.tensor(self.vectors[task])}


def test_drift_is_counted_from_when_each_task_was_learned() -> None:
    frame = drift([Known([[3.0, 4.0]]), Known([[3.0, 7.0], [1.0, 0.0]])])  # pyright: ignore[reportArgumentType]
    expected = [(1, 1, 0.0, 0.0), (1, 2, 3.0, 0.6), (2, 2, 0.0, 0.0)]
    pd.testing.assert_frame_equal(
        frame, pd.DataFrame(expected, columns=["task", "after", "drift", "relative"]), check_exact=False
    )


def test_distances_are_symmetric_and_named_by_task() -> None:
    table = pairwise([torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])])
    assert table.loc["task 1", "task 2"] == table.loc["task 2", "task 1"] == pytest.approx(5)
    assert table.loc["task 1", "task 1"] == 0


def test_the_picture_shows_what_is_known() -> None:
    table = pairwise([torch.zeros(2), torch.ones(2)])
    moved = drift([Known([[1.0]])])  # pyright: ignore[reportArgumentType]
    titles = [axes.get_title() for axes in distances_figure(moved, table, table).axes]
    assert titles[:3] == ["drift of weights / norm", "distance of weights", "distance of embeddings"]
    assert distances_figure(None, table, None).axes[0].get_title() == "distance of weights"
