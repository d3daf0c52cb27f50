"""Settings added to a sweep by another process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from hypercl.cli import main
from hypercl.config import SweepFile, UserError
from hypercl.folder_lock import folder_lock
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.enqueue import enqueue_setting
from hypercl.sweep.study.journal import mend_journal
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
Studies = Callable[[SweepFile], SweepStudy]
OTHER = "space={method.beta: {log_uniform: [1e-3, 10]}, training.optimizer.lr: {log_uniform: [1e-4, 1e-1]}}"


@pytest.fixture
def begun(sweep_file: Files, open_study: Studies, tmp_path: Path) -> Callable[..., SweepStudy]:
    """A sweep whose trial of the experiment as written is done."""

    def begin(*overrides: str) -> SweepStudy:
        file = sweep_file(OTHER, *overrides)
        write_sweep(tmp_path, file, "test")
        study = open_study(file)
        ended(study, 0.5)
        return study

    return begin


def ended(study: SweepStudy, value: float) -> Mapping[str, Any]:
    suggestion = study.ask()
    study.decide(suggestion.number, Outcome("complete", value=value))
    study.settle(suggestion.number)
    return suggestion.params


def test_a_driver_that_runs_tries_the_added_setting_next(begun: Callable[..., SweepStudy], tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        study = begun()
        added = enqueue_setting(tmp_path, {"method.beta": 0.3})
        assert added.running
        rate = study.file.experiment.training.optimizer.lr
        assert added.as_written == {"training.optimizer.lr": rate}
        assert ended(study, 0.6) == {"method.beta": 0.3, "training.optimizer.lr": rate}
        ended(study, 0.7)
    assert mend_journal(tmp_path / "study.journal") == ""
    assert len(read_sweep(tmp_path).trials) == 3


def test_a_sweep_at_rest_tries_it_when_it_is_resumed_also_behind_a_torn_record(
    begun: Callable[..., SweepStudy], open_study: Studies, tmp_path: Path
) -> None:
    file = begun().asked
    with (tmp_path / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code": 4')
    added = enqueue_setting(tmp_path, {"method.beta": 0.3, "training.optimizer.lr": 0.01})
    assert (added.running, added.as_written) == (False, {})
    assert read_sweep(tmp_path).counts()["waiting"] == 1
    study = open_study(file)
    assert ended(study, 0.6) == {"method.beta": 0.3, "training.optimizer.lr": 0.01}


def test_plain_optuna_adds_a_setting_too(begun: Callable[..., SweepStudy], tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        study = begun()
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
        optuna.load_study(study_name="test", storage=storage).enqueue_trial({"method.beta": 0.3})
        params = ended(study, 0.6)
    assert params["method.beta"] == 0.3
    assert set(params) == {"method.beta", "training.optimizer.lr"}
    assert mend_journal(tmp_path / "study.journal") == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method.betta": 0.3}, ["method.betta", "no such key", "did you mean 'method.beta'"]),
        ({"method.beta": 100}, ["method.beta", "outside of the space", "0.001 to 10"]),
        ({"method.beta": "much"}, ["method.beta", "outside of the space"]),
        ({}, ["trial 0 is this setting (complete)"]),
    ],
)
def test_what_is_not_of_the_space_is_refused_and_nothing_is_written(
    given: dict[str, Any], words: list[str], begun: Callable[..., SweepStudy], tmp_path: Path
) -> None:
    begun()
    before = (tmp_path / "study.journal").read_bytes()
    with pytest.raises(UserError) as raised:
        enqueue_setting(tmp_path, given)
    assert all(word in str(raised.value) for word in words), raised.value
    assert (tmp_path / "study.journal").read_bytes() == before


def test_the_same_setting_is_not_added_twice(begun: Callable[..., SweepStudy], tmp_path: Path) -> None:
    begun()
    enqueue_setting(tmp_path, {"method.beta": 0.3})
    with pytest.raises(UserError, match=r"trial 1 is this setting \(waiting\)"):
        enqueue_setting(tmp_path, {"method.beta": 0.3})


def test_the_command_says_what_is_tried_and_when(
    begun: Callable[..., SweepStudy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun("search.trials=2")
    assert main(["enqueue", str(tmp_path), "method.beta=0.3"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("enqueued: method.beta 0.3; as written: training.optimizer.lr ")
    assert "rerun the sweep's command" in said
    assert main(["enqueue", str(tmp_path), "experiment.method.beta=0.4"]) == 0
    assert "--trials 3 or more" in capsys.readouterr().out
    assert main(["enqueue", str(tmp_path), "method.beta"]) == 2
    assert "KEY=VALUE" in capsys.readouterr().err
    assert main(["enqueue", str(tmp_path / "none"), "method.beta=0.3"]) == 2
