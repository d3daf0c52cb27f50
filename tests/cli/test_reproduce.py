"""`hypercl reproduce`: a table of published results, reproduced."""

import json
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest

from hypercl.cli import main, reproduce
from hypercl.loggers.composite import Loggers
from hypercl.reproduce import load_reproduction, read_reproduction, reproduction_markdown, table_file
from hypercl.training import Diverged

SMALL = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [12]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 20, batch_size: 16, threads: 1, device: cpu}
"""
TABLE = """
title: Digits, two tasks
set: {training.replicas: 2}
rows:
  hnet: {label: HNET, file: small.yaml, source: somebody, cells: {task: {published: 99.8}}}
  ent:
    label: HNET+ENT
    file: small.yaml
    set: {method.name: hnet_ent}
    cells: {domain: {published: 80}}
  none:
    label: fine-tuning
    file: small.yaml
    set: {method.name: finetune, hypernet.name: none}
    cells: {class: {}}
"""
COMMAND = ["reproduce", "digits.yaml"]
CELLS = ["hnet-task", "ent-domain", "none-class"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "digits.yaml").write_text(TABLE)
    return tmp_path


def numbers(place: Path, name: str = "digits") -> pd.DataFrame:
    return read_reproduction(place / "results" / name / "table.csv")


def test_one_command_runs_every_cell_and_leaves_numbers_table_and_figure(place: Path, capsys: Captured) -> None:
    assert main(COMMAND) == 0
    frame = numbers(place)
    assert list(zip(frame["cell"], frame["seed"], strict=True)) == [(cell, seed) for cell in CELLS for seed in (1, 2)]
    assert frame["accuracy"].between(0, 1).all()
    assert frame.loc[frame["cell"] == "ent-domain", "task_inference_accuracy"].notna().all()
    assert (frame["seconds"] > 0).all()
    assert (frame["hardware"] != "").all()
    assert set(frame["changed"]) == {""}
    folder = place / "results" / "digits"
    summary = json.loads((folder / "hnet-task" / "seeds-1-2" / "summary.json").read_text())
    assert [each["test"]["final_accuracy"] for each in summary["replicas"]] == pytest.approx(
        list(frame["accuracy"][:2]), abs=1e-5
    )
    assert (folder / "table.png").read_bytes().startswith(b"\x89PNG")
    assert "| HNET+ENT |" in (folder / "table.md").read_text()
    assert "hnet-task   1-2    99.80 %    to do" in capsys.readouterr().out


def test_a_finished_cell_is_not_run_again(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert main([*COMMAND, "--only", "hnet"]) == 0
    ran: list[str] = []
    train = reproduce._run_cell
    monkeypatch.setattr(reproduce, "_run_cell", lambda job, *rest: ran.append(job.cell.name) or train(job, *rest))
    assert main([*COMMAND, "--only", "hnet", "class"]) == 0
    assert ran == ["none-class"]
    assert list(numbers(place)["cell"].unique()) == CELLS
    assert list(numbers(place)["note"]) == ["", "", "not begun", "", ""]
    assert "hnet-task   1-2    99.80 %    done" in capsys.readouterr().out


def test_the_test_data_of_a_run_that_was_trained_without_is_opened(place: Path) -> None:
    cell = place / "results" / "digits" / "hnet-task"
    cell.mkdir(parents=True)
    assert main(["train", "small.yaml", "--set", "training.replicas=2", "--name", "earlier"]) == 0
    (run,) = (place / "results" / "earlier" / "runs").iterdir()
    shutil.copytree(run, cell / run.name)
    assert main([*COMMAND, "--only", "hnet"]) == 0
    assert numbers(place).query("cell == 'hnet-task'")["accuracy"].between(0, 1).all()


def test_an_interrupted_table_goes_on_to_the_same_numbers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*COMMAND, "--only", "hnet", "ent"]
    assert main([*command, "--name", "whole"]) == 0
    heard = Loggers.hear
    reports = []

    def ctrl_c(self: Loggers, item: object) -> None:
        heard(self, item)
        reports.append(type(item).__name__)
        if reports.count("Report") == 11:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Loggers, "hear", ctrl_c)
        assert main(command) == 130
    assert list(numbers(place)["note"]) == ["", "", "begun, not finished", "not begun"]
    assert main(command) == 0
    same = ["cell", "seed", "accuracy", "during_accuracy", "iterations", "settings"]
    pd.testing.assert_frame_equal(numbers(place)[same], numbers(place, "whole")[same])


def test_a_budget_that_is_over_begins_nothing_more_and_says_so_by_its_code(place: Path) -> None:
    assert main([*COMMAND, "--budget", "0.001s"]) == 75
    assert (numbers(place)["accuracy"].isna()).all()
    assert main([*COMMAND, "--only", "hnet", "--budget", "1h"]) == 0
    assert list(numbers(place)["note"]) == ["", "", "not begun", "not begun"]


def test_a_cell_that_fails_leaves_the_others_alone_and_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = reproduce.run

    def failing(experiment, place, **options):
        if experiment.method.name == "hnet":
            raise Diverged(7, float("nan"), 0)
        if experiment.method.name == "hnet_ent":
            raise RuntimeError("out of\nmemory")
        yield from train(experiment, place, **options)

    with monkeypatch.context() as patched:
        patched.setattr(reproduce, "run", failing)
        assert main(COMMAND) == 1
    notes = list(numbers(place)["note"])
    assert notes == ["diverged: the loss became nan at step 7 (task 1)", "RuntimeError: out of memory", "", ""]
    table = (place / "results" / "digits" / "table.md").read_text()
    assert "RuntimeError: out of memory: `ent-domain`" in table
    assert main([*COMMAND, "--only", "hnet"]) == 0
    assert list(numbers(place)["note"]) == ["", "", "RuntimeError: out of memory", "", ""]


def test_what_was_cut_is_written_beside_the_numbers(place: Path) -> None:
    assert main([*COMMAND, "--only", "hnet", "--seeds", "1", "--set", "training.iterations=5"]) == 0
    first = numbers(place).iloc[0]
    assert (first["iterations"], first["changed"], first["seeds_together"]) == (10, "training.iterations=5", 1)
    assert "(a) not as published" in (place / "results" / "digits" / "table.md").read_text()


def test_numbers_of_other_settings_do_not_come_into_the_same_cell(place: Path, capsys: Captured) -> None:
    assert main([*COMMAND, "--only", "hnet"]) == 0
    assert main([*COMMAND, "--only", "hnet", "--seeds", "1", "--set", "method.beta=5"]) == 2
    said = capsys.readouterr().err
    assert "method.beta: 0.01 -> 5" in said
    assert "--name" in said
    assert main([*COMMAND, "--only", "hnet", "--seeds", "1", "--set", "training.seed=3"]) == 0
    assert list(numbers(place)["seed"].dropna()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["split_mnits"], ["did you mean 'split_mnist'?", "permuted_mnist"]),
        (["digits.yaml", "--only", "hnt"], ["did you mean 'hnet'?"]),
        (["digits.yaml", "--set", "method.betta=1"], ["cell hnet-task", "cell none-class", "method.betta"]),
        (["digits.yaml", "--name", "../out"], ["cannot name a folder"]),
        (["missing.yaml"], ["file not found"]),
        (["digits.yaml", "--table", "no.csv"], ["no.csv"]),
    ],
)
def test_a_mistake_is_a_message_before_anything_is_begun(
    place: Path, arguments: list[str], words: list[str], capsys: Captured
) -> None:
    assert main(["reproduce", *arguments]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words)
    assert not (place / "results").exists()


def test_a_dry_run_prints_the_plan_and_writes_nothing(place: Path, capsys: Captured) -> None:
    assert main([*COMMAND, "--dry-run"]) == 0
    assert all(cell in capsys.readouterr().out for cell in CELLS[:1])
    assert not (place / "results").exists()


def test_a_table_of_numbers_is_printed_as_the_markdown_of_the_results(place: Path, capsys: Captured) -> None:
    assert main([*COMMAND, "--only", "hnet"]) == 0
    capsys.readouterr()
    assert main([*COMMAND, "--table", "results/digits/table.csv"]) == 0
    printed = capsys.readouterr().out
    assert printed == (place / "results" / "digits" / "table.md").read_text().split("\n", 2)[2]
    assert "`none-class`" in printed


@pytest.mark.usefixtures("place")
def test_a_shipped_table_is_known_by_its_name_in_any_folder(capsys: Captured) -> None:
    assert main(["reproduce", "split_mnist", "--only", "hnet", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "1 of 41 cells" in said
    assert "hnet-task  1-3    99.79 %    to do" in said


def test_the_documented_table_is_what_its_numbers_render() -> None:
    root = Path(__file__).parents[2]
    numbers = read_reproduction(root / "tests/benchmarks/results/reproduce-split_mnist.csv")
    wanted = reproduction_markdown(load_reproduction(table_file("split_mnist")), numbers)
    assert wanted.strip() in (root / "docs" / "pages" / "results.md").read_text(encoding="utf-8")
