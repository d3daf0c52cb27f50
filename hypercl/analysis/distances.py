"""How far each task's weights moved since it was learned, and how far tasks are from one another."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hypercl.analysis.style import MARKERS, SERIES, empty_figure

if TYPE_CHECKING:
    from hypercl.training import TrainedModel

Array = NDArray[np.float64]


def weights_of(model: "TrainedModel", task: int) -> torch.Tensor:
    """The target's weights for a task as one vector: (num_weights,)."""
    return torch.cat([value.flatten() for value in model.weights(task).values()])


def drift(models: Sequence["TrainedModel"]) -> pd.DataFrame:
    """|W_t(after a later task) - W_t(when it was learned)|, L2, a row for each task and later point in time.

    Args:
        models: a run as it was after each of its tasks, in order.

    Returns:
        `task`, `after` (from 1), `drift`, `relative`: over |W_t| when it was learned.
    """
    rows: list[dict[str, float]] = []
    learned: list[torch.Tensor] = []
    for after, model in enumerate(models):
        learned.append(weights_of(model, after))
        for task, begun in enumerate(learned):
            moved = float((weights_of(model, task) - begun).norm())
            rows.append({"task": task + 1, "after": after + 1, "drift": moved, "relative": moved / float(begun.norm())})
    return pd.DataFrame(rows)


def pairwise(vectors: Sequence[torch.Tensor]) -> pd.DataFrame:
    """L2 distances between vectors of equal length: a square table by task."""
    names = [f"task {number}" for number in range(1, len(vectors) + 1)]
    cells = [float((one - other).norm()) for one, other in product(vectors, vectors)]
    return pd.DataFrame(np.reshape(cells, (len(names), len(names))), index=names, columns=names)


def distances_figure(moved: pd.DataFrame | None, weights: pd.DataFrame, embeddings: pd.DataFrame | None) -> Figure:
    """Drift over the stream, and the distances between tasks of weights and of embeddings, as far as they are known."""
    tables = {"distance of weights": weights} | ({} if embeddings is None else {"distance of embeddings": embeddings})
    count = len(tables) + (moved is not None)
    figure = empty_figure(3.3 * count, 2.9)
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    if moved is not None:
        axes = panels.pop(0)
        for place, (task, of) in enumerate(moved.groupby("task")):
            style = {"color": SERIES[place % len(SERIES)], "marker": MARKERS[place % len(MARKERS)], "markersize": 4}
            axes.plot(of["after"], of["relative"], label=f"task {task}", **style)
        axes.set(xlabel="after task", title="drift of weights / norm", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=7)
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        _heat(axes, table, title, figure)
    return figure


def _heat(axes: Axes, table: pd.DataFrame, title: str, figure: Figure) -> None:
    image = axes.imshow(table, cmap="cividis", vmin=0)
    numbers = [name.removeprefix("task ") for name in table.index]
    if len(numbers) <= 20:
        axes.set_xticks(range(len(numbers)), numbers)
        axes.set_yticks(range(len(numbers)), numbers)
    axes.set(title=title, xlabel="task", ylabel="task")
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
