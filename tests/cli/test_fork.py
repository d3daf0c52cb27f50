"""`hypercl sweep --fork`: a changed sweep begins with what the old one knows."""

from pathlib import Path

import pytest

from hypercl.cli import asked, main, parsed
from hypercl.config import UserError, load
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.study import SweepStudy
from hypercl.sweep.study.warm_start import earlier_of

TEXT = """
name: old
experiment: {tasks: {name: split_digits}, method: {beta: 0.1}}
space: {method.beta: {log_uniform: [1e-4, 10]}}
"""
WIDER = ["--set", "space.method.beta={log_uniform: [1e-4, 100]}"]


@pytest.fixture(autouse=True)
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(TEXT)
    folder = tmp_path / "results" / "old"
    folder.mkdir(parents=True)
    write_sweep(folder, load("old.yaml"), "old")
    SweepStudy(folder / "study.journal", "old", load("old.yaml"), threads=1)
    return folder


def test_a_changed_file_is_refused_with_the_fork_as_a_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "old.yaml", *WIDER]) == 2
    assert "--fork NEW" in capsys.readouterr().err


def test_a_fork_has_a_folder_of_its_own_and_knows_the_old_one(old: Path) -> None:
    options = parsed(["sweep", "old.yaml", *WIDER, "--fork", "wide"])
    file = asked(options)
    assert (options.name, file.name, file.search.warm_start) == ("wide", "wide", (str(old),))
    (one,) = earlier_of(old.parent / "wide", file)
    assert one.in_words == "nothing of results/old: it has no complete trial"


@pytest.mark.parametrize(("fork", "words"), [("old", "own name"), ("../out", "cannot name a folder")])
def test_a_fork_needs_a_name_of_its_own(fork: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        asked(parsed(["sweep", "old.yaml", "--fork", fork]))


def test_a_fork_needs_a_sweep_to_begin_from() -> None:
    with pytest.raises(UserError, match="results/none holds no sweep"):
        asked(parsed(["sweep", "old.yaml", "--name", "none", "--fork", "wide"]))
