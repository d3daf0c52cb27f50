"""Ctrl-C and SIGTERM on `hypercl train`, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
FILE = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [12]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 500, batch_size: 16, threads: 1, device: cpu}
"""


def command(folder: Path, name: str) -> list[str]:
    return [sys.executable, "-m", "hypercl", "train", "file.yaml", "--results", str(folder / "results"), "--name", name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "file.yaml").write_text(FILE)
    subprocess.run(command(folder, "whole"), cwd=folder, capture_output=True, check=True)
    return folder / "results" / "whole" / "runs" / "seed-1"


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_run_goes_on_to_the_same_numbers(number: int, code: int, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(FILE)
    with subprocess.Popen(command(tmp_path, "cut"), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as begun:
        assert begun.stdout is not None
        for line in begun.stdout:
            if "task 1/3 learned" in line:
                begun.send_signal(number)
                break
        rest = begun.stdout.read()
    assert begun.returncode == code
    if number != signal.SIGKILL:
        assert "the same command" in rest
        assert "task 3/3" not in rest
    resumed = subprocess.run(command(tmp_path, "cut"), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "resumes after step" in resumed.stdout
    cut = tmp_path / "results" / "cut" / "runs" / "seed-1"
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (cut, whole)]
    assert summaries[0]["validation"] == summaries[1]["validation"]
    assert (cut / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()


@pytest.mark.faults
@pytest.mark.parametrize("entry", [["-m", "hypercl", "train"], [str(LAUNCH / "train.py")]], ids=["hypercl", "launch"])
@pytest.mark.parametrize(
    ("number", "code", "imported"), [(signal.SIGINT, 130, "hypercl.cli"), (signal.SIGTERM, 143, "torch")]
)
def test_a_signal_while_a_command_still_imports_ends_it_without_a_traceback(
    number: int, code: int, imported: str, entry: list[str], tmp_path: Path
) -> None:
    """The import of a module sends the signal: the first one of the command, or one that takes long."""
    (tmp_path / "file.yaml").write_text(FILE)
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, signal\n"
        "imported = builtins.__import__\n"
        "def sending(name, *args, **kwargs):\n"
        f"    if name == {imported!r}:\n"
        "        builtins.__import__ = imported\n"
        f"        signal.raise_signal({int(number)})\n"
        "    return imported(name, *args, **kwargs)\n"
        "builtins.__import__ = sending\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    started = [sys.executable, *entry, "file.yaml", "--results", str(tmp_path / "results")]
    ended = subprocess.run(started, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stderr.strip()) == (code, "interrupted")
    assert not (tmp_path / "results").exists()
