"""One run, from beginning to end, interrupted and not."""

import hashlib
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from hypercl.config import Experiment, UserError, loads
from hypercl.folder_lock import Superseded
from hypercl.loggers import JsonLines
from hypercl.tasks import NoTestData, open_stream
from hypercl.training import Diverged, Finished, Report, RunFolders, Started, Tick, loop, run, running, two_steps
from hypercl.training.checkpoint import Checkpoints, write
from hypercl.training.loop import report_steps

ITERATIONS = 24


def experiment(*overrides: str) -> Experiment:
    text = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 3}}
  target: {{name: mlp, hidden: [12]}}
  hypernet: {{name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}}
  training: {{iterations: {ITERATIONS}, batch_size: 16, optimizer: {{name: adam, lr: 1e-2}}, threads: 1, device: cpu}}
"""
    return loads(text, "x", overrides).experiment


@pytest.fixture
def place(tmp_path: Path) -> RunFolders:
    return RunFolders(tmp_path / "run", tmp_path / "data")


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick after every step, so that a run can be interrupted anywhere."""
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)


def summary_of(items: Iterator[Any]) -> dict[str, Any]:
    *_, last = items
    assert isinstance(last, Finished)
    return last.summary.plain()


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return left == right or (left != left and right != right)


def final_state(folder: Path) -> Any:
    """The newest checkpoint without what measures time."""
    content = Checkpoints(folder / "checkpoints").newest()
    assert content is not None
    reports = [{**report, "seconds": 0} for report in content["reports"]]
    return {**content, "seconds": 0, "reports": reports, "untold": None}


def metrics(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: summary[key] for key in ("validation", "test", "parameters", "iterations")}


def test_a_run_tells_its_start_its_reports_on_one_scale_and_its_end(place: RunFolders) -> None:
    items = list(run(experiment(), place, test=True, reports_per_task=4))
    assert isinstance(items[0], Started)
    assert items[0].iterations == (ITERATIONS,) * 3
    reports = [item for item in items if isinstance(item, Report)]
    assert [report.step for report in reports] == list(range(1, 13))
    assert [report.learned for report in reports] == [False, False, False, True] * 3
    for report in reports:
        assert len(report.accuracies) == report.task + 1
        assert report.value == pytest.approx(sum(report.accuracies) / 3)
        assert report.rows[-1]["step"] == report.step
    summary = summary_of(iter(items))
    assert summary["test"]["final_accuracy"] > 0.7
    assert summary["validation"]["why"]["forward_transfer"]
    assert json.loads((place.folder / "summary.json").read_text()) == summary


def test_rows_come_in_order_without_gaps_or_repeats(place: RunFolders) -> None:
    rows = [row for item in run(experiment(), place) if isinstance(item, Report) for row in item.rows]
    assert [row["iteration"] for row in rows] == list(range(1, 3 * ITERATIONS + 1))
    assert all(("loss/regularizer" in row) == (row["task"] > 1) for row in rows)


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("method", ["hnet", "finetune", "scratch", "joint"])
def test_a_resumed_run_equals_an_uninterrupted_one(method: str, tmp_path: Path) -> None:
    setting = experiment(f"method.name={method}", "training.schedule.name=cosine", "training.clip_norm=1.0")
    whole, cut = RunFolders(tmp_path / "whole", tmp_path), RunFolders(tmp_path / "cut", tmp_path)
    expected = summary_of(run(setting, whole, test=True))
    parts = 0
    while not (cut.folder / "summary.json").exists():
        parts += 1
        with closing(run(setting, cut, test=True)) as progress:
            ticks = 0
            for item in progress:
                ticks += isinstance(item, Tick)
                if ticks == 13:
                    break
    assert parts > 5
    assert metrics(json.loads((cut.folder / "summary.json").read_text())) == metrics(expected)
    assert equal(final_state(cut.folder), final_state(whole.folder))
    matrices = [(each.folder / "accuracy_matrix_test.csv").read_text() for each in (whole, cut)]
    assert matrices[0] == matrices[1]


def test_a_resumed_run_gives_its_history_and_repeats_only_its_newest_report(place: RunFolders) -> None:
    with closing(run(experiment(), place)) as progress:
        first = [next(progress) for _ in range(4)]
    second = list(run(experiment(), place))
    told = [item.step for item in first if isinstance(item, Report)]
    assert isinstance(second[0], Started)
    assert [report.step for report in second[0].history] == told
    again = [item for item in second if isinstance(item, Report)]
    assert again[0].step == told[-1]
    assert again[0].rows == next(item for item in first if isinstance(item, Report) and item.step == told[-1]).rows
    assert [report.step for report in again] == list(range(told[-1], 13))


