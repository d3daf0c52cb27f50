"""Thousands of sweep files and results folders that are damaged at random: a result or a message, at once, and no code
of theirs runs."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from damages import damage
from mutations import mutated

from hypercl.cli import main
from hypercl.config import UserError, load_sweep

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
    assert 75 < refused(spaces, range(150)) < 150


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


def test_damaged_results_are_read_or_refused_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_after_damage(tmp_path, range(8), capsys)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_damaged_results_are_read_or_refused_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read_after_damage(tmp_path, range(1000), capsys)
