"""Thousands of sweep files and results folders that are damaged at random: a result or a message, at once, and no code
of theirs runs."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy
import pytest
from damages import damage
from mutations import mutated
from PIL import Image

from hypercl.cli import main
from hypercl.config import UserError, load, load_sweep
from hypercl.training import Report, RunFolders, run

SPACES = Path(__file__).parents[2] / "search_spaces"
STORED = Path(__file__).parents[1] / "stored" / "0.1.0"
SWEEPS = ("interrupted", "finished", "interrupted", "stability")
LONGEST = 5.0
"""Seconds of processor time that a file or a command may take."""


@pytest.fixture
def spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped files, in the working directory; whatever runs a command fails the test."""
    folder = Path(shutil.copytree(SPACES, tmp_path / "spaces"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail(f"{command!r} was run"))
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **_: pytest.fail(f"{args!r} was run"))
    return folder


def refused(spaces: Path, seeds: Iterable[int]) -> int:
    """Loads as many mutated files; returns how many were refused."""
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(spaces.glob("*.yaml"))}
    names, count = list(files), 0
    for seed in seeds:
        name = names[seed % len(names)]
        (spaces / "mutated.yaml").write_bytes(mutated(files[name], name, seed))
        begun, message = time.process_time(), ""
        try:
            load_sweep("mutated.yaml")
        except UserError as error:
            message = str(error)
        except Exception as error:
            raise AssertionError(f"file {seed}, of {name}: {type(error).__name__}: {error}") from error
        count += bool(message)
        assert not message or re.search(r"(mutated|shared/\w+)\.yaml", message), seed
        assert time.process_time() - begun < LONGEST, seed
    assert not list(spaces.rglob("RAN"))
    return count


def test_a_mutated_file_is_read_or_refused_with_a_message(spaces: Path) -> None:
    assert 30 < refused(spaces, range(60)) < 60


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_mutated_files_are_read_or_refused_with_a_message(spaces: Path) -> None:
    assert 5000 < refused(spaces, range(10_000)) < 10_000


@pytest.mark.parametrize("command", [["sweep", "--dry-run"], ["train"], ["reproduce", "--dry-run"]], ids=" ".join)
def test_a_command_prints_the_message_and_ends_with_its_code(
    command: list[str], spaces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"\xff\xfe", b"a: [", b"a: !!python/object/apply:os.system ['touch RAN']", b"a: !!bool x", b""):
        (spaces / "bad.yaml").write_bytes(content)
        assert main([command[0], "bad.yaml", *command[1:]]) == 2
        printed = capsys.readouterr()
        assert "bad.yaml" in printed.err
        assert "Traceback" not in printed.err + printed.out


def read_after_damage(folder: Path, seeds: Iterable[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Damages copies of stored results, and reads them with each command that reads results."""
    main(["list", str(folder)])  # imports what takes long
    for seed in seeds:
        sweep = SWEEPS[seed % len(SWEEPS)]
        copy = Path(shutil.copytree(STORED / sweep, folder / "results" / f"sweep-{seed}"))
        what = damage(copy, seed)
        commands = [["doctor", str(copy)], ["sweep", "--status", str(copy)], ["sweep", str(copy), "--show", "1"]]
        commands += [["list", str(copy.parent)], *([["report", str(copy)]] if seed % 8 == 0 else [])]
        for command in [*commands, ["doctor", str(copy), "--fix"]]:
            begun = time.process_time()
            try:
                code = main(command)
            except Exception as error:
                raise AssertionError(
                    f"folder {seed}, {what}: {command[:-1]}: {type(error).__name__}: {error}"
                ) from error
            printed = capsys.readouterr()
            assert code in (0, 1, 2), (seed, what, command)
            assert printed.out or printed.err, (seed, what, command)
            assert "Traceback" not in printed.err, (seed, what, command)
            assert time.process_time() - begun < LONGEST or command[0] == "report", (seed, what, command)
        shutil.rmtree(copy)


RUN = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [12]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 12, batch_size: 16, threads: 1, device: cpu}
"""
IMAGES = """
experiment:
  tasks: {name: image_folder, path: images, num_tasks: 1, classes_per_task: 2, size: 8}
  target: {name: mlp, hidden: [4]}
"""


def resumed_after_damage(folder: Path, seeds: Iterable[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Damages copies of an interrupted run and of a folder of images, and trains the one and decodes the other."""
    files = {"run": folder / "run.yaml", "images": folder / "images.yaml"}
    files["run"].write_text(RUN)
    files["images"].write_text(IMAGES)
    with closing(
        run(load(files["run"]).experiment, RunFolders(folder / "begun", folder, name="run"), test=True)
    ) as begun:
        assert sum(1 for _ in islice((item for item in begun if isinstance(item, Report)), 6)) == 6
    assert list(folder.glob("begun/checkpoints/*.pt"))
    rng = numpy.random.default_rng(0)
    for number in range(16):
        path = folder / "whole" / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (9, 9, 3), numpy.uint8)).save(path)
    for seed in seeds:
        name, copy = ("run", "images")[seed % 2], folder / f"copy-{seed}"
        if name == "run":
            shutil.copytree(folder / "begun", copy / "run" / "runs" / "seed-1")
            what = damage(copy / "run" / "runs" / "seed-1", seed)
        else:
            shutil.copytree(folder / "whole", copy)
            what = damage(copy, seed)
        command = ["train", str(files[name]), "--results", str(copy), "--data-dir", str(copy)]
        try:
            code = main([*command, *(["--fetch"] if name == "images" else [])])
        except Exception as error:
            raise AssertionError(f"{name} {seed}, {what}: {type(error).__name__}: {error}") from error
        assert code in (0, 2), (name, seed, what)
        assert "Traceback" not in capsys.readouterr().err, (name, seed, what)
        shutil.rmtree(copy)


def test_a_damaged_run_or_image_is_passed_over_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resumed_after_damage(tmp_path, range(8), capsys)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_hundreds_of_damaged_runs_and_images_are_passed_over_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resumed_after_damage(tmp_path, range(400), capsys)


def test_damaged_results_are_read_or_refused_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_after_damage(tmp_path, range(8), capsys)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_damaged_results_are_read_or_refused_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read_after_damage(tmp_path, range(1000), capsys)
