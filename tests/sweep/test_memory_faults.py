"""A trial whose memory the machine does not have, killed by Ray again and again."""

import pytest
from fake_training import FAULT
from killed_sweeps import Sweeps, check_whole, low_memory
from optuna.trial import TrialState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_trial_that_needs_more_memory_than_there_is_is_pruned_after_one_retry_alone(sweeps: Sweeps) -> None:
    code, text = sweeps.run(**low_memory(room=3 * 2**30), **{FAULT: "hog"})
    assert code == 0, text
    (trial,) = [trial for trial in sweeps.trials() if trial.user_attrs["outcome"]["kind"] == "out_of_memory"]
    assert (trial.number, trial.state, trial.constraints["out_of_memory"]) == (1, TrialState.PRUNED, 1.0)
    assert "also when it ran alone" in trial.user_attrs["outcome"]["why"]
    assert len(set(sweeps.starts(1))) == 2
    assert sweeps.kinds()["failed"] == 0
    check_whole(sweeps)
