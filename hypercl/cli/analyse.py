"""`hypercl analyse RESULTS`: what a trained hypernetwork holds, as pictures and CSV files."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from hypercl.analysis import (
    accuracy_over_plane,
    distances_figure,
    drift,
    embeddings_of,
    pairwise,
    plane_figure,
    plane_of,
    weights_of,
    write_functions_png,
)
from hypercl.cli.paths import offline, paths_beside
from hypercl.cli.predict import run_of
from hypercl.formatting import shown
from hypercl.tasks import open_stream
from hypercl.training import TrainedModel

SAMPLES = 250
"""Validation samples of each task."""


def analyse_command(args: argparse.Namespace) -> int:
    """Analyses a run, or the best trial of a sweep, on validation data.

    Raises:
        UserError: there is no trained run, or its data is missing.
    """
    run = run_of(args.results.resolve())
    folder, console = args.to or run / "analysis", Console(soft_wrap=True, highlight=False, markup=False)
    model = TrainedModel(run, None, "cpu", paths_beside(run / "config.yaml"))
    folder.mkdir(parents=True, exist_ok=True)
    before = list(model.history())
    if not before:
        console.print(
            "what was known after each task was not kept (trials, and runs with --test): no drift, no history"
        )
    files = list(_distances(model, before, folder))
    files += _plane(model, before, folder, args, console)
    if (picture := write_functions_png(run)) is not None:
        files.append(picture)
    for file in files:
        console.print(shown(file))
    return 0


def _distances(model: TrainedModel, before: list[TrainedModel], folder: Path) -> Iterator[Path]:
    """Drift, and distances between tasks."""
    tables: dict[str, pd.DataFrame] = {}
    if before:
        tables["drift"] = drift(before)
    tables["weight_distances"] = pairwise([weights_of(model, task) for task in range(model.learned)])
    if model.generated:
        tables["embedding_distances"] = pairwise([model.embedding(task) for task in range(model.learned)])
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=name != "drift", float_format="%.6g")
        yield folder / f"{name}.csv"
    figure = distances_figure(tables.get("drift"), tables["weight_distances"], tables.get("embedding_distances"))
    figure.savefig(folder / "distances.png")
    yield folder / "distances.png"


def _plane(
    model: TrainedModel, before: list[TrainedModel], folder: Path, args: argparse.Namespace, console: Console
) -> list[Path]:
    """Accuracy over the plane of embeddings, after each task where that is known, else at the end."""
    embeddings = embeddings_of(model) if model.generated else np.zeros((0, 0))
    plane = plane_of(embeddings) if len(embeddings) else None
    if plane is None:
        why = "embeddings span no plane" if model.generated else "the method has no task embeddings"
        console.print(f"no embedding plane: {why}")
        return []
    stream = open_stream(model.experiment.tasks, args.data_dir, offline(args), model.import_paths)
    data: list[tuple[torch.Tensor, torch.Tensor]] = []
    for task in map(stream.task, range(model.learned)):
        split = task.validation.first(SAMPLES, seed=0)
        images, labels = split[torch.arange(len(split))]
        data.append((task.inputs(images), labels))
    x, y = plane.points(embeddings, args.points)
    states = {f"after task {one.learned}": one for one in before} or {f"after task {model.learned}": model}
    frames = {
        name: pd.DataFrame(accuracy_over_plane(one, plane, x, y, data[: one.learned])) for name, one in states.items()
    }
    places = {name: plane.coordinates(embeddings_of(one)) for name, one in states.items()}
    pca = embeddings.shape[1] > 2
    labels = ("component 1", "component 2") if pca else ("embedding [0]", "embedding [1]")
    if pca:
        console.print(f"the plane of two principal components holds {plane.explained:.0%} of the embeddings' variance")
    csvs = _tables(frames, places)
    for name, table in csvs.items():
        table.to_csv(folder / name, index=False, float_format="%.6g")
    picture = folder / "embedding_plane.png"
    plane_figure(frames, places, labels).savefig(picture)
    return [*(folder / name for name in csvs), picture]


def _tables(frames: Mapping[str, pd.DataFrame], places: Mapping[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """The plane's accuracies and the embeddings' coordinates, with a column `after`."""
    of = [frame.assign(after=int(name.split()[-1])) for name, frame in frames.items()]
    points = [
        {"after": int(name.split()[-1]), "task": task, "x": x, "y": y}
        for name, each in places.items()
        for task, (x, y) in enumerate(each, start=1)
    ]
    plane = pd.concat(of)[["after", "task", "x", "y", "accuracy"]]
    return {"embedding_plane.csv": plane, "embeddings.csv": pd.DataFrame(points)}