def test_a_process_that_was_cut_off_writes_nothing_once_its_successor_has_begun(place: RunFolders) -> None:
    logger = JsonLines(place.folder)
    cut_off = run(experiment(), place)
    for item in cut_off:
        logger.hear(item)
        if isinstance(item, Report):
            break
    rows = (place.folder / "metrics.jsonl").read_bytes()
    expected = summary_of(run(experiment(), place))
    checkpoints = {path: path.read_bytes() for path in place.folder.rglob("*.pt")}
    with pytest.raises(Superseded, match="began later"):
        list(cut_off)
    with pytest.raises(Superseded):
        logger.report(Report(9, 0.5, 2, 10**6, (0.5,), True, 1.0, rows=({"iteration": 10**6, "task": 3},)))
    assert json.loads((place.folder / "summary.json").read_text()) == expected
    assert {path: path.read_bytes() for path in place.folder.rglob("*.pt")} == checkpoints
    assert (place.folder / "metrics.jsonl").read_bytes() == rows


def test_a_finished_run_is_not_trained_again(place: RunFolders) -> None:
    summary = summary_of(run(experiment(), place))
    again = list(run(experiment(), place))
    assert [type(item) for item in again] == [Started, Finished]
    assert summary_of(iter(again)) == summary


@pytest.mark.parametrize("damage", ["cut", "garbled", "emptied", "junk", "no run", "unreadable"])
def test_a_torn_checkpoint_is_passed_over_for_the_one_before(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, torn = RunFolders(tmp_path / "whole", tmp_path), RunFolders(tmp_path / "torn", tmp_path)
    expected = summary_of(run(experiment(), whole, test=True))
    with closing(run(experiment(), torn, test=True)) as progress:
        for item in progress:
            if isinstance(item, Report) and item.step == 6:
                break
    newest = sorted((torn.folder / "checkpoints").glob("step-*.pt"))[-1]
    content = newest.read_bytes()
    middle = len(content) // 2
    garbled = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    if damage == "unreadable":  # reading this process's memory at 0 is an I/O error
        newest.unlink()
        newest.symlink_to("/proc/self/mem")
    elif damage == "no run":
        write(newest, {"step": 3})
    elif damage == "junk":
        junk = b"no zip archive"
        header = {"format": "hypercl-checkpoint", "version": 2, "sha256": hashlib.sha256(junk).hexdigest()}
        newest.write_bytes(json.dumps(header).encode() + b"\n" + junk)
    else:
        newest.write_bytes({"cut": content[:middle], "garbled": garbled, "emptied": b""}[damage])
    summary = summary_of(run(experiment(), torn, test=True))
    assert "using the checkpoint before it" in caplog.text
    assert metrics(summary) == metrics(expected)


def test_a_run_without_any_sound_checkpoint_starts_over(place: RunFolders) -> None:
    with closing(run(experiment(), place)) as progress:
        [next(progress) for _ in range(6)]
    for path in (place.folder / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    items = list(run(experiment(), place))
    assert isinstance(items[0], Started)
    assert items[0].history == ()


def test_a_run_whose_checkpoints_cannot_be_read_now_does_not_start_over(place: RunFolders) -> None:
    with closing(run(experiment(), place)) as progress:
        [next(progress) for _ in range(6)]
    for path in (place.folder / "checkpoints").iterdir():
        path.unlink()
        path.symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match="no checkpoint can be read"):
        list(run(experiment(), place))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"{", b"\xff", b'{"validation": 3}'])
def test_a_damaged_summary_is_made_again_from_the_checkpoint(content: bytes, place: RunFolders) -> None:
    expected = summary_of(run(experiment(), place))
    (place.folder / "summary.json").write_bytes(content)
    assert summary_of(run(experiment(), place))["validation"] == expected["validation"]


def test_a_damaged_summary_of_test_data_is_a_message(place: RunFolders) -> None:
    list(run(experiment(), place, test=True))
    (place.folder / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"summary\.json is damaged"):
        list(run(experiment(), place, test=True))


def test_a_run_removes_what_a_kill_left_half_written(place: RunFolders) -> None:
    place.folder.mkdir()
    (place.folder / "config.yaml.partial-999999999").touch()
    next(iter(run(experiment(), place)))
    assert [path.name for path in place.folder.glob("config.yaml*")] == ["config.yaml"]


def test_what_diverges_says_where(place: RunFolders) -> None:
    with pytest.raises(Diverged) as caught:
        list(run(experiment("training.optimizer.name=sgd", "training.optimizer.lr=1e18"), place))
    assert 1 <= caught.value.iteration <= ITERATIONS
    assert caught.value.task == 0


