import json
import logging
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
from read_wandb import WandbFile, read

from hypercl.config import assign, resolved
from hypercl.config.models import Logging, Wandb
from hypercl.loggers import Loggers, LoggerSpec, build, sync_hint
from hypercl.loggers.wandb import WandbLogger, _end_service, _setting
from hypercl.testing import LoggerContract
from hypercl.testing.logged_run import TASKS, experiment, finished, reports, resumed, started

pytestmark = pytest.mark.usefixtures("own_home", "service_ends_here")


def spec(folder, mode="offline") -> LoggerSpec:
    block = Wandb(project="tests", tags=("one", "two"))
    return LoggerSpec(Logging(wandb=block), mode, "a-sweep", "study-7", "a-sweep-7", "trial", folder / "results")


def files(folder) -> list[WandbFile]:
    wandb.teardown()  # its service writes a file's end after the run has finished
    paths = (folder / "results" / "wandb").glob("offline-run-*/run-*.wandb")
    return [read(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)]


def whole_run(folder, mode="offline") -> WandbLogger:
    logger = WandbLogger(spec(folder, mode), folder / "run")
    logger.started(started(folder / "run"))
    for report in reports():
        logger.report(report)
    logger.finished(finished(folder / "run"))
    logger.close("finished")
    return logger


class TestWandbLogger(LoggerContract):
    def logger(self, folder):
        return WandbLogger(spec(folder), folder / "run")

    def written(self, folder):
        rows = [row for file in files(folder) for row in file.history]
        return [row["iteration"] for row in rows if not any("accuracy_matrix" in key for key in row)]

    test_so_does_a_run_that_was_killed = None
    """W&B's service ends with the process: killed for real below."""


def test_an_offline_run_read_back_holds_everything(tmp_path):
    whole_run(tmp_path)
    (file,) = files(tmp_path)
    assert (file.id, file.name, file.group, file.kind) == ("study-7", "a-sweep-7", "a-sweep", "trial")
    assert file.tags == ("one", "two")
    for section, values in resolved(experiment()).items():
        assert file.config[section] == values
    assert file.config["run"]["parameters"] == 1000
    assert all(axis == "iteration" for name, axis in file.axes.items() if name != "iteration")
    assert all(row["_step"] == row["iteration"] for row in file.history[:-1])
    last = file.history[-2]
    assert last["_step"] == 30
    assert last["validation/task_3"] == pytest.approx(0.92)
    assert last["validation/mean_so_far"] == pytest.approx(0.91)
    assert last["loss/task"] == pytest.approx(0.5 / 30)
    assert file.summary["validation/final_accuracy"] == 0.9
    assert file.summary["test/final_accuracy"] == 0.89
    assert file.summary["compression_ratio"] == 0.5
    assert file.summary["outcome"] == "finished"
    assert file.exit_code == 0


def test_the_mean_so_far_is_of_accuracies_and_not_of_inferred_tasks(tmp_path):
    logger = WandbLogger(spec(tmp_path), tmp_path / "run")
    logger.started(started(tmp_path / "run"))
    report = reports()[-1]
    losses, own = report.rows
    logger.report(replace(report, rows=(losses, own | {"validation/task_inference": 0.1})))
    logger.close("interrupted")
    (file,) = files(tmp_path)
    last = file.history[-1]
    assert last["validation/task_inference"] == 0.1
    assert last["validation/mean_so_far"] == pytest.approx(0.91)


def test_the_matrix_is_there_as_table_and_as_picture(tmp_path):
    whole_run(tmp_path)
    (file,) = files(tmp_path)
    (folder,) = (tmp_path / "results" / "wandb").glob("offline-run-*")
    for split in ("validation", "test"):
        last = file.history[-1]
        assert (last["_step"], last["iteration"]) == (31, 30)
        table = json.loads((folder / "files" / last[f"{split}/accuracy_matrix/path"]).read_text())
        assert table["columns"] == ["after", "task 1", "task 2", "task 3"]
        assert table["data"][2] == ["task 2", 0.9, 0.91, None]
        assert len(table["data"]) == TASKS + 1
        picture = folder / "files" / last[f"{split}/accuracy_matrix_map/path"]
        assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("outcome", "code"), [("stopped", 0), ("failed", 1), ("interrupted", 1)])
