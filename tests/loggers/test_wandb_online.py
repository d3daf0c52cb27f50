"""W&B's real client against a server on the loopback interface, a good one and bad ones."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
import wandb
from wandb_server import KEY, StoredRun, WandbServer

from hypercl.config.models import Logging, Wandb
from hypercl.loggers import Loggers, LoggerSpec, build, decide_mode, sync_hint
from hypercl.testing.logged_run import finished, reports, resumed, started

pytestmark = pytest.mark.usefixtures("own_home")
STEPS = [int(row["iteration"]) for report in reports() for row in report.rows]
LONG = "a tag that is longer than W&B takes, by quite a few characters, as anyone can see"


def spec(folder: Path, mode="online") -> LoggerSpec:
    block = Wandb(project="tests", tags=("one", LONG))
    return LoggerSpec(Logging(wandb=block), mode, "a-sweep", "study-7", "a-sweep-7", "trial", folder / "results")


def begun(folder: Path, *items, mode="online") -> Loggers:
    loggers = Loggers(build(spec(folder, mode), folder / "results" / "run"))
    for item in items:
        loggers.hear(item)
    return loggers


def whole(folder: Path, after: int = 0, mode="online") -> None:
    """A run, or the rest of it, to its end."""
    place = folder / "results" / "run"
    begun(folder, started(place, after), *resumed(after), finished(place), mode=mode).close("finished")


def steps_of(run: StoredRun) -> list[int]:
    return [row["_step"] for row in run.history if not any("accuracy_matrix" in key for key in row)]


def upload(folder: Path) -> None:
    """Runs the command that a person is told."""
    hint = sync_hint(folder / "results")
    assert hint is not None
    alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = hint.partition("to upload: ")[2]
    done = subprocess.run(
        command, shell=True, cwd=folder, env={**alone, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sync_hint(folder / "results") is None


def without_key(folder: Path) -> None:
    held = [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert held == []


def test_a_run_logged_online_is_held_whole_and_resumed_without_a_step_twice(tmp_path, own_home, server, capfd):
    mode, why = decide_mode(spec(tmp_path).logging.wandb, offline=False)
    assert (mode, why) == (
        "online",
        f"W&B is online at {server.address}\nW&B takes 64 characters of a tag: '{LONG[:64]}'",
    )
    place = tmp_path / "results" / "run"
    begun(tmp_path, started(place), *reports()[:3]).close("interrupted")
    assert server.runs["study-7"].exit_code == 1
    whole(tmp_path, after=3)
    (run,) = server.runs.values()
    assert (run.project, run.shown, run.group, run.kind) == ("tests", "a-sweep-7", "a-sweep", "trial")
    assert run.tags == ("one", LONG[:64])
    assert steps_of(run) == STEPS
    assert run.history[11]["validation/task_3"] == pytest.approx(0.92)
    assert run.config["tasks"]["value"]["name"] == "split_digits"
    assert (run.summary["test/final_accuracy"], run.summary["outcome"], run.exit_code) == (0.89, "finished", 0)
    assert sum(name.endswith(".png") for name in run.files) == 2
    assert [artifact["committed"] for artifact in server.artifacts.values()] == [True, True]
    assert server.unknown == []
    assert sync_hint(tmp_path / "results") is None
    without_key(tmp_path)
    without_key(own_home)
    assert KEY not in "".join(capfd.readouterr())


KILLED = """
import os, sys
from pathlib import Path
from hypercl.testing.logged_run import reports, started
from test_wandb_online import begun
folder = Path(sys.argv[1])
begun(folder, started(folder / "results" / "run"), *reports()[:3])
if len(sys.argv) > 2:
    import signal; signal.pause()
os.kill(os.getpid(), 9)
"""


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("arrived", [False, True])
def test_a_killed_run_is_resumed_without_a_step_twice(tmp_path, server, mode, arrived):
    command = [sys.executable, "-c", KILLED, str(tmp_path), *(["once rows have arrived"] if arrived else [])]
    alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    with subprocess.Popen(command, cwd=Path(__file__).parent, env=alone, stderr=subprocess.PIPE) as killed:
        while arrived and not ("study-7" in server.runs and steps_of(server.runs["study-7"])):
            assert killed.poll() is None
            time.sleep(0.1)
        if arrived:
            killed.kill()
        _, said = killed.communicate()
    assert killed.returncode == -9, said
    assert str(sync_hint(tmp_path / "results")).startswith("W&B lacks 1 run")
    whole(tmp_path, after=3, mode=mode)
    if sync_hint(tmp_path / "results") is not None:
        upload(tmp_path)
    assert steps_of(server.runs["study-7"]) == STEPS
    assert sync_hint(tmp_path / "results") is None


@pytest.mark.faults
def test_offline_sessions_are_synced_in_order_by_the_command_that_is_told(tmp_path, server):
    place = tmp_path / "results" / "run"
    begun(tmp_path, started(place), *reports()[:3], mode="offline").close("interrupted")
    whole(tmp_path, after=3, mode="offline")
    assert server.runs == {}
    upload(tmp_path)
    (run,) = server.runs.values()
    assert (steps_of(run), run.summary["outcome"]) == (STEPS, "finished")


HOW = ("answers 500", "is slow", "never answers", "dies")


def wrong(server: WandbServer, how: str, free: Event) -> None:
    """Makes a server bad."""

    def trouble(_path: str) -> int | None:
        match how:
            case "answers 500":
                return 500
            case "is slow":
                free.wait(0.7)
            case "never answers":
                free.wait(120)
            case "dies":
                raise ConnectionResetError
        return None

    server.trouble = trouble


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of wandb's, when it is torn down
@pytest.mark.parametrize(
    ("since", "how"),
    [
        *(pytest.param("the middle", how, marks=pytest.mark.faults) for how in HOW),
        *(pytest.param("the start", how, marks=pytest.mark.slow) for how in HOW),
    ],
)
def test_a_bad_server_costs_seconds_and_nothing_is_lost(tmp_path, server, monkeypatch, caplog, how, since):
    monkeypatch.setattr("hypercl.loggers.wandb.FINISH_SECONDS", 5)
    monkeypatch.setattr("hypercl.loggers.wandb.INIT_SECONDS", 5)
    free = Event()
    place = tmp_path / "results" / "run"
    if since == "the start":
        wrong(server, how, free)
    loggers = begun(tmp_path, started(place))
    wrong(server, how, free)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for item in (*reports(), finished(place)):
            loggers.hear(item)
        loggers.close("finished")
    assert time.monotonic() - began < 40
    server.trouble = lambda _path: None
    free.set()
    wandb.teardown()  # as at the end of the process
    if how != "is slow":
        assert sync_hint(tmp_path / "results") is not None
    if sync_hint(tmp_path / "results") is not None:
        upload(tmp_path)
    assert steps_of(server.runs["study-7"]) == STEPS
    assert server.runs["study-7"].summary["test/final_accuracy"] == 0.89
    without_key(tmp_path)
