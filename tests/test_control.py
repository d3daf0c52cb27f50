"""What stops work, and what it does then."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hypercl.control import Control, Stop


@pytest.mark.parametrize(
    ("number", "reason", "code"), [(signal.SIGINT, "sigint", 130), (signal.SIGTERM, "sigterm", 143)]
)
def test_a_signal_stops_and_is_the_exit_code(number: int, reason: Stop, code: int, tmp_path: Path) -> None:
    said: list[str] = []
    control = Control(tmp_path / ".stop", say=said.append)
    with control.signals():
        assert not control.stopping
        signal.raise_signal(number)
    assert (control.stopping, control.reason, control.exit_code) == (True, reason, code)
    assert (tmp_path / ".stop").exists()
    assert len(said) == 1


def test_a_time_limit_stops_once_it_is_reached(tmp_path: Path) -> None:
    said: list[str] = []
    control = Control(tmp_path / ".stop", deadline=time.monotonic() + 3600, say=said.append)
    assert not control.stopping
    control.deadline = time.monotonic()
    assert control.stopping
    assert (control.stopping, control.exit_code, len(said)) == (True, 75, 1)
    assert (tmp_path / ".stop").exists()


def test_a_trial_stops_when_the_stop_file_of_its_driver_appears(tmp_path: Path) -> None:
    driver, trial = Control(tmp_path / ".stop"), Control(requested=(tmp_path / ".stop").exists)
    driver.stop_asking("infeasible")
    assert not trial.stopping
    driver.stop("sigterm")
    assert trial.stopping
    assert driver.reason == "infeasible"


@pytest.mark.parametrize("reason", [None, "time", "failed", "infeasible"])
def test_a_second_signal_ends_at_once_whatever_work_was_stopping_for(reason: Stop | None, tmp_path: Path) -> None:
    control = Control(tmp_path / ".stop", grace=3600.0, reason=reason)
    with control.signals():
        signal.raise_signal(signal.SIGINT)
        assert (control.at_once, (tmp_path / ".stop").exists()) == (False, True)
        signal.raise_signal(signal.SIGINT)
        assert control.at_once
        timers = control._timers
        assert len(timers) == 2
        assert not any(timer.finished.is_set() for timer in timers)
    assert all(timer.finished.is_set() for timer in timers)


ENDS = """
import signal, sys, threading, time
from hypercl.control import Control
control = Control(seconds_to_stop=0.2, grace=float(sys.argv[1]))
with control.signals():
    signal.raise_signal(signal.SIGTERM)
    while not control.at_once:  # what hangs does not ask whether it is to stop
        time.sleep(0.01)
    print("at once", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize(("grace", "said"), [("0", ""), ("0.2", "at once\n")])
def test_what_does_not_stop_after_one_signal_is_ended(grace: str, said: str) -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS, grace], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (143, said)


def test_handlers_are_put_back_and_a_thread_leaves_them_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    inside = []

    def in_a_thread() -> None:
        with Control().signals():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert inside == [before]
    with Control().signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
