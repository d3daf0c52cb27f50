"""Faults injected for real into a sweep in a process of its own, and the exact state afterwards."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from fake_training import FAULT, SECONDS
from killed_sweeps import HERE, LIMIT, TRIALS, WITHOUT_RAY, Sweeps, check_whole
from optuna.trial import TrialState

from hypercl.sweep.study.record import read_sweep

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def test_a_driver_killed_at_several_moments_goes_on_where_it_was(sweeps: Sweeps) -> None:
    before: dict[int, Any] = {}
    for reports, where in ((1, WITHOUT_RAY), (12, {}), (45, WITHOUT_RAY)):
        process = sweeps.start(**where, **{SECONDS: "0.1"})
        sweeps.wait_for(process, lambda reports=reports: sweeps.steps() >= reports)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finished = sweeps.finished()
        assert before.items() <= finished.items()
        before = finished
    code, text = sweeps.run()
    assert code == 0, text
    assert before.items() <= sweeps.finished().items()
    check_whole(sweeps)


def test_a_killed_trial_goes_on_from_its_checkpoint(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**{FAULT: "in:0,1:die"})
    assert code == 0, text
    check_whole(sweeps)
    reached = [trial.number for trial in sweeps.trials()[:2] if (trial.last_step or 0) >= 10]
    assert reached
    assert all(len(set(sweeps.starts(number))) == 2 for number in reached)


def test_a_trial_whose_process_dies_every_time_fails_and_is_replaced(sweeps: Sweeps) -> None:
    sweeps.file.write_text(sweeps.file.read_text().replace("startup_trials: 3", "startup_trials: 3, retries: 1"))
    code, text = sweeps.run(**{FAULT: "die_always"})
    assert code == 0, text
    trial = sweeps.trials()[1]
    assert trial.state == TrialState.FAIL
    assert "process died" in trial.user_attrs["outcome"]["why"]
    assert len(sweeps.starts(1)) == 2
    counts = sweeps.kinds()
    assert counts["complete"] + counts["pruned"] == TRIALS


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_one_signal_writes_checkpoints_and_leaves_a_sweep_to_go_on_with(
    sweeps: Sweeps, number: signal.Signals, code: int
) -> None:
    process = sweeps.start(**{SECONDS: "0.1"})
    sweeps.wait_for(process, lambda: sweeps.steps() >= 6)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == code, out + err
    assert "rerun the same command to resume" in out
    assert err == ""
    running = [trial for trial in sweeps.trials() if trial.state == TrialState.RUNNING]
    assert running
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    check_whole(sweeps)


def test_two_signals_end_at_once_and_leave_a_sweep_to_go_on_with(sweeps: Sweeps) -> None:
    process = sweeps.start(**{SECONDS: "4"})
    sweeps.wait_for(process, lambda: sweeps.steps() >= 1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    check_whole(sweeps)


def test_a_time_limit_ends_with_its_own_code_and_the_rest_follows(sweeps: Sweeps) -> None:
    process = sweeps.start("20", **{SECONDS: "1"})
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 75, out + err
    assert "time limit reached" in out
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    check_whole(sweeps)


CLOCK = """
import sys, time
true, calls = time.time, 0
def jumping():
    global calls
    ray = sys.modules.get("ray")
    if not (hasattr(ray, "is_initialized") and ray.is_initialized()):  # Ray's own start goes by this clock
        return true()
    calls += 1
    return true() + (86400 if calls // 20 % 2 else -86400)
time.time = jumping
"""


def test_a_clock_that_jumps_by_days_ends_nothing(sweeps: Sweeps, tmp_path: Path) -> None:
    """Once Ray has started, the clock of the driver and of the trials goes a day ahead and back all the time."""
    (tmp_path / "fake_clock.py").write_text(CLOCK)
    code, text = sweeps.run("3600", PYTHONPATH=f"{HERE}:{tmp_path}", FAKE_CLOCK="1")
    assert code == 0, text
    check_whole(sweeps)


def test_a_torn_journal_is_mended_on_the_way(sweeps: Sweeps) -> None:
    process = sweeps.start(**WITHOUT_RAY, **{SECONDS: "0.1"})
    sweeps.wait_for(process, lambda: sweeps.steps() >= 6)
    process.kill()
    process.communicate()
    journal = sweeps.folder / "study.journal"
    journal.write_bytes(journal.read_bytes()[:-9])
    (sweeps.folder / "study.journal.lock").touch()
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    assert (sweeps.folder / "study.journal.torn").exists()
    check_whole(sweeps)


def test_a_second_driver_is_refused_and_the_first_is_not_disturbed(sweeps: Sweeps) -> None:
    process = sweeps.start(**WITHOUT_RAY, **{FAULT: "wait"})
    sweeps.wait_for(process, lambda: (sweeps.folder / "trials" / "0" / "starts.txt").exists())
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 2, text
    assert f"process {process.pid} on" in text
    (sweeps.folder / "trials" / "go").touch()
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + err
    check_whole(sweeps)


def test_a_sweep_of_failing_trials_stops_and_shows_the_first_traceback(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**WITHOUT_RAY, **{FAULT: "raise"})
    assert code == 1
    assert "5 trials failed in a row" in text
    assert "RuntimeError: broken on purpose in trial" in text
    failed = [trial for trial in sweeps.trials() if trial.state == TrialState.FAIL]
    assert 5 <= len(failed) <= 6
    assert all(len(sweeps.starts(trial.number)) == 1 for trial in failed)
    code, text = sweeps.run(**WITHOUT_RAY)
    assert code == 0, text
    assert sweeps.kinds()["failed"] == len(failed)


def test_divergence_and_memory_are_told_as_such(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**WITHOUT_RAY, **{FAULT: "diverge"})
    assert code == 0, text
    diverged = [trial for trial in sweeps.trials() if trial.user_attrs["outcome"]["kind"] == "diverged"]
    assert diverged
    for trial in diverged:
        assert (trial.state, trial.constraints["diverged"]) == (TrialState.PRUNED, 1.0)
        assert "step 9" in trial.user_attrs["outcome"]["why"]


def test_an_objective_of_nan_never_stays_running(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**WITHOUT_RAY, **{FAULT: "nan"})
    assert code == 1, text
    assert "no trial was trained to its end" in text
    assert all(trial.state == TrialState.PRUNED for trial in sweeps.trials())


def test_a_driver_killed_in_its_final_step_goes_on_with_what_was_opened(sweeps: Sweeps) -> None:
    text = sweeps.file.read_text().replace(f"trials: {TRIALS}", "trials: 1, include_base: true")
    sweeps.file.write_text(text + "final: {settings: 1, seeds: 5}\n")

    def steps() -> list[list[str]]:
        return [path.read_text().split() for path in sorted(sweeps.folder.glob("final/*/*/steps.txt"))]

    process = sweeps.start(FAKE_FINAL="1", **{SECONDS: "0.1"})
    sweeps.wait_for(process, lambda: any(len(each) >= 5 for each in steps()))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    opened = read_sweep(sweeps.folder).attributes["final"]
    assert not list(sweeps.folder.glob("final/final.*"))
    code, text = sweeps.run(**WITHOUT_RAY, FAKE_FINAL="1")
    assert code == 0, text
    (opening,) = read_sweep(sweeps.folder).attributes["final"]
    assert opening["finished"]
    assert [{**one, "finished": None} for one in (opening,)] == opened
    assert steps()
    assert all(each == [str(step) for step in range(1, 21)] for each in steps())  # nothing is trained twice
    assert (sweeps.folder / "final" / "final.md").exists()
