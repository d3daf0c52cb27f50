"""Runs whose method learns to replay inputs: pictures, restarts, sizes, streams of unknown length."""

import json
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_run import equal, experiment, final_state, metrics, summary_of

from hypercl.config import Experiment, loads
from hypercl.tasks import as_images
from hypercl.tasks.inputs import IMAGENET, Permuted, Scaled
from hypercl.training import RunFolders, Tick, loop, run, sizes
from hypercl.training.folder import write_samples

SMALL = "encoder: [12], decoder: [12], latent: 4"
HYPERNET = "{name: chunked, hidden: [6], chunk_size: 500, task_embedding: 4, chunk_embedding: 3}"
GENERATED = f"{SMALL}, condition_size: 3, hypernet: {HYPERNET}"
BY_CLASS = GENERATED.replace("condition_size: 3", "condition_size: 6, embedding: class")
METHODS = {
    "hnet_replay": ("hypernet={name: none}", f"method={{name: hnet_replay, generator: {{{GENERATED}}}}}"),
    "hnet_tir": ("tasks.scenario=domain", f"method={{name: hnet_tir, generator: {{{GENERATED}}}}}"),
    "hnet_replay, classes": (
        "hypernet={name: none}",
        f"method={{name: hnet_replay, generator: {{{BY_CLASS}}}}}",
    ),
    "dgr": ("hypernet={name: none}", f"method={{name: dgr, generator: {{{SMALL}}}}}"),
}
BORDER, SIDE = 2, 8


def height(tasks: int) -> int:
    return BORDER + tasks * (SIDE + BORDER)


@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_run_equals_an_uninterrupted_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)
    setting = experiment(*METHODS[name], "training.iterations=6")
    whole, cut = RunFolders(tmp_path / "whole", tmp_path), RunFolders(tmp_path / "cut", tmp_path)
    summary = summary_of(run(setting, whole, test=True, reports_per_task=2))
    for stop in (2, 7, 9, 16):
        with closing(run(setting, cut, test=True, reports_per_task=2)) as progress:
            for item in progress:
                if isinstance(item, Tick) and item.iteration >= stop:
                    break
    again = summary_of(run(setting, cut, test=True, reports_per_task=2))
    assert equal(metrics(again), metrics(summary))
    assert equal(final_state(cut.folder), final_state(whole.folder))
    for task in (1, 2, 3):
        paths = [place.folder / "samples" / f"after-task-{task}.png" for place in (whole, cut)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        with Image.open(paths[0]) as picture:
            assert picture.size == (height(10), height(1 if name == "dgr" else task))


def test_methods_that_generate_nothing_leave_no_pictures(tmp_path: Path) -> None:
    place = RunFolders(tmp_path / "run", tmp_path)
    summary = summary_of(run(experiment("training.iterations=2"), place, reports_per_task=1))
    assert not (place.folder / "samples").exists()
    assert summary["generator_parameters"] == 0


def test_sizes_of_the_papers_generators() -> None:
    """method.md 2.3; the last task has an embedding here too."""

    def parameters(method: str) -> int:
        text = f"experiment: {{tasks: {{name: split_mnist, scenario: class}}, method: {{name: {method}}}}}"
        return sizes(loads(text, "x").experiment).generator_parameters

    assert parameters("hnet_replay") == 554_600 + 553_288 + 96
    assert parameters("hnet_tir") == 554_600 + 552_712 + 96
    assert parameters("hnet_replay, generator: {embedding: class}") == 554_600 + 553_288 + 6 * 96
    plain = (100 * 400 + 400) + (400 * 400 + 400) + (400 * 784 + 784)
    assert parameters("dgr") == 554_600 + plain


def test_a_summary_says_how_large_the_generator_is(tmp_path: Path) -> None:
    place, setting = RunFolders(tmp_path / "run", tmp_path), experiment(*METHODS["dgr"], "training.iterations=1")
    list(run(setting, place, reports_per_task=1))
    summary = json.loads((place.folder / "summary.json").read_text())
    coders = (64 * 12 + 12) + (12 * 8 + 8) + (4 * 12 + 12) + (12 * 64 + 64)
    assert summary["generator_parameters"] == coders


@pytest.mark.parametrize("task", [0, 3])
def test_permuted_inputs_are_shown_in_their_order(task: int) -> None:
    images = torch.randint(0, 256, (5, 1, 6, 6), dtype=torch.uint8)
    permuted = Permuted(task, 1, 42)
    shown = as_images(permuted, permuted(images))
    assert torch.equal(shown, Permuted(0, 1, 42)(images))
    assert torch.equal(as_images(Scaled(255), shown), shown)


def test_normalised_inputs_are_shown_as_they_were() -> None:
    images = torch.randint(0, 256, (5, 3, 6, 6), dtype=torch.uint8)
    torch.testing.assert_close(as_images(IMAGENET, IMAGENET(images)), images / 255)


def test_what_is_brighter_than_white_is_shown_white(tmp_path: Path) -> None:
    write_samples(tmp_path / "x.png", [torch.tensor([-3.0, 0.0, 1.0, 8.0]).reshape(4, 1, 1, 1).expand(4, 1, 4, 4)])
    with Image.open(tmp_path / "x.png") as image:
        assert [image.getpixel((4 + 6 * place, 4)) for place in range(4)] == [
            (0,) * 3,
            (0,) * 3,
            (255,) * 3,
            (255,) * 3,
        ]


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 4, 6), (4, 6)])
def test_a_picture_has_a_row_for_each_task(shape: tuple[int, ...], tmp_path: Path) -> None:
    rows = [torch.full((10, *shape), task / 2) for task in range(3)]
    write_samples(tmp_path / "samples" / "x.png", rows)
    with Image.open(tmp_path / "samples" / "x.png") as image:
        assert image.size == (2 + 10 * 8, 2 + 3 * 6)
        assert [image.getpixel((40 + 4, 4 + 6 * task)) for task in range(3)] == [(0,) * 3, (128,) * 3, (255,) * 3]


