"""`hypercl list`: what a folder of results holds."""

import shutil
from pathlib import Path

import pytest

from hypercl.cli import main

STORED = Path(__file__).parents[1] / "stored" / "0.1.0"


def listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main(["list", str(folder)]) == 0
    return {line.split()[0]: " ".join(line.split()[1:]) for line in capsys.readouterr().out.splitlines()}


def test_sweeps_and_runs_are_listed_with_their_state_and_best_value(capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(STORED, capsys)
    assert rows["finished"].startswith("done 3 of 3 0.9797")
    assert rows["interrupted"].startswith("to be resumed 5 of 8 0.8978")
    assert rows["run/seed-1"].startswith("done 0.819")
    assert rows["halfway/seed-1"].startswith("to be resumed")


def test_what_is_damaged_is_listed_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("finished", "run"):
        shutil.copytree(STORED / name, tmp_path / name)
    (tmp_path / "finished" / "study.journal").write_text("no journal\n")
    (tmp_path / "run" / "runs" / "seed-1" / "summary.json").write_text("{")
    rows = listed(tmp_path, capsys)
    assert rows["finished"].startswith("damaged")
    assert rows["run/seed-1"].startswith("damaged")


def test_an_empty_and_a_missing_folder_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(tmp_path)]) == 0
    assert "holds no results yet" in capsys.readouterr().out
    assert main(["list", str(tmp_path / "missing")]) == 2
    assert "fix:" in capsys.readouterr().err
