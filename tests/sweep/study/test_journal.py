"""The journal after a kill."""

from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypercl.config import UserError
from hypercl.sweep.study.journal import JOURNAL, mend_journal, open_journal, records_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("journal") / "study.journal"
    study = optuna.create_study(storage=open_journal(path), study_name="s")
    for value in range(3):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.report(value, 1)
        study.tell(trial, value)
    return path.read_bytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10_000))
def test_a_journal_cut_anywhere_is_mended_and_can_be_written_again(whole: bytes, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "study.journal"
    cut = cut % (len(whole) + 1)
    path.with_name(f"{JOURNAL}.sums").unlink(missing_ok=True)
    path.write_bytes(whole[:cut])
    mend_journal(path)
    kept = path.read_bytes()
    assert whole.startswith(kept)
    assert kept.count(b"\n") == whole[:cut].count(b"\n")
    study = optuna.create_study(storage=open_journal(path), study_name="s", load_if_exists=True)
    study.tell(study.ask(), 1.0)
    assert mend_journal(path) == ""


def test_what_is_cut_off_is_kept_beside(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    assert "cut short" in mend_journal(path)
    assert path.read_bytes() == whole
    assert (tmp_path / "study.journal.torn").read_bytes() == b'{"op_code": 4, "wor\n'


def test_blank_last_lines_are_removed(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    path.write_bytes(whole + b"\n  \n")
    mend_journal(path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("bad", [b"", b"\x00\x00", b'{"op_code": 4, "wor{"op_code": 8}', b"[1, 2]"])
def test_a_broken_line_in_the_middle_is_named_and_nothing_is_touched(whole: bytes, tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "study.journal"
    lines = whole.split(b"\n")
    lines[2] = bad
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UserError, match="line 3"):
        mend_journal(path)
    assert path.read_bytes() == b"\n".join(lines)


def test_a_leftover_lock_does_not_delay_the_start(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    path.write_bytes(whole)
    (tmp_path / "study.journal.lock").touch()
    mend_journal(path)
    assert not (tmp_path / "study.journal.lock").exists()


def test_no_journal_needs_no_mending(tmp_path: Path) -> None:
    assert mend_journal(tmp_path / "study.journal") == ""
    assert not (tmp_path / "study.journal").exists()


@pytest.fixture
def summed(tmp_path: Path) -> Path:
    """A journal that was written with its checksums."""
    path = tmp_path / JOURNAL
    study = optuna.create_study(storage=open_journal(path), study_name="s")
    for value in range(3):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.report(value, 1)
        study.tell(trial, value)
    return path


def test_any_record_that_is_lost_is_noticed_where_it_stood(summed: Path) -> None:
    lines = summed.read_bytes().splitlines(keepends=True)
    for place in range(len(lines)):
        summed.write_bytes(b"".join(lines[:place] + lines[place + 1 :]))
        for read in (mend_journal, records_of):
            with pytest.raises(UserError, match=rf"line {place + 1}: .*(missing|changed)"):
                read(summed)


def test_a_record_that_was_changed_is_noticed(summed: Path) -> None:
    content = summed.read_bytes()
    summed.write_bytes(content.replace(b'"intermediate_value":1', b'"intermediate_value":7'))
    with pytest.raises(UserError, match="a record was changed"):
        mend_journal(summed)


def test_records_of_another_process_and_a_kill_before_the_checksum_are_no_damage(summed: Path) -> None:
    ours = open_journal(summed)
    plain = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(summed)))
    optuna.load_study(study_name="s", storage=plain).enqueue_trial({"x": 0.5})
    optuna.load_study(study_name="s", storage=ours).enqueue_trial({"x": 0.6})
    optuna.load_study(study_name="s", storage=plain).enqueue_trial({"x": 0.7})
    sums = summed.with_name(f"{JOURNAL}.sums")
    sums.write_bytes(sums.read_bytes()[:-7])
    assert mend_journal(summed) == ""
    assert len(optuna.load_study(study_name="s", storage=open_journal(summed)).trials) == 6


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (b'{"op_code": 99, "worker_id": "w"}', "unknown kind of record"),
        (b'{"op_code": "4", "worker_id": "w"}', "not a record"),
        (b'{"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 1}', "has no values"),
        (b'{"op_code": 8, "worker_id": "w", "trial_id": 9, "user_attr": {"a": 1}}', "a record is missing before it"),
        (b'{"op_code": 0, "worker_id": "w", "study_name": "t", "directions": [77]}', "is damaged: ValueError"),
    ],
)
def test_a_record_that_optuna_would_stumble_over_is_one_message(
    whole: bytes, tmp_path: Path, record: bytes, what: str
) -> None:
    path = tmp_path / JOURNAL
    path.write_bytes(whole + record + b"\n")
    with pytest.raises(UserError, match=what):
        _opened(path)


def _opened(path: Path) -> None:
    mend_journal(path)
    open_journal(path)
