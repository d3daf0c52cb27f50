"""`hypercl reproduce`, where the table is one of sweeps."""

from pathlib import Path

import pandas as pd
import pytest

from hypercl.cli import main
from hypercl.reproduce.jobs import table_file
from hypercl.reproduce.table import Comparison, load_reproduction
from hypercl.sweep.study.record import read_sweep

SMALL = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [12]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 12, batch_size: 16, threads: 1, device: cpu}
space: {method.beta: {log_uniform: [1e-3, 10]}}
pruner: {name: none}
"""
TABLE = """
title: Digits under two protocols
file: small.yaml
set: {search.trials: 2, final: {settings: 1, seeds: 5}}
sweeps:
  honest: {protocol: {name: first_k, k: 2}}
  leak:   {protocol: {name: test_leak}}
"""
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "two.yaml").write_text(TABLE)
    return tmp_path


@pytest.mark.slow
def test_one_command_sweeps_under_every_protocol_and_sets_promise_and_result_side_by_side(
    place: Path, capsys: Captured
) -> None:
    assert main(["reproduce", "two.yaml"]) == 0
    told = capsys.readouterr().out
    folder = place / "results" / "two"
    frame = pd.read_csv(folder / "table.csv")
    assert set(frame["sweep"]) == {"honest", "leak"}
    assert (folder / "table.png").stat().st_size > 10_000
    assert "TEST LEAK" in (folder / "table.md").read_text()
    assert read_sweep(folder / "honest").file.experiment.tasks.num_tasks == 2
    _, leaking = told.split("── leak", 1) if "── leak" in told else told.split("leak ──", 1)
    lines = [line for line in leaking.splitlines()[1:] if line.startswith(("trial ", "final step"))]
    assert lines == []  # every one of them begins with the mark
    assert main(["reproduce", "two.yaml"]) == 0
    assert "trial 0 started" not in capsys.readouterr().out


def test_a_dry_run_tells_the_protocols_and_writes_nothing(place: Path, capsys: Captured) -> None:
    assert main(["reproduce", "two.yaml", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "first_k: tuned on the first 2 of 3 tasks" in told
    assert "TUNED ON TEST DATA" in told
    assert not (place / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "honset"], "did you mean 'honest'"),
        (["--table", "table.csv"], "this is one of sweeps"),
        (["--set", "method.betta=1"], "unknown key"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    place: Path, capsys: Captured, arguments: list[str], told: str
) -> None:
    assert main(["reproduce", "two.yaml", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not (place / "results").exists()


def test_the_shipped_comparison_differs_in_nothing_but_the_protocol() -> None:
    file = table_file("protocols")
    table = load_reproduction(file)
    assert isinstance(table, Comparison)
    shipped = Path(__file__).parents[2] / "search_spaces" / f"{table.file}.yaml"
    sweeps = [table.sweep(name, shipped) for name in table.sweeps]
    assert [each.protocol.name for each in sweeps] == list(table.sweeps)
    same = {"experiment", "space", "objective", "constraints", "pruner", "final"}
    assert len({each.model_dump_json(include=same) for each in sweeps}) == 1
    assert len({(each.search.sampler, each.search.seed) for each in sweeps}) == 1
    assert {each.protocol.name: each.search.trials for each in sweeps} == {
        "test_leak": 24, "stream": 24, "first_k": 24, "stability_decay": 47,
    }  # fmt: skip


def test_the_documented_table_of_protocols_is_the_one_that_was_measured() -> None:
    root = Path(__file__).parents[2]
    measured = (root / "tests" / "benchmarks" / "results" / "protocols.md").read_text()
    table = [line for line in measured.splitlines() if line.startswith("|")]
    assert len(table) > 3
    assert "\n".join(table) in (root / "docs" / "pages" / "results.md").read_text()
