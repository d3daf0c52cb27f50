"""`hypercl doctor` on damaged copies of a results folder that a released version wrote."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hypercl.cli import doctor, main
from hypercl.sweep.study import read_sweep
from hypercl.sweep.study.journal import JOURNAL, open_journal

STORED = Path(__file__).parents[1] / "stored" / "0.1.0" / "interrupted"
CHECKPOINT = "trials/5/checkpoints/step-000000000150.pt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(STORED, tmp_path / "sweep"))
    open_journal(copy / JOURNAL)  # writes its checksums
    return copy


def without_line(number: int) -> Callable[[bytes], bytes]:
    return lambda content: b"".join(
        line for place, line in enumerate(content.splitlines(keepends=True)) if place != number
    )


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def without_ending(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    lines.remove(next(line for line in lines if b'"user_attr":{"outcome"' in line))
    return b"".join(lines)


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes], int]] = {
    "a record of the journal lost": (JOURNAL, without_line(20), 1),
    "a trial's ending lost": (JOURNAL, without_ending, 1),
    "a trial's first record lost": (JOURNAL, without_line(7), 1),
    "the journal's end lost": (JOURNAL, lambda content: content[: content.rfind(b"\n", 0, -400) + 1], 1),
    "a byte of the journal changed": (JOURNAL, flipped, 1),
    "the journal cut by a kill": (JOURNAL, lambda content: content + b'{"op_code": 4, "wor', 0),
    "a checkpoint changed": (CHECKPOINT, flipped, 1),
    "a checkpoint emptied": (CHECKPOINT, lambda _: b"", 1),
    "a row changed": ("trials/1/metrics.jsonl", lambda content: b"\x00" + content, 1),
    "a summary cut": ("trials/1/summary.json", lambda content: content[:100], 1),
    "a matrix emptied": ("trials/1/accuracy_matrix.csv", lambda _: b"", 1),
    "a trial's config garbled": ("trials/5/config.yaml", lambda _: b"experiment: [", 1),
    "W&B's file emptied": ("wandb/offline-run-1/run-1.wandb", lambda _: b"", 1),
    "a partial file": ("trials/2/summary.json.partial-999999999", lambda _: b"{", 0),
    "the name of a dead driver": (
        ".driver.json",
        lambda _: json.dumps({"host": "elsewhere", "pid": 1, "since": "2026-01-01T00:00:00+00:00"}).encode(),
        0,
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_mended_and_nothing_is_deleted(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(folder)]) == 0, capsys.readouterr().out
    name, damaged, code = DAMAGE[kind]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content := damaged(path.read_bytes() if path.exists() else b""))
    others = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file != path}
    capsys.readouterr()

    assert main(["doctor", str(folder)]) == code
    told = capsys.readouterr().out
    if kind != "the name of a dead driver":  # of another host, which cannot be asked
        assert name.partition("/run-1.wandb")[0] in told
    assert path.read_bytes() == content
    assert not (folder / "lost+found").exists()

    assert main(["doctor", str(folder), "--fix"]) == 0
    capsys.readouterr()
    assert main(["doctor", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("is sound\n")
    kept = {file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    own = {folder / JOURNAL, folder / ".driver.lock"}
    assert {file for file, was in others.items() if was not in kept} <= own
    assert content in kept or kind in ("the journal cut by a kill", "the name of a dead driver")
    trials = read_sweep(folder).trials
    assert len(trials) <= 6
    assert not {path.name for path in (folder / "trials").iterdir()} - {str(trial.number) for trial in trials}


def test_in_a_journal_without_checksums_an_ending_that_is_lost_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(STORED, tmp_path / "sweep"))
    journal = folder / JOURNAL
    journal.write_bytes(without_ending(journal.read_bytes()))
    assert main(["sweep", "--status", str(folder)]) == 2
    assert "does not say how trial 0 ended" in capsys.readouterr().err
    assert main(["doctor", str(folder)]) == 1
    assert main(["doctor", str(folder), "--fix"]) == 0
    assert main(["sweep", "--status", str(folder)]) == 0


def test_a_folder_in_use_is_looked_at_and_not_mended(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hypercl.folder_lock import folder_lock

    (folder / CHECKPOINT).write_bytes(b"")
    with folder_lock(folder):
        assert main(["doctor", str(folder)]) == 1
        assert main(["doctor", str(folder), "--fix"]) == 2
    assert "is in use by process" in capsys.readouterr().err


def test_report_prints_where_it_cannot_write(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "figures").write_text("in the way")
    assert main(["report", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "trials trained" in printed
    assert "nothing is written" in printed


def test_a_folder_of_no_results_or_of_several_is_not_called_sound(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["doctor", str(empty)]) == 2
    assert "contains neither a sweep nor a run" in capsys.readouterr().err
    assert main(["doctor", str(folder.parent)]) == 2
    assert f"fix:     hypercl doctor {folder}" in capsys.readouterr().err


def test_without_a_folder_the_installation_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_ray", lambda: "starts")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert main(["doctor", "--data-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name:<8} " in printed for name in ("hypercl", "GPU", "Ray", "disk", "memory", "data", "W&B"))
    assert "WANDB_MODE" in printed
    assert "PROBLEM" not in printed

    monkeypatch.setattr(doctor, "LEAST_GIB", 1e9)
    assert main(["doctor", "--data-dir", str(tmp_path), "--wandb"]) == 1
    assert capsys.readouterr().out.count("PROBLEM") == 3  # disk, memory and W&B
