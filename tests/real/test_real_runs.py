"""The shipped files on real data, as a user starts them. Minutes each."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def hypercl(folder: Path, data_dir: Path, command: str, file: str, *options: str) -> list[str]:
    script = [sys.executable, str(ROOT / "launch" / f"{command}.py"), str(ROOT / "search_spaces" / f"{file}.yaml")]
    return [*script, "--results", str(folder), "--data-dir", str(data_dir), "--offline", *options]


def rows_of(folder: Path, name: str = "split_mnist") -> list[dict[str, str]]:
    with (folder / name / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_split_mnist_at_the_papers_settings_hardly_forgets(tmp_path: Path, data_dir: Path) -> None:
    subprocess.run(hypercl(tmp_path, data_dir, "train", "split_mnist"), check=True)
    summary = json.loads((tmp_path / "split_mnist" / "runs" / "seed-1" / "summary.json").read_text())
    assert summary["compression_ratio"] == 465_672 / 478_410
    assert summary["test"]["final_accuracy"] >= 0.996
    assert summary["test"]["forgetting"] < 0.002


def test_a_sweep_of_split_mnist_survives_sigkill(tmp_path: Path, data_dir: Path) -> None:
    command = hypercl(tmp_path, data_dir, "sweep", "split_mnist", "--trials", "6", "--set", "training.iterations=60")
    command = [*command, "--no-final"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if "[2/6" in line:
                first.kill()
                break
    assert first.returncode == -signal.SIGKILL
    before = rows_of(tmp_path)
    subprocess.run(command, check=True)
    rows = rows_of(tmp_path)
    assert sum(row["state"] in ("complete", "pruned") for row in rows) == 6
    assert [int(row["number"]) for row in rows] == list(range(len(rows)))
    ended = [row for row in before if row["state"] != "running"]
    assert ended
    assert all(any(row.items() <= later.items() for later in rows) for row in ended)  # columns are added, none changes
    assert (tmp_path / "split_mnist" / "best.yaml").exists()


def test_the_quickstarts_winner_is_three_points_above_the_setting_as_written_on_fresh_seeds(
    tmp_path: Path, data_dir: Path
) -> None:
    subprocess.run(hypercl(tmp_path, data_dir, "sweep", "quickstart"), check=True)
    final = json.loads((tmp_path / "quickstart" / "final" / "final.json").read_text())
    difference = final["settings"][0]["metrics"]["test/final_accuracy"]["difference"]
    assert difference["count"] == 10
    assert difference["mean"] >= 0.03
    assert difference["p"] < 0.01


def test_a_sweep_of_cifar_trains_a_resnet_32_on_six_tasks(tmp_path: Path, data_dir: Path) -> None:
    short = ("--no-final", "--trials", "1", "--set", "training.iterations=4", "--set", "training.report_samples=20")
    subprocess.run(hypercl(tmp_path, data_dir, "sweep", "cifar", *short), check=True)
    trial = tmp_path / "cifar" / "trials" / "0"
    summary = json.loads((trial / "summary.json").read_text())
    assert len(summary["validation"]["final_accuracy_per_task"]) == 6
    assert "test" not in summary
    assert summary["parameters"] == 457_336