def test_the_exit_code_tells_a_stopped_run_from_a_broken_one(tmp_path, outcome, code):
    logger = WandbLogger(spec(tmp_path), tmp_path / "run")
    logger.started(started(tmp_path / "run"))
    logger.report(reports()[0])
    logger.close(outcome)
    (file,) = files(tmp_path)
    assert (file.summary["outcome"], file.exit_code) == (outcome, code)


def test_the_id_outlives_a_moved_folder(tmp_path):
    first = WandbLogger(spec(tmp_path), tmp_path / "run")
    first.started(started(tmp_path / "run"))
    first.report(reports()[0])
    first.close("interrupted")
    elsewhere = spec(tmp_path)
    elsewhere = LoggerSpec(**{**vars(elsewhere), "run_id": "another"})
    second = WandbLogger(elsewhere, tmp_path / "run")
    second.started(started(tmp_path / "run", after=1))
    second.report(resumed(1)[1])
    second.close("interrupted")
    assert [file.id for file in files(tmp_path)] == ["study-7", "study-7"]


def test_a_finished_run_started_again_opens_nothing(tmp_path):
    whole_run(tmp_path)
    again = WandbLogger(spec(tmp_path), tmp_path / "run")
    again.started(started(tmp_path / "run", after=6))
    again.finished(finished(tmp_path / "run"))
    again.close("finished")
    assert len(files(tmp_path)) == 1


def test_an_unreachable_server_found_late_leads_offline_under_the_same_id(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setattr("hypercl.loggers.wandb.INIT_SECONDS", 1)
    with caplog.at_level(logging.WARNING):
        whole_run(tmp_path, mode="online")
    assert [record.message for record in caplog.records if "logged offline from here on" in record.message]
    (file,) = files(tmp_path)
    assert (file.id, len(file.history), file.exit_code) == ("study-7", 13, 0)
    key = b"k" * 40
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and key in path.read_bytes()]


def test_a_run_that_begins_after_another_found_the_server_silent_does_not_wait_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setattr("hypercl.loggers.wandb.INIT_SECONDS", 1)
    modes, init = [], wandb.init
    monkeypatch.setattr(wandb, "init", lambda **given: modes.append(given["mode"]) or init(**given))
    for number in (1, 2):
        own = replace(spec(tmp_path, "online"), run_id=f"study-{number}", offline_file=tmp_path / "offline")
        logger = WandbLogger(own, tmp_path / f"run-{number}")
        logger.started(started(tmp_path / f"run-{number}"))
        logger.close("finished")
    assert modes == ["online", "offline", "offline"]
    assert {file.id for file in files(tmp_path)} == {"study-1", "study-2"}


def test_an_error_of_wandb_ends_the_logging_not_the_run(tmp_path, monkeypatch, caplog):
    logger = WandbLogger(spec(tmp_path), tmp_path / "run")
    logger.started(started(tmp_path / "run"))

    def broken(*_args, **_kwargs):
        raise RuntimeError("the disk is full\nand more")

    monkeypatch.setattr(logger._run, "log", broken)
    for report in reports():
        logger.report(report)
    logger.close("finished")
    warned = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == ["W&B logging of this run ends here: the disk is full"]


def test_the_sync_command_is_named_while_runs_wait_for_it(tmp_path):
    assert sync_hint(tmp_path / "results") is None
    whole_run(tmp_path)
    assert sync_hint(tmp_path / "results") == (
        f"W&B lacks 1 run, in part or whole; to upload: wandb sync {tmp_path}/results/wandb/offline-run-*"
    )
    (path,) = (tmp_path / "results" / "wandb").glob("offline-run-*/run-*.wandb")
    path.with_name(f"{path.name}.synced").touch()
    assert sync_hint(tmp_path / "results") is None


