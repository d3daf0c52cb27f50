"""Faults of the machine injected for real: memory, Ray's processes, the disk, a device, a hanging trial."""

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest
from fake_training import FAULT, SECONDS, TEXT
from killed_sweeps import TRIALS, WITHOUT_RAY, Sweeps, check_whole, low_memory
from optuna.trial import TrialState

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@pytest.mark.slow  # whether Ray kills it in time depends on what else the machine does
def test_a_trial_that_needs_more_memory_than_there_is_is_pruned_after_one_retry_alone(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**low_memory(room=3 * 2**30), **{FAULT: "hog"})
    assert code == 0, text
    (trial,) = [trial for trial in sweeps.trials() if trial.user_attrs["outcome"]["kind"] == "out_of_memory"]
    assert (trial.number, trial.state, trial.constraints["out_of_memory"]) == (1, TrialState.PRUNED, 1.0)
    assert "also when it ran alone" in trial.user_attrs["outcome"]["why"]
    assert len(set(sweeps.starts(1))) == 2
    assert sweeps.kinds()["failed"] == 0
    check_whole(sweeps)


def test_a_trial_killed_for_lack_of_memory_once_is_resumed_and_counts(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**low_memory(room=3 * 2**30), **{FAULT: "hog_once"})
    assert code == 0, text
    assert len(set(sweeps.starts(1))) == 2
    assert sweeps.trials()[1].user_attrs["outcome"]["kind"] in ("complete", "pruned")
    check_whole(sweeps)


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_sweep_whose_ray_is_killed_stops_with_one_reason_and_is_resumed(sweeps: Sweeps, name: str) -> None:
    process = sweeps.start(**{SECONDS: "0.3"})
    sweeps.wait_for(process, lambda: sweeps.steps() >= 6)
    os.kill(child_of(process.pid, name), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 74, out + err
    assert f"stopped: Ray's process {name} ended" in out + err
    assert "Traceback" not in out + err
    assert "(raylet)" not in out + err
    assert all(trial.state == TrialState.RUNNING for trial in sweeps.trials() if not trial.user_attrs.get("outcome"))
    assert not any(trial.state == TrialState.FAIL for trial in sweeps.trials())
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    check_whole(sweeps)


def test_a_trial_that_hangs_is_ended_restarted_once_and_then_failed_with_its_stacks(sweeps: Sweeps) -> None:
    sweeps.file.write_text(sweeps.file.read_text().replace("startup_trials: 3", "startup_trials: 3, stall_timeout: 8"))
    code, text = sweeps.run(**{FAULT: "hang"})
    assert code == 0, text
    trial = sweeps.trials()[1]
    assert (trial.state, trial.user_attrs["outcome"]["why"][:8]) == (TrialState.FAIL, "stalled:")
    assert len(set(sweeps.starts(1))) == 2
    stacks = sorted((sweeps.folder / "trials" / "1").glob("stacks*.txt"))
    assert [path.name for path in stacks] == ["stacks-1.txt", "stacks-2.txt"]
    assert all("in _fault" in path.read_text() for path in stacks)
    assert sweeps.kinds()["complete"] + sweeps.kinds()["pruned"] == TRIALS


def test_trials_that_do_not_answer_are_ended_after_one_signal(sweeps: Sweeps) -> None:
    process = sweeps.start(**{FAULT: "freeze", "FAKE_SECONDS_TO_STOP": "2"})
    sweeps.wait_for(process, lambda: len(list(sweeps.folder.glob("trials/*/steps.txt"))) == 2 and sweeps.steps() == 12)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert not any(alive(pid) for number in (0, 1) for pid in sweeps.starts(number))
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    check_whole(sweeps)


def test_a_missing_device_stops_the_sweep_and_fails_no_trial(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**{FAULT: "no_device"})
    assert code == 74, text
    assert "there is no device 'cuda:7'" in text
    assert all(trial.state != TrialState.FAIL for trial in sweeps.trials())
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    check_whole(sweeps)


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("a file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_stops_the_sweep_with_one_reason_and_every_trial_can_be_resumed(small_disk: Path) -> None:
    sweeps = Sweeps(small_disk, TEXT.replace("trials: 6", f"trials: {TRIALS}"))
    process = sweeps.start(**{SECONDS: "0.2"})
    sweeps.wait_for(process, lambda: sweeps.steps() >= 6)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(2**16))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 74, out + err
    assert "the disk is full" in out
    assert "Traceback" not in out + err
    assert all(trial.state != TrialState.FAIL for trial in sweeps.trials())
    filler.unlink()
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    check_whole(sweeps)


def child_of(pid: int, name: str) -> int:
    children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    (found,) = [int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == name]
    return found


def alive(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().rpartition(") ")[2][0] != "Z"
