"""`hypercl tail`: a trial's reports as it makes them."""

import json
from pathlib import Path

import pytest

from hypercl.cli import main
from hypercl.cli.tail import lines_of
from hypercl.sweep.study import read_sweep, state_of
from tests.sweep.made_sweep import SMALL, made_sweep


def report(folder: Path, step: int) -> None:
    task = -(-step // 4)
    accuracies = {f"validation/task_{one}": 0.9 for one in range(1, task + 1)}
    rows = [
        {"iteration": 10 * step - 5, "loss/task": 0.5},
        {"iteration": 10 * step, "task": task, "step": step, **accuracies},
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)


def test_the_last_reports_of_an_ended_trial_and_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_sweep(tmp_path / "made", complete=1, text=SMALL)
    for step in range(1, 7):
        report(tmp_path / "made" / "trials" / "0", step)
    assert main(["tail", str(tmp_path / "made"), "0", "--lines", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "task 2, iteration 50: accuracy 90.0 90.0, mean 90.0 %; loss 0.5",
        "task 2, iteration 60: accuracy 90.0 90.0, mean 90.0 %; loss 0.5",
        "trial 0 complete",
    ]


def test_a_running_trial_is_followed_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_sweep(tmp_path / "made", complete=0, running=1, text=SMALL)
    record = read_sweep(tmp_path / "made")
    assert state_of(record.trial(0)) == "running"
    words = {"running": "running", "complete": "complete"}
    monkeypatch.setattr("hypercl.cli.tail.state_words", lambda _: words)
    report(record.trial_folder(0), 1)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) < 3:
            report(record.trial_folder(0), 1 + len(waits))
        else:
            words["running"] = "to be resumed"

    lines = list(lines_of(record, 0, 10, wait))
    assert [line.partition(":")[0] for line in lines[:3]] == [f"task 1, iteration {10 * step}" for step in (1, 2, 3)]
    assert lines[3:] == ["trial 0 is not running: rerun the sweep's command to resume"]


def test_an_unknown_trial_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_sweep(tmp_path / "made", complete=1, text=SMALL)
    assert main(["tail", str(tmp_path / "made"), "7"]) == 2
    assert "no trial 7" in capsys.readouterr().err
