"""Commands as a person types them."""

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from hypercl.cli import main
from hypercl.cli.values import seconds
from hypercl.exit_codes import EXIT_CODES
from hypercl.folder_lock import folder_lock

SMALL = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [12]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 20, batch_size: 16, threads: 1, device: cpu}
"""


OWN = ("_replica_1", "_replica_2")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"


def test_train_leaves_a_complete_folder(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.yaml", "--test"]) == 0
    folder = file.parent / "results" / "small" / "runs" / "seed-1"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        ".driver.lock",
        ".writer",
        "config.yaml",
        "metrics.jsonl",
        "summary.json",
        "accuracy_matrix.csv",
        "accuracy_matrix_test.csv",
        "accuracy_matrix.png",
        "accuracy_matrix_test.png",
        "checkpoints",
    }
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == list(range(1, 41))
    printed = capsys.readouterr().out
    assert "task 2/2 learned" in printed
    assert "final accuracy" in printed
    assert str(folder) in printed


def test_replicas_have_a_folder_of_their_own_and_a_matrix_each(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.yaml"]) == 0
    assert main(["train", "small.yaml", "--test", "--set", "training.replicas=2"]) == 0
    runs = file.parent / "results" / "small" / "runs"
    assert {path.name for path in runs.iterdir()} == {"seed-1", "seeds-1-2"}
    files = {path.name for path in (runs / "seeds-1-2").glob("*.csv")}
    assert files == {f"accuracy_matrix{split}{own}.csv" for split in ("", "_test") for own in ("", *OWN)}
    rows = [json.loads(line) for line in (runs / "seeds-1-2" / "metrics.jsonl").read_text().splitlines()]
    assert all({"loss/task", "replica_1/loss/task", "replica_2/loss/task"} <= row.keys() for row in rows)
    assert "2 replicas, seeds 1 to 2" in capsys.readouterr().out


def test_a_config_of_a_run_trains_again_to_the_same_numbers(file: Path) -> None:
    assert main(["train", "small.yaml", "--test"]) == 0
    runs = file.parent / "results" / "small" / "runs" / "seed-1"
    assert main(["train", str(runs / "config.yaml"), "--name", "again", "--test"]) == 0
    again = file.parent / "results" / "again" / "runs" / "seed-1"
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (runs, again))
    assert first["test"] == second["test"]


def test_options_are_part_of_the_run(file: Path) -> None:
    assert main(["train", "small.yaml", "--seed", "7", "--name", "other", "--set", "training.iterations=5"]) == 0
    config = (file.parent / "results" / "other" / "runs" / "seed-7" / "config.yaml").read_text()
    assert "seed: 7" in config
    assert "iterations: 5" in config


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "missing.yaml"], ["file not found"]),
        (["train", "small.yaml", "--set", "method.betta=1"], ["did you mean 'beta'?"]),
        (["train", "small.yaml", "--name", "../out"], ["cannot name a folder"]),
        (["train", "small.yaml", "--device", "cuda:9"], ["there is no device"]),
        (["train", "small.yaml", "--set", "tasks={name: split_mnist}", "--data-dir", "nowhere"], ["nowhere", "MNIST"]),
        (["train", "small.yaml", "--name", ""], ["cannot name a folder"]),
        (["train", "small.yaml", "--results", "small.yaml/x"], ["--results", "small.yaml is no folder", "fix:"]),
        (["init", "quickstart", "--to", "small.yaml/x.yaml"], ["--to", "small.yaml is no folder"]),
        (["sweep", "small.yaml"], ["needs a space"]),
    ],
)
def test_a_mistake_is_a_message_with_exit_code_2(
    file: Path, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words)
    assert "Traceback" not in said
    assert not (file.parent / "out").exists()


def test_a_folder_in_use_is_refused_with_who_uses_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with folder_lock(file.parent / "results" / "small" / "runs" / "seed-1"):
        assert main(["train", "small.yaml"]) == 2
    assert f"is in use by process {os.getpid()} on" in capsys.readouterr().err
    assert not list(file.parent.rglob("config.yaml"))


def test_a_refused_run_leaves_nothing_that_the_mended_command_meets(file: Path) -> None:
    mnist = ["train", "small.yaml", "--set", "tasks={name: split_mnist}", "--offline"]
    assert main(mnist) == 2
    assert not (file.parent / "results").exists()
    assert main(["train", "small.yaml", "--set", "training.iterations=5"]) == 0


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_target_that_cannot_run_is_refused_before_anything_is_begun(
    file: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = file.parent / f"refused_by_{command}.py"
    module.write_text(
        "from torch import nn\n"
        "def make(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(63, num_classes))\n"
    )
    own = f"target: {{name: import, path: 'refused_by_{command}:make', outputs: num_classes}}"
    space = "space: {method.beta: {uniform: [0, 1]}}\n"
    file.write_text(SMALL.replace("target: {name: mlp, hidden: [12]}", own) + space)
    assert main([command, "small.yaml"]) == 2
    assert "cannot run on inputs of shape" in capsys.readouterr().err
    assert not (file.parent / "results").exists()


def test_an_option_is_not_taken_for_another_that_begins_alike() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["final", "results/small", "--set", "final.seeds=2"])


def test_what_diverges_fails_with_a_hint(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["--set", "training.optimizer.name=sgd", "--set", "training.optimizer.lr=1e18"]
    assert main(["train", str(file), *sets]) == 1
    assert "A smaller training.optimizer.lr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        *((OSError(number, "x"), 74, "rerun the same command") for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)),
        *((OSError(number, "x"), 74, "rerun the same command") for number in (errno.EIO, errno.ESTALE, errno.ENOTCONN)),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_disk_that_fails_and_an_early_ctrl_c_give_no_traceback(
    file: Path,
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("hypercl.training.folder.write_text", fail)
    assert main(["train", str(file)]) == code
    assert words in capsys.readouterr().err


def test_a_user_without_a_home_directory_trains(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a user id of its own: pathlib raises, and so does Ray when it is imported."""

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr(os, "environ", {key: value for key, value in os.environ.items() if key != "HOME"})
    with pytest.raises(RuntimeError):
        Path.home()
    assert main(["train", str(file), "--fetch"]) == 0
    assert Path.home() == Path("/")


