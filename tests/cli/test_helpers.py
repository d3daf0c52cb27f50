"""The commands that look and help, as a person types them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hypercl.cli import main
from hypercl.cli.parser import commands_of, parsed, parser_of_all
from hypercl.cli.report import ranked
from hypercl.cli.show import progress_lines
from hypercl.config import load
from hypercl.config.explain.schema import schema_text
from hypercl.formatting import headings, typed
from hypercl.shipped_files import purpose, shipped
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.study import SweepStudy

ROOT = Path(__file__).parents[2]
Captured = pytest.CaptureFixture[str]
SURFACE = {
    "train": "file --set --results --name --data-dir --offline --trust --device --seed --threads --test --fetch",
    "fetch": "file --set --data-dir --offline --trust --nodes --address",
    "sweep": "file --set --results --name --data-dir --offline --trust --trials --no-final --join --time --cpus "
    "--gpus --max-concurrent --max-gpu-hours --max-cost --price-per-gpu-hour "
    "--prefer --fork --address --quiet --json --dry-run --show --status",
    "submit": "file --set --results --name --data-dir --offline --trust --trials --no-final --join --time --cpus "
    "--gpus --max-concurrent --max-gpu-hours --max-cost --price-per-gpu-hour "
    "--prefer --address --pip --detach --follow --stop --status --list",
    "enqueue": "results setting",
    "final": "results --settings --seeds --again --time --cpus --gpus --max-concurrent "
    "--max-gpu-hours --max-cost --price-per-gpu-hour --address --quiet --json --data-dir --offline --trust",
    "reproduce": "file --set --results --name --data-dir --offline --trust --only --seeds --budget --dry-run --table",
    "analyse": "results --points --to --data-dir --offline --trust",
    "cluster": "what kind --to --image --claim --region --filesystem --project --head --workers --user",
    "doctor": "results --fix --wandb --data-dir --offline",
    "explain": "path",
    "init": "name --to",
    "list": "folder",
    "dashboard": "file",
    "upload": "folder",
    "predict": "results files --task --device --data-dir --offline --trust",
    "report": "results --together --top --prefer --to --html",
    "schema": "--write",
    "tail": "results trial --lines",
    "completion": "shell",
}
"""Every command with its arguments: what stands here is promised to scripts. New ones are added, none is taken away."""
TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [12]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 20, batch_size: 16, threads: 1, device: cpu}
space: {method.beta: {log_uniform: [1e-4, 10]}, method.lookahead: {choice: [true, false]}}
search: {sampler: random, trials: 3, confirm: false}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def swept(place: Path) -> Path:
    """results/small of the file small.yaml: the first trial really trained, the second failed."""
    from hypercl.sweep.workers.job import TrialJob
    from hypercl.sweep.workers.trainable import RunTrainable

    (place / "small.yaml").write_text(TEXT)
    file, folder = load("small.yaml"), place / "results" / "small"
    write_sweep(folder, file, "small")
    study = SweepStudy(folder / "study.journal", "small", file, threads=1)
    study.ask()
    job = TrialJob(
        number=0,
        name="small-trial-0",
        experiment=file.experiment.model_dump(mode="json", exclude_none=True),
        folder=folder / "trials" / "0",
        stop_file=folder / ".stop",
        data_dir=place / "data",
        offline=True,
        import_paths=(),
        reports_per_task=4,
        takes={"CPU": 1.0},
        loggers=None,
    )
    trainable, result = RunTrainable({"job": job}), dict[str, Any]()
    while not result.get("done"):
        result = trainable.step()
        if "value" in result:
            study.report(0, result["step"], result["value"])
    metrics = dict(result["metrics"])
    study.decide(0, Outcome("complete", value=metrics["validation/final_accuracy"], metrics=metrics, seconds=1.0))
    study.settle(0)
    study.ask()
    study.decide(1, Outcome("failed", "Traceback\nValueError: broken"))
    study.settle(1)
    (folder / "trials" / "1").mkdir()
    (folder / "trials" / "1" / "error.txt").write_text("Traceback\nValueError: broken\n")
    return folder


def test_the_public_surface_is_the_one_that_is_promised() -> None:
    commands = commands_of(parser_of_all())
    found = {
        name: " ".join(
            (action.option_strings or [action.dest])[-1] for action in parser._actions if action.dest != "help"
        )
        for name, parser in commands.items()
    }
    assert found == SURFACE


@pytest.mark.parametrize("command", [["-m", "hypercl"], ["launch/report.py"], ["launch/reproduce.py"]])
def test_the_commands_are_there_as_a_module_and_as_scripts(command: list[str]) -> None:
    asked = [sys.executable, *command, "--help"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "usage: hypercl" in said


def test_init_lists_the_shipped_files(capsys: Captured) -> None:
    assert main(["init"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in shipped())
    assert "$schema" not in said
    assert "digits" in said
    cut = [text for file in shipped().values() if (text := purpose(file.read_text(encoding="utf-8")))[-1] != "."]
    assert cut == []


def test_init_copies_a_file_that_can_be_swept_and_its_schema(place: Path, capsys: Captured) -> None:
    assert main(["init", "quickstart"]) == 0
    assert "hypercl sweep quickstart.yaml" in capsys.readouterr().out
    assert (place / "schema.json").read_text() == (ROOT / "search_spaces" / "schema.json").read_text()
    assert load(place / "quickstart.yaml").space
    assert main(["init", "quickstart", "--to", "own/mine.yaml"]) == 0
    assert (place / "own" / "mine.yaml").read_text() == (place / "quickstart.yaml").read_text()
    assert (place / "own" / "schema.json").is_file()


def test_init_never_writes_over_a_file(place: Path, capsys: Captured) -> None:
    (place / "quickstart.yaml").write_text("mine")
    (place / "schema.json").write_text("mine too")
    assert main(["init", "quickstart"]) == 2
    assert "stays as it is" in capsys.readouterr().err
    assert main(["init", "quickstart", "--to", "other.yaml"]) == 0
    assert (place / "quickstart.yaml").read_text() == "mine"
    assert (place / "schema.json").read_text() == "mine too"


@pytest.mark.parametrize("name", ["split_mnist_ent", "permuted_mnist_250"])
def test_init_copies_what_a_file_includes(place: Path, name: str, capsys: Captured) -> None:
    assert main(["init", name]) == 0
    assert "shared/search.yaml" in capsys.readouterr().out
    spaces = ROOT / "search_spaces"
    assert load(place / f"{name}.yaml") == load(spaces / f"{name}.yaml")
    assert (place / "shared" / "search.yaml").read_text() == (spaces / "shared" / "search.yaml").read_text()
    assert main(["init", "split_mnist_tir", "--to", "own/mine.yaml"]) == 0
    assert load(place / "own" / "mine.yaml") == load(spaces / "split_mnist_tir.yaml")


def test_init_writes_nothing_where_an_included_name_is_taken(place: Path, capsys: Captured) -> None:
    (place / "shared").mkdir()
    (place / "shared" / "search.yaml").write_text("search: {trials: 3}")
    assert main(["init", "split_mnist"]) == 2
    said = capsys.readouterr().err
    assert "split_mnist includes shared/search.yaml" in said
    assert "stays as it is" in said
    assert [path.name for path in place.rglob("*.*")] == ["search.yaml"]
    assert main(["init", "split_mnist", "--to", "own/split_mnist.yaml"]) == 0
    assert main(["init", "split_mnist_ent", "--to", "other/split_mnist.yaml"]) == 2
    assert "another name" in capsys.readouterr().err


def test_init_of_an_unknown_name_says_what_there_is(place: Path, capsys: Captured) -> None:
    assert main(["init", "quickstrat"]) == 2
    said = capsys.readouterr().err
    assert "did you mean 'quickstart'?" in said
    assert not list(place.iterdir())


def test_schema_is_printed_and_written(place: Path, capsys: Captured) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()
    assert main(["schema", "--write", "s.json"]) == 0
    assert (place / "s.json").read_text() == schema_text()


def test_explain_prints_a_key(capsys: Captured) -> None:
    assert main(["explain", "method.beta"]) == 0
    said = capsys.readouterr().out
    for words in ("Weight of the output regulariser", "0.01", "--set method.beta=0.01", "{log_uniform: [0.001, 0.1]}"):
        assert words in said


def test_explain_prints_sections_and_refuses_what_is_not_there(capsys: Captured) -> None:
    assert main(["explain"]) == 0
    assert "constraints" in capsys.readouterr().out
    assert main(["explain", "method"]) == 0
    said = capsys.readouterr().out
    assert "hnet (default)" in said
    assert "keys of hnet" in said
    assert main(["explain", "method.betta"]) == 2
    assert "did you mean 'method.beta'?" in capsys.readouterr().err


@pytest.mark.parametrize("named", ["small.yaml", "results/small"])
def test_show_prints_a_trial_by_the_file_or_the_folder(swept: Path, named: str, capsys: Captured) -> None:
    assert main(["sweep", named, "--show", "0"]) == 0
    said = capsys.readouterr().out
    for words in ("trial", "complete", "rank 1 of 1", "method.beta", "####", "task 1", "validation/forgetting"):
        assert words in said
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    assert f"hypercl train {Path('results/small/trials/0/config.yaml')}" in said
    assert swept.is_dir()


def test_show_prints_what_went_wrong(swept: Path, capsys: Captured) -> None:
    assert main(["sweep", str(swept), "--show", "1"]) == 0
    said = capsys.readouterr().out
    assert "failed" in said
    assert "ValueError: broken" in said
    values = [line for line in said.splitlines() if "method.beta" in line]
    assert values[0].startswith(" * "), "a value other than the experiment's own is marked"
    assert main(["sweep", str(swept), "--show", "2"]) == 2
    assert "it has trials 0 to 1" in capsys.readouterr().err


def test_a_trials_file_trains_again_to_the_same_numbers(swept: Path, place: Path) -> None:
    assert main(["train", str(swept / "trials" / "0" / "config.yaml")]) == 0
    again = place / "results" / "small-trial-0" / "runs" / "seed-1"
    assert (again / "accuracy_matrix.csv").read_text() == (swept / "trials" / "0" / "accuracy_matrix.csv").read_text()


def test_a_sweep_knows_whose_test_data_was_opened_by_train(swept: Path, capsys: Captured) -> None:
    command = ["train", str(swept / "trials" / "0" / "config.yaml")]
    assert main(command) == 0
    assert main(["report", str(swept)]) == 0
    assert "no test data has been opened" in capsys.readouterr().out
    for _ in range(2):
        assert main([*command, "--test"]) == 0
    assert main(["report", str(swept)]) == 0
    assert main(["sweep", "--status", str(swept)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("opened by hypercl train --test once, at ") == 2
    assert said.count("trials/0/config.yaml on seed 1, in ") == 2
    assert "no test data has been opened" not in said


def test_status_and_report_of_a_sweep_that_was_moved(swept: Path, place: Path, capsys: Captured) -> None:
    shutil.move(swept, place / "elsewhere")
    assert main(["sweep", "--status", "elsewhere"]) == 0
    assert "1 of 3: 1 complete, 1 failed" in capsys.readouterr().out
    assert main(["report", "elsewhere", "--to", "out"]) == 0
    said = capsys.readouterr().out
    assert "best of 1 complete trial by validation/final_accuracy" in said
    assert "cannot be said before" in said
    assert {path.name for path in (place / "out").glob("*.png")} == {
        "history.png",
        "parameters.png",
        "accuracy_matrix.png",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep"], "a sweep needs a file"),
        (["sweep", "--status", "nowhere"], "there is no folder nowhere"),
        (["report", "."], "holds no sweep"),
    ],
)
def test_a_mistake_is_a_message(place: Path, arguments: list[str], words: str, capsys: Captured) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    assert not list(place.iterdir())


def test_a_table_holds_values_as_they_are_written(capsys: Captured) -> None:
    row = {"trial": 0, "value": 0.123456, "a.flag": True, "a.hidden": [10, 10], "a.clip": None, "a.gone": ""}
    Console(width=200).print(ranked([row], "best"))
    assert capsys.readouterr().out.splitlines()[-1].split() == ["1", "0", "0.1235", "true", "[10,", "10]", "null"]


def test_headings_are_short_and_clear() -> None:
    paths = ["trial", "training.optimizer.lr", "target.hidden", "hypernet.hidden", "training.optimizer.name"]
    assert headings(paths) == ["trial", "lr", "target hidden", "hypernet hidden", "optimizer name"]


def test_progress_has_a_line_for_each_task_and_the_last_report_and_fits_into_80_columns() -> None:
    reported = [(step, 0.9 * step / 20) for step in range(1, 11)]
    lines = [line.split() for line in progress_lines(reported, 4, 5)]
    assert [line[:2] for line in lines] == [["1", "0.9000"], ["2", "0.9000"], ["2.5", "0.7500"]]
    assert [len(line[2]) for line in lines] == [45, 45, 38]
    many = progress_lines([(step, step / 400) for step in range(1, 401)], 4, 100)
    assert [line.split()[0] for line in many] == [f"{10 * (place + 1)}" for place in range(10)]
    assert max(map(len, many)) <= 80


SCRIPT = """
source /dev/stdin <<'END'
{script}
END
COMP_WORDS=({words})
COMP_CWORD={index}
_shtab_hypercl 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def bash_script() -> str:
    asked = [sys.executable, "-m", "hypercl", "completion", "bash"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def completed(script: str, words: list[str], folder: Path) -> set[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    program = SCRIPT.format(script=script, words=quoted, index=len(words) - 1)
    found = subprocess.run(["bash"], input=program, cwd=folder, capture_output=True, text=True, env=dict(os.environ))
    return set(found.stdout.split())


def test_the_bash_script_is_sound_and_completes(bash_script: str, tmp_path: Path) -> None:
    subprocess.run(["bash", "-n"], input=bash_script, text=True, check=True)
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "mine.txt").touch()
    (tmp_path / "results").mkdir()
    assert completed(bash_script, ["hypercl", "re"], tmp_path) == {"report", "reproduce"}
    assert "--max-concurrent" in completed(bash_script, ["hypercl", "sweep", "--m"], tmp_path)
    assert completed(bash_script, ["hypercl", "sweep", "mi"], tmp_path) == {"mine.yaml"}
    assert completed(bash_script, ["hypercl", "train", "mi"], tmp_path) == {"mine.yaml"}
    assert completed(bash_script, ["hypercl", "report", "r"], tmp_path) == {"results"}
    assert completed(bash_script, ["hypercl", "explain", "method.be"], tmp_path) == {"method.beta"}
    assert completed(bash_script, ["hypercl", "completion", "z"], tmp_path) == {"zsh"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_with_every_command(shell: str, capsys: Captured, tmp_path: Path) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in SURFACE)
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


@pytest.mark.parametrize("option", ["--cpus=0", "--cpus=nan", "--cpus=-1", "--cpus=inf", "--gpus=nan", "--gpus=-1"])
def test_a_number_of_processors_that_no_machine_has_is_refused(option: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed(["sweep", "file.yaml", option])


def test_the_home_directory_may_stand_after_an_equals_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("HYPERCL_DATA", "~/data")
    options = parsed(["train", "file.yaml", "--results=~/r"])
    assert (str(options.results), str(options.data_dir)) == ("/home/somebody/r", "/home/somebody/data")


def test_a_command_to_be_copied_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed(tmp_path / "my results; rm") == "'my results; rm'"