def test_a_run_without_test_cannot_reach_test_data(place: RunFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = running.open_stream
    monkeypatch.setattr(running, "open_stream", lambda *args: opened.append(original(*args)) or opened[-1])
    monkeypatch.setattr(running, "open_with_test", lambda *_: pytest.fail("the test data was opened"))
    assert "test" not in summary_of(run(experiment(), place, test=False))
    with pytest.raises(NoTestData):
        opened[0].test(0)


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_the_call_that_ends_a_run_says_whether_test_data_is_opened(first: bool, second: bool, tmp_path: Path) -> None:
    whole, cut = RunFolders(tmp_path / "whole", tmp_path), RunFolders(tmp_path / "cut", tmp_path)
    expected = metrics(summary_of(run(experiment(), whole, test=True)))
    with closing(run(experiment(), cut, test=first, keep=True)) as progress:
        next(item for item in progress if isinstance(item, Report) and item.learned)
    ended = summary_of(run(experiment(), cut, test=second, keep=True))
    assert ("test" in ended) is second
    assert metrics(summary_of(run(experiment(), cut, test=True))) == expected


def test_another_experiment_in_the_folder_is_refused_with_what_differs(place: RunFolders) -> None:
    with closing(run(experiment(), place)) as progress:
        next(progress)
    with pytest.raises(UserError, match=r"method.beta: 0.01 -> 0.5"):
        next(run(experiment("method.beta=0.5"), place))


def test_threads_and_device_stay_as_the_run_began(place: RunFolders) -> None:
    with closing(run(experiment(), place)) as progress:
        next(progress)
    started = next(run(experiment("training.threads=auto", "training.device=auto"), place))
    assert isinstance(started, Started)
    assert (started.threads, started.device) == (1, "cpu")


def test_the_thread_count_of_the_process_is_put_back(place: RunFolders) -> None:
    before = torch.get_num_threads()
    list(run(experiment("training.threads=2"), place))
    assert torch.get_num_threads() == before


def test_a_device_that_is_not_there_is_named(place: RunFolders) -> None:
    with pytest.raises(UserError, match="there is no device 'cuda:7'"):
        next(run(experiment("training.device=cuda:7"), place))


def test_config_yaml_trains_again(place: RunFolders, tmp_path: Path) -> None:
    named = RunFolders(place.folder, place.data_dir, name="first")
    first = summary_of(run(experiment(), named))
    file = loads((place.folder / "config.yaml").read_text(), "config.yaml")
    assert file.name == "first"
    second = summary_of(run(file.experiment, RunFolders(tmp_path / "again", tmp_path)))
    assert second["validation"] == first["validation"]


def test_epochs_count_the_part_trained_on(place: RunFolders) -> None:
    started = next(run(experiment("training.epochs=2"), place))
    assert isinstance(started, Started)
    samples = len(open_stream(experiment().tasks, place.data_dir, True).task(0).train)
    assert started.iterations[0] == -(-samples // 16) * 2


@pytest.mark.parametrize(("steps", "reports"), [(1, 4), (2, 4), (7, 4), (250, 4), (10, 1)])
def test_the_last_report_of_a_task_comes_after_its_last_step(steps: int, reports: int) -> None:
    due = report_steps(steps, reports)
    assert max(due) == steps
    assert due[steps] == reports
    assert all(1 <= step <= steps for step in due)


def test_a_task_shorter_than_its_reports_still_ends(place: RunFolders) -> None:
    items = list(run(experiment("training.iterations=2"), place))
    assert [item.step for item in items if isinstance(item, Report) and item.learned] == [4, 8, 12]


def test_two_steps_are_timed_and_leave_nothing(place: RunFolders) -> None:
    assert two_steps(experiment(), place) > 0
    assert not place.folder.exists()


def test_a_run_imports_neither_ray_nor_optuna_nor_wandb_nor_torchs_compiler(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(
        "experiment: {tasks: {name: split_digits, num_tasks: 2}, training: {iterations: 3, threads: 1}}"
    )
    program = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ray", "optuna", "wandb"):
            raise ImportError(name + " must not be imported by a run")
sys.meta_path.insert(0, Blocked())
from hypercl.cli import main
code = main(["train", "file.yaml"])
raise SystemExit(code or ("torch._dynamo" in sys.modules and "torch's compiler was imported"))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hnet_forgets_less_than_finetuning(tmp_path: Path) -> None:
    long = ("training.iterations=150", "tasks.num_tasks=5", "training.optimizer.lr=1e-2", "target.hidden=[32]")
    kept = summary_of(run(experiment(*long, "method.beta=10"), RunFolders(tmp_path / "kept", tmp_path)))
    lost = summary_of(run(experiment(*long, "method.name=finetune"), RunFolders(tmp_path / "lost", tmp_path)))
    assert kept["validation"]["forgetting"] < 0.05
    assert lost["validation"]["forgetting"] > kept["validation"]["forgetting"] + 0.05


def test_no_warning_is_given_by_a_whole_run(place: RunFolders) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(run(experiment(), place, test=True))
