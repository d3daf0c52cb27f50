"""`hypercl fetch FILE`, and `hypercl train FILE --fetch`."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypercl.cli import main
from hypercl.tasks import download


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYPERCL_OFFLINE", raising=False)
    return tmp_path


def write(text: str) -> None:
    Path("file.yaml").write_text(f"experiment: {{tasks: {{{text}}}}}")


def fake_mnist(_: str, root: Path) -> None:
    (root / "MNIST" / "raw").mkdir(parents=True)
    labels = np.arange(60, dtype=np.uint8) % 10
    for half in ("train", "t10k"):
        for kind, array in (("images-idx3", np.zeros((60, 28, 28), np.uint8)), ("labels-idx1", labels)):
            head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (root / "MNIST" / "raw" / f"{half}-{kind}-ubyte").write_bytes(head + array.tobytes())


def test_it_prints_what_there_is_and_trains_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("name: split_digits, classes_per_task: [2, 3]")
    assert main(["fetch", "file.yaml"]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed[:3] == [
        ["task", "classes", "training", "validation", "test"],
        ["1", "2:", "0,", "1", "259", "29", "72"],
        ["2", "3:", "2,", "3,", "4", "390", "43", "108"],
    ]
    assert [path.name for path in here.iterdir()] == ["file.yaml"]


def test_an_address_without_nodes_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("name: split_digits")
    assert main(["fetch", "file.yaml", "--address", "auto"]) == 2
    assert "--nodes all" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["file.yaml"]


def test_it_fetches_training_and_test_data_even_where_the_file_does_not_ask(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("name: split_mnist")
    monkeypatch.setattr(download, "fetch_with_torchvision", fake_mnist)
    assert main(["train", "file.yaml", "--fetch", "--offline", "--data-dir", "d"]) == 2
    assert "MNIST not found" in capsys.readouterr().err
    assert main(["train", "file.yaml", "--fetch", "--data-dir", "d"]) == 0
    assert f"data: {here / 'd'}" in capsys.readouterr().out
    assert main(["train", "file.yaml", "--fetch", "--offline", "--data-dir", "d"]) == 0
    assert not (here / "results").exists()


def test_it_leaves_both_caches_of_decoded_images_and_names_what_is_broken(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "owl"):
        (here / "data" / "pets" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (9, 9), (number, 0, 0)).save(here / "data" / "pets" / name / f"{number}.png")
    write("name: image_folder, path: pets, num_tasks: 1, classes_per_task: 2, size: 8")
    assert main(["train", "file.yaml", "--fetch"]) == 0
    assert f"data: {here / 'data' / 'pets'}" in capsys.readouterr().out
    caches = [path.name for path in (here / "data" / "pets" / ".hypercl-cache").iterdir() if path.is_dir()]
    assert sorted(name.rpartition("-")[0] for name in caches) == ["test-rgb-8", "train-rgb-8"]
    (here / "data" / "pets" / "owl" / "3.png").write_bytes(b"x")
    assert main(["train", "file.yaml", "--fetch"]) == 2
    assert "owl/3.png cannot be read as an image" in capsys.readouterr().err
