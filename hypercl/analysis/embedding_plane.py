"""Accuracy over the plane of task embeddings (figure 4 of von Oswald et al., 2020)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from hypercl.analysis.style import ORANGE, empty_figure

if TYPE_CHECKING:
    from hypercl.training import TrainedModel

Array = NDArray[np.float64]
Batch = tuple[torch.Tensor, torch.Tensor]
"""Inputs and labels."""
MARGIN = 0.5
"""How far the plane reaches beyond the embeddings on each side, as a share of their spread."""


@dataclass(frozen=True)
class Plane:
    """A plane in the space of embeddings: origin + x * axes[0] + y * axes[1]."""

    origin: Array
    """(dim,)."""
    axes: Array
    """Orthonormal: (2, dim)."""
    explained: float
    """Share of the embeddings' variance that lies within; 1 of two-dimensional ones."""

    def coordinates(self, embeddings: Array) -> Array:
        """Of embeddings (n, dim), projected onto the plane: (n, 2)."""
        return (embeddings - self.origin) @ self.axes.T

    def points(self, embeddings: Array, count: int) -> tuple[Array, Array]:
        """The `count` values of each coordinate that cover some embeddings: (count,) twice."""
        places = self.coordinates(embeddings)
        centre, reach = (places.max(0) + places.min(0)) / 2, np.ptp(places, axis=0).max() * (0.5 + MARGIN) or 1.0
        x, y = (np.linspace(middle - reach, middle + reach, count) for middle in centre)
        return x, y


def plane_of(embeddings: Array) -> Plane | None:
    """The plane of two-dimensional embeddings (n, 2) itself; of larger ones that of their first two principal
    components; None where there are too few, or they are single numbers."""
    if embeddings.shape[1] == 2:
        return Plane(np.zeros(2), np.eye(2), 1.0)
    if min(embeddings.shape) < 2:
        return None
    origin = embeddings.mean(0)
    _, spread, axes = np.linalg.svd(embeddings - origin, full_matrices=False)
    return Plane(origin, axes[:2], float((spread[:2] ** 2).sum() / ((spread**2).sum() or 1.0)))


def embeddings_of(model: "TrainedModel") -> Array:
    """Of all tasks learned: (tasks, dim)."""
    return np.array([model.embedding(task).tolist() for task in range(model.learned)])


def accuracy_over_plane(
    model: "TrainedModel", plane: Plane, x: Array, y: Array, data: Sequence[Batch]
) -> Iterator[dict[str, float]]:
    """How well each task is predicted with the weights generated from each point of a plane.

    Args:
        model: with a hypernetwork.
        plane: of its embeddings.
        x, y: values of the coordinates.
        data: inputs and labels of each task learned.

    Yields:
        `task` (from 1), `x`, `y`, `accuracy` (a fraction; of a regression R^2, at least 0).
    """
    places = np.array([(one, other) for other in y for one in x])
    points = torch.as_tensor(plane.origin + places @ plane.axes, dtype=torch.float32)
    for task, (inputs, labels) in enumerate(data):
        for (one, other), outputs in zip(places, model.logits_at(points, inputs, task), strict=True):
            yield {"task": task + 1, "x": one, "y": other, "accuracy": _score(outputs, labels)}


def _score(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    if not labels.is_floating_point():
        return float((outputs.argmax(-1) == labels).float().mean())
    return max(0.0, 1 - float((outputs - labels).square().mean()) / float(labels.var(correction=0)))


def plane_figure(planes: Mapping[str, pd.DataFrame], places: Mapping[str, Array], labels: tuple[str, str]) -> Figure:
    """A row for each point in time, a column for each task: accuracy as colour, each embedding as its task's number.

    Args:
        planes: point in time -> as from `accuracy_over_plane`.
        places: point in time -> coordinates of the embeddings, (tasks, 2).
        labels: of the axes.
    """
    tasks = max(len(of) for of in places.values())
    figure = empty_figure(1.55 * tasks + 1.2, 1.5 * len(planes) + 0.7)
    panels = figure.subplots(len(planes), tasks, sharex=True, sharey=True, squeeze=False)
    titled = 0
    for row, (name, frame) in zip(panels, planes.items(), strict=True):
        for axes in row[len(places[name]) :]:
            axes.set_visible(False)
        for task, axes in enumerate(row[: len(places[name])]):
            cells = frame[frame["task"] == task + 1].pivot(index="y", columns="x", values="accuracy")
            x, y = cells.columns.to_numpy(), cells.index.to_numpy()
            right, top = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
            edges = (x[0] - right, x[-1] + right, y[0] - top, y[-1] + top)
            axes.imshow(cells, origin="lower", extent=edges, cmap="cividis", vmin=0, vmax=1, aspect="auto")
            for other, (left, up) in enumerate(places[name]):
                colour = ORANGE if other == task else "white"
                text = axes.text(left, up, str(other + 1), ha="center", va="center", fontsize=8, color=colour)
                text.set_path_effects([withStroke(linewidth=2, foreground="black")])
            axes.tick_params(labelsize=7)
            if task == titled:
                axes.set_title(f"task {task + 1}", fontsize=9)
                titled += 1
        row[0].set_ylabel(f"{name}\n{labels[1]}", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel(labels[0], fontsize=8)
    shades = ScalarMappable(Normalize(0, 1), "cividis")
    figure.colorbar(shades, ax=panels, label="accuracy", shrink=0.8 if len(planes) == 1 else 0.5)
    return figure