def test_exit_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    said = capsys.readouterr().out
    assert all(f"{code.value}" in said and meaning in said for code, meaning in EXIT_CODES.items())


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0.5h", 1800)]
)
def test_times_are_written_as_people_write_them(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("options", [["--time", "soon"], ["--time", "0"], ["--trials", "0"], ["--nothing"]])
def test_a_wrong_option_is_refused_by_the_parser(file: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sweep", str(file), *options])
    assert caught.value.code == 2


def test_a_run_of_a_users_own_module_trains_again_from_elsewhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "own_net_of_a_user.py").write_text(
        "from torch import nn\n"
        "def make(width, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, num_classes))\n"
    )
    own = "target: {name: import, path: 'own_net_of_a_user:make', kwargs: {width: 8}}"
    (tmp_path / "spaces" / "own.yaml").write_text(SMALL.replace("target: {name: mlp, hidden: [12]}", own))
    assert main(["train", "spaces/own.yaml"]) == 0
    (tmp_path / "spaces" / "own_net_of_a_user.py").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delitem(sys.modules, "own_net_of_a_user")
    assert main(["train", str(tmp_path / "results" / "own" / "runs" / "seed-1" / "config.yaml"), "--name", "b"]) == 0
    assert file.exists()


def test_an_option_that_is_not_there_is_told_with_the_one_that_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["sweep", "small.yaml", "--n_trials", "3"])
    said = capsys.readouterr().err
    assert "usage: hypercl sweep" in said
    assert "unrecognized arguments: --n_trials 3; did you mean '--trials'?" in said


@pytest.mark.parametrize("command", [["train"], ["train", "--fetch"], ["sweep", "--dry-run"], ["sweep"]])
@pytest.mark.parametrize(
    "section",
    ["target: {name: import, path: 'subprocess:Popen', outputs: bufsize, kwargs: {args: [touch, ran]}}",
     "method: {name: import, path: 'subprocess:Popen', kwargs: {args: [touch, ran]}}",
     "tasks: {name: import, path: 'subprocess:Popen', num_tasks: 1, classes_per_task: 2, input_shape: [1, 2, 2]}"],
    ids=["target", "method", "tasks"],
)  # fmt: skip
def test_a_program_that_a_file_names_is_not_run(
    file: Path, capsys: pytest.CaptureFixture[str], command: list[str], section: str
) -> None:
    tasks = "" if section.startswith("tasks") else "  tasks: {name: split_digits, num_tasks: 2}\n"
    file.write_text(f"experiment:\n{tasks}  {section}\nspace: {{training.batch_size: {{choice: [16, 128]}}}}\n")
    if "--fetch" in command and tasks:
        return
    assert main([*command, "small.yaml"]) == 2
    assert "--trust subprocess:Popen" in capsys.readouterr().err
    assert not (file.parent / "ran").exists()


def test_code_kept_with_the_results_of_others_is_named_and_runs_as_it_was_only(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file.parent / "net.py").write_text(
        "from torch import nn\n\n\n"
        "def make(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    target = "target: {name: import, path: 'net:make'}"
    file.write_text(SMALL.replace("target: {name: mlp, hidden: [12]}", target))
    assert main(["train", "small.yaml"]) == 0
    (file.parent / "net.py").unlink()
    run = file.parent / "results" / "small" / "runs" / "seed-1"
    assert main(["train", str(run / "config.yaml"), "--results", "mine"]) == 0
    assert "code of these results: results/small/runs/seed-1/code/net.py, SHA-256 " in capsys.readouterr().err
    (run / "code" / "net.py").write_text("open('ran', 'w').close()\n" + (run / "code" / "net.py").read_text())
    again = ["train", str(run / "config.yaml"), "--results", "again"]
    assert main(again) == 2
    assert f"--trust {run / 'code'}" in capsys.readouterr().err
    assert not (file.parent / "ran").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERCL_TRUST", "")
        assert main([*again, "--trust", str(run)]) == 0
