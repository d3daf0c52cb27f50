"""Runs with the options of hypernetworks, from beginning to end."""

from pathlib import Path
from typing import Any

import pytest
from interrupted import assert_interruptions_change_nothing
from test_run import experiment, metrics

from hypercl.config import OutOfReach, resolved
from hypercl.training import RunFolders, Started, run

OPTIONS = (
    "hypernet.noise=2",
    "hypernet.dropout=0.2",
    "hypernet.normalization=layer",
    "hypernet.embedding_init=previous",
    "hypernet.chunk_size=auto",
    "hypernet.compression_ratio=1.5",
    "method.train_earlier_embeddings=true",
    "training.iterations=12",
)


@pytest.fixture
def place(tmp_path: Path) -> RunFolders:
    return RunFolders(tmp_path / "run", tmp_path / "data")


def test_a_resumed_run_with_every_option_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    setting = experiment(*OPTIONS)
    assert_interruptions_change_nothing(setting, tmp_path, ticks_each=13)


def test_a_run_tells_the_chunk_size_that_was_solved(place: RunFolders) -> None:
    setting = experiment("hypernet.chunk_size=auto", "hypernet.compression_ratio=0.9", "training.iterations=2")
    items: list[Any] = list(run(setting, place))
    assert isinstance(items[0], Started)
    chunk = items[0].chunk_size
    assert items[-1].summary.plain()["chunk_size"] == chunk
    assert 0.85 < items[-1].summary.plain()["compression_ratio"] <= 0.9
    given = experiment(f"hypernet.chunk_size={chunk}", "training.iterations=2")
    again: list[Any] = list(run(given, RunFolders(place.folder.with_name("given"), place.data_dir)))
    assert metrics({"test": None, **again[-1].summary.plain()}) == metrics({"test": None, **items[-1].summary.plain()})
    assert resolved(setting)["hypernet"]["chunk_size"] == "auto"


def test_a_run_whose_ratio_cannot_be_had_does_not_take_its_folder(place: RunFolders) -> None:
    with pytest.raises(OutOfReach, match=r"0\.01 is not achievable"):
        list(run(experiment("hypernet.chunk_size=auto", "hypernet.compression_ratio=0.01"), place))
    assert not place.folder.exists()
