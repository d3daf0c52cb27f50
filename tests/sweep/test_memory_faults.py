"""A trial whose memory the machine does not have, killed by Ray again and again."""

from pathlib import Path

import pytest
from fake_training import FAULT, TEXT
from killed_sweeps import TRIALS, Sweeps, check_whole
from optuna.trial import TrialState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def sweeps(tmp_path: Path) -> Sweeps:
    return Sweeps(tmp_path, TEXT.replace("trials: 6", f"trials: {TRIALS}"))


def low_memory(room: int) -> dict[str, str]:
    """Has Ray's memory monitor kill a process once this machine's memory in use has grown by so many bytes."""
    known = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(known[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    share = f"{(total - free + room) / total:.4f}"
    return {"RAY_memory_usage_threshold": share, "RAY_memory_monitor_refresh_ms": "50"}


def test_a_trial_that_needs_more_memory_than_there_is_is_pruned_after_one_retry_alone(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**low_memory(room=3 * 2**30), **{FAULT: "hog"})
    assert code == 0, text
    (trial,) = [trial for trial in sweeps.trials() if trial.user_attrs["outcome"]["kind"] == "out_of_memory"]
    assert (trial.number, trial.state, trial.constraints["out_of_memory"]) == (1, TrialState.PRUNED, 1.0)
    assert "also when it ran alone" in trial.user_attrs["outcome"]["why"]
    assert len(set(sweeps.starts(1))) == 2
    assert sweeps.kinds()["failed"] == 0
    check_whole(sweeps)