def test_trials_of_a_bundle_are_logged_side_by_side(tmp_path):
    specs = [replace(spec(tmp_path), run_id=f"study-{number}", beside_others=True) for number in (1, 2)]
    loggers = [WandbLogger(one, tmp_path / one.run_id) for one in specs]
    for logger, one in zip(loggers, specs, strict=True):
        logger.started(started(tmp_path / one.run_id))
    for report in reports():
        for logger in loggers:
            logger.report(report)
    for logger in loggers:
        logger.close("finished")
    found = files(tmp_path)
    assert {file.id for file in found} == {"study-1", "study-2"}
    steps = [[row["_step"] for row in file.history] for file in found]
    assert steps[0] == steps[1] != []
    assert [file.exit_code for file in found] == [0, 0]


def test_a_spec_can_be_pickled(tmp_path):
    assert pickle.loads(pickle.dumps(spec(tmp_path))) == spec(tmp_path)


def test_the_loggers_of_a_run_are_files_and_what_the_spec_asks_for(tmp_path):
    assert [type(logger).__name__ for logger in build(None, tmp_path)] == ["JsonLines"]
    assert [type(logger).__name__ for logger in build(spec(tmp_path), tmp_path)] == ["JsonLines", "WandbLogger"]


def test_without_a_block_wandb_is_not_imported(tmp_path):
    program = (
        "import sys; sys.modules['wandb'] = None\n"
        "from pathlib import Path; from hypercl.config.models import Logging\n"
        "from hypercl.loggers import LoggerSpec, build, sync_hint\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "build(None, folder); sync_hint(folder)\n"
        "build(LoggerSpec(Logging(), 'offline', None, 'a', 'a', 'run', folder), folder)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


KILLED = """
import os, sys
from pathlib import Path
from hypercl.loggers import Loggers, build
from hypercl.testing.logged_run import reports, started
from test_wandb_logger import spec
folder = Path(sys.argv[1])
loggers = Loggers(build(spec(folder), folder / "run"))
loggers.hear(started(folder / "run"))
for report in reports()[: int(sys.argv[2])]:
    loggers.hear(report)
os.kill(os.getpid(), 9)
"""


@pytest.mark.faults
@pytest.mark.parametrize("heard", [1, 3])
def test_a_killed_process_leaves_no_gap_and_no_step_twice(tmp_path, heard):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(heard)]
    alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    killed = subprocess.run(command, cwd=Path(__file__).parent, env=alone, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    again = Loggers(build(spec(tmp_path), tmp_path / "run"))
    again.hear(started(tmp_path / "run", after=heard))
    for report in resumed(heard):
        again.hear(report)
    again.close("finished")
    steps = [row["_step"] for file in files(tmp_path) for row in file.history]
    assert steps == sorted(row["iteration"] for report in reports() for row in report.rows)
    aside = list((tmp_path / "results" / "wandb").glob("unfinished-*"))
    assert len(aside) == 1


def test_all_seeds_of_a_setting_share_its_name_whether_trained_alone_or_together():
    def setting(**training) -> str:
        changed = assign(experiment(), {f"training.{key}": value for key, value in training.items()})
        return _setting(resolved(changed))

    assert setting(seed=7) == setting(seed=9, replicas=3)
    assert setting(seed=7) != setting(seed=7, batch_size=3)


def test_a_service_that_can_no_longer_be_told_to_end_is_waited_for(monkeypatch):
    """Else its `Popen` says at some later time that it is still running, in whichever test that is."""
    connection: Any = wandb.setup().ensure_service()
    closed = connection._client.close

    async def lost() -> None:
        await closed()
        raise ConnectionResetError

    monkeypatch.setattr(connection._client, "close", lost)
    _end_service()
    assert connection._proc._process.returncode is not None
