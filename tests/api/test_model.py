"""A trained model used further: it learns on, and its networks leave hypercl."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import hypercl
from hypercl.cli import main

FILE = {
    "experiment": {
        "tasks": {"name": "split_digits", "scenario": "domain", "num_tasks": 3},
        "method": {"name": "hnet_ent"},
        "target": {"name": "mlp", "hidden": [30]},
        "hypernet": {"name": "chunked", "task_embedding": 8, "chunk_size": 500},
        "training": {"iterations": 15, "threads": 1},
    }
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hypercl.Run:
    return hypercl.train(FILE, name="three", results=tmp_path_factory.mktemp("results"), quiet=True)


@pytest.fixture(scope="module")
def inputs() -> torch.Tensor:
    return torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_it_learns_further_tasks_as_if_it_had_been_asked_for_them_at_first(
    run: hypercl.Run, inputs: torch.Tensor
) -> None:
    results = run.folder.parents[2]
    longer = hypercl.load(run.folder).extend(5, name="five", results=results, quiet=True)
    at_once = hypercl.train(FILE, set={"tasks.num_tasks": 5}, name="at-once", results=results, quiet=True).model()
    assert longer.learned == 5
    for task in range(3):
        assert longer.weights(task).keys() == at_once.weights(task).keys()
    assert hypercl.open(longer.folder).matrix().shape == (6, 5)
    before = hypercl.load(run.folder)
    assert before.learned == 3
    again = before.extend(5, name="five", results=results, quiet=True)
    assert torch.equal(again.logits(inputs, 4), longer.logits(inputs, 4))


def test_it_is_found_in_the_folder_of_its_results_if_it_is_the_only_run_there(tmp_path: Path) -> None:
    short = {"training.iterations": 2, "tasks.num_tasks": 2}
    hypercl.train(FILE, set=short, name="own", results=tmp_path, quiet=True)
    assert hypercl.load(tmp_path / "own").folder == tmp_path / "own" / "runs" / "seed-1"
    hypercl.train(FILE, set=short | {"training.seed": 2}, name="own", results=tmp_path, quiet=True)
    with pytest.raises(hypercl.UserError, match=r"own holds 2 runs\n.*runs/seed-1, .*runs/seed-2"):
        hypercl.load(tmp_path / "own")


def test_damaged_checkpoints_are_told_and_stay_as_they_are(run: hypercl.Run, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run.folder, tmp_path / "copy"))
    files = sorted((copy / "checkpoints").iterdir())
    files[-1].write_bytes(files[-1].read_bytes()[:100])
    assert hypercl.load(copy).learned == 2  # as the checkpoint before it
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(hypercl.UserError, match=r"checkpoints: no checkpoint is sound\n    fix:     put them back"):
        hypercl.load(copy)
    assert sorted((copy / "checkpoints").iterdir()) == files


def test_it_does_not_learn_on_where_the_target_has_no_outputs(tmp_path: Path) -> None:
    own = {"tasks": {"name": "split_digits", "scenario": "task", "num_tasks": 2}, "method": {"name": "hnet"}}
    file = {"experiment": FILE["experiment"] | own}
    model = hypercl.train(file, set={"training.iterations": 2}, name="own", results=tmp_path, quiet=True).model()
    with pytest.raises(hypercl.UserError, match="the longer stream needs 10"):
        model.extend(5, name="more", results=tmp_path)
    with pytest.raises(hypercl.UserError, match="learned already"):
        model.extend(2, name="more", results=tmp_path)


def test_a_tasks_network_leaves_as_safetensors_and_comes_back_the_same(
    run: hypercl.Run, inputs: torch.Tensor, tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file

    model = hypercl.load(run.folder)
    path = model.export(1, tmp_path / "task.safetensors")
    blank = model.target(0)
    blank.load_state_dict(load_file(path))
    with torch.no_grad():
        assert torch.equal(blank(inputs)[:, model.shape.heads[1]], model.target(1)(inputs)[:, model.shape.heads[1]])
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["hypercl"])
    assert (about["task"], about["classes"], about["outputs"], about["input_shape"]) == (1, 2, [0, 2], [1, 8, 8])


def test_a_tasks_network_leaves_as_a_program_for_any_number_of_samples(
    run: hypercl.Run, inputs: torch.Tensor, tmp_path: Path
) -> None:
    model = hypercl.load(run.folder)
    program = torch.export.load(model.export(2, tmp_path / "task.pt2")).module()
    for count in (1, 7):
        torch.testing.assert_close(program(inputs[:count]), model.logits(inputs[:count], 2))


def test_a_tasks_network_leaves_as_onnx_and_another_runtime_computes_the_same(
    run: hypercl.Run, inputs: torch.Tensor, tmp_path: Path
) -> None:
    from onnxruntime import InferenceSession

    model = hypercl.load(run.folder)
    session = InferenceSession(model.export(2, tmp_path / "task.onnx"))
    for count in (1, 7):
        (logits,) = session.run(["logits"], {"inputs": inputs[:count].numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), model.logits(inputs[:count], 2))
    assert [path.name for path in tmp_path.iterdir()] == ["task.onnx"]


def test_onnx_without_its_packages_names_the_extra(
    run: hypercl.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(hypercl.UserError, match=r"pip install 'hypercl\[onnx\]'"):
        hypercl.load(run.folder).export(0, tmp_path / "task.onnx")


def test_an_unknown_format_is_refused(run: hypercl.Run, tmp_path: Path) -> None:
    with pytest.raises(hypercl.UserError, match=r"'\.h5' is no format of a network; allowed: \.safetensors"):
        hypercl.load(run.folder).export(0, tmp_path / "task.h5")


def images(folder: Path, count: int) -> list[Path]:
    made = torch.randint(256, (count, 20, 16), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    folder.mkdir()
    paths = [folder / f"{place}.png" for place in range(count)]
    for path, pixels in zip(paths, made, strict=True):
        Image.fromarray(pixels.numpy()).save(path)
    return paths


def test_image_files_are_classified_as_the_model_does(
    run: hypercl.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hypercl.tasks import form_of, inputs_of, read_files

    paths = images(tmp_path / "images", 3)
    assert main(["predict", str(run.folder), str(tmp_path / "images"), "--task", "2"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    model = hypercl.load(run.folder)
    seen = inputs_of(model.experiment.tasks, 1)(read_files(paths, form_of(model.experiment.tasks)))
    expected = model.logits(seen, 1).softmax(-1)
    names = ("2", "3")  # the digits of the second task
    assert [row["file"] for row in rows] == list(map(str, paths))
    assert [row["class"] for row in rows] == [names[place] for place in expected.argmax(-1).tolist()]
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected.amax(-1).tolist(), abs=1e-4)
    assert {row["task"] for row in rows} == {"2"}


def test_without_a_task_the_method_infers_it(
    run: hypercl.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images(tmp_path / "images", 4)
    assert main(["predict", str(run.folder), str(tmp_path / "images")]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert all(row["task"] in ("1", "2", "3") and 0.5 <= float(row["probability"]) <= 1 for row in rows)


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--task", "4"], "learned tasks 1 to 3"), (["nowhere.png"], "no file nowhere.png")],
)
def test_what_cannot_be_classified_is_said(
    run: hypercl.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    (path,) = images(tmp_path / "images", 1)
    assert main(["predict", str(run.folder), str(path), *given]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_image_is_named(run: hypercl.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.png").write_text("no image")
    assert main(["predict", str(run.folder), str(tmp_path / "text.png"), "--task", "1"]) == 2
    assert "text.png cannot be read as an image" in capsys.readouterr().err


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> hypercl.Run:
    generator = {"likelihood": "gaussian", "encoder": [6], "decoder": [6], "latent": 2, "condition_size": 2}
    generator["hypernet"] = {"name": "full", "hidden": [4]}
    experiment = {
        "tasks": {"name": "gaussian_bumps", "scenario": "domain", "num_tasks": 2, "samples": 60},
        "target": {"name": "mlp", "hidden": [6]},
        "hypernet": {"name": "full", "hidden": [4]},
        "method": {"name": "hnet_tir", "generator": generator},
        "training": {"iterations": 15, "batch_size": 16, "threads": 1},
    }
    results = tmp_path_factory.mktemp("regression")
    return hypercl.train({"experiment": experiment}, name="bumps", results=results, quiet=True)


def test_numbers_are_predicted_as_the_model_does(
    regression: hypercl.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "points.csv").write_text("x,y\n-4,-4.5\n-4,0.25\n\n3,3\n")
    model, inputs = hypercl.load(regression.folder), torch.tensor([[-4, -4.5], [-4, 0.25], [3, 3]])
    for given, task in (([], None), (["--task", "2"], 1)):
        assert main(["predict", str(regression.folder), str(tmp_path / "points.csv"), *given]) == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [row["row"] for row in rows] == ["1", "2", "3"]
        predicted = model.predict(inputs, task).flatten().tolist()
        assert [float(row["prediction"]) for row in rows] == pytest.approx(predicted, rel=1e-4)
        tasks = [2, 2, 2] if task else (model.infer_task(inputs) + 1).tolist()
        assert [int(row["task"]) for row in rows] == tasks


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2\n3\n", "points.csv: row 2 has 1 numbers, and an input of this run has 2"),
        ("1,2\nx,y\n", "points.csv: row 2 is x,y; allowed: 2 numbers"),
        ("x,y\n", "points.csv holds no row of numbers"),
    ],
)
def test_a_file_without_the_inputs_of_a_regression_is_named(
    regression: hypercl.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "points.csv").write_text(text)
    assert main(["predict", str(regression.folder), str(tmp_path / "points.csv")]) == 2
    assert said in capsys.readouterr().err


def test_a_regression_has_no_probabilities(regression: hypercl.Run) -> None:
    model, inputs = hypercl.load(regression.folder), torch.randn(5, 2)
    predictions, probabilities, tasks = model.decide(inputs)
    assert probabilities is None
    assert tasks is not None
    assert torch.equal(predictions, model.predict(inputs))
    assert torch.equal(tasks, model.infer_task(inputs))