def test_inputs_that_are_no_images_are_not_shown(tmp_path: Path) -> None:
    for shape in [(7,), (2, 4, 4)]:
        write_samples(tmp_path / "x.png", [torch.zeros(10, *shape)])
    assert not (tmp_path / "x.png").exists()


OWN = """
import torch


def tasks(root, train):
    for task in range(3):
        random = torch.Generator().manual_seed(10 * task + train)
        labels = torch.arange(60) % 2
        yield (torch.eye(4)[labels + task % 3] + 0.1 * torch.rand(60, 4, generator=random)).clamp(0, 1), labels
"""


@pytest.mark.parametrize("name", ["hnet_replay", "dgr"])
def test_tasks_that_come_one_by_one_are_replayed_as_those_known_beforehand(name: str, tmp_path: Path) -> None:
    (tmp_path / "coming.py").write_text(OWN)
    generator = f"{{{SMALL}, condition: gaussian, hypernet: {HYPERNET}}}" if name == "hnet_replay" else f"{{{SMALL}}}"

    def setting(own: str) -> Experiment:
        text = f"""
experiment:
  tasks: {{name: import, path: 'coming:tasks', heads: shared, classes_per_task: 2, input_shape: [4]}}
  target: {{name: mlp, hidden: [8]}}
  method: {{name: {name}, generator: {own}}}
  training: {{iterations: 20, batch_size: 16, optimizer: {{name: adam, lr: 1e-2}}, threads: 1, device: cpu}}
"""
        return loads(text, "x").experiment

    place = RunFolders(tmp_path / "run", tmp_path, import_paths=(tmp_path,))
    summary = summary_of(run(setting(generator), place, reports_per_task=1))
    assert summary["iterations_per_task"] == [20, 20, 20]
    assert summary["generator_parameters"] == sizes_of_three(name)
    sys.modules.pop("coming", None)


def sizes_of_three(name: str) -> int:
    encoder, inputs = (4 * 12 + 12) + (12 * 8 + 8), 4 + (100 if name == "hnet_replay" else 0)
    decoder = (inputs * 12 + 12) + (12 * 4 + 4)
    if name == "dgr":
        return encoder + decoder
    chunks = -(-decoder // 500)
    return encoder + (7 * 6 + 6) + 7 * 500 + 3 * chunks + 3 * 4
