"""The journal after a kill."""

from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypercl.config import UserError
from hypercl.sweep.study.journal import mend_journal, open_journal


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
