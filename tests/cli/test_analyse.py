from pathlib import Path

import pandas as pd
import pytest
import torch

from hypercl.cli import main
from hypercl.config import loads
from hypercl.training import RunFolders, TrainedModel, run

TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [10]}
  hypernet: {name: full, hidden: [8], task_embedding: 2}
  training: {iterations: 30, batch_size: 16, optimizer: {name: adam, lr: 1e-2}, threads: 1, device: cpu}
"""


def trained(folder: Path, *overrides: str, keep: bool = True) -> Path:
    list(run(loads(TEXT, "x", overrides).experiment, RunFolders(folder, folder), keep=keep))
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("plain"))


def test_a_run_gets_its_plane_drift_and_distances(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(plain), "--points", "3"]) == 0
    names = {path.name for path in (plain / "analysis").iterdir()}
    csvs = {"drift", "weight_distances", "embedding_distances", "embedding_plane", "embeddings"}
    assert names == {f"{name}.csv" for name in csvs} | {"distances.png", "embedding_plane.png"}
    assert all(name in capsys.readouterr().out for name in ["embedding_plane.png"])
    plane = pd.read_csv(plain / "analysis" / "embedding_plane.csv")
    assert plane.groupby("after")["task"].nunique().to_dict() == {1: 1, 2: 2}
    assert len(plane) == 3 * 9
    moved = pd.read_csv(plain / "analysis" / "drift.csv")
    assert moved[moved["task"] == moved["after"]]["drift"].eq(0).all()
    assert moved[(moved["task"] == 1) & (moved["after"] == 2)]["drift"].gt(0).all()


def test_at_a_tasks_own_embedding_the_outputs_are_its_own(plain: Path) -> None:
    model, inputs = TrainedModel(plain), torch.rand(5, 1, 8, 8)
    own, other = model.logits_at(torch.stack([model.embedding(0), model.embedding(1)]), inputs, task=0)
    torch.testing.assert_close(own, model.logits(inputs, 0))
    assert not torch.allclose(other, own)


def test_replicas_have_the_plane_of_their_first_seed(tmp_path: Path) -> None:
    model, inputs = TrainedModel(trained(tmp_path, "training.replicas=2"), seed=2), torch.rand(5, 1, 8, 8)
    (own,) = model.logits_at(model.embedding(0)[None], inputs, task=0)
    torch.testing.assert_close(own, model.logits(inputs, 0))


def test_without_states_and_embeddings_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained(tmp_path, "method=finetune", "hypernet=none", keep=False)
    assert main(["analyse", str(folder), "--to", str(tmp_path / "there")]) == 0
    said = capsys.readouterr().out
    assert "no drift" in said
    assert "no task embeddings" in said
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"weight_distances.csv", "distances.png"}
