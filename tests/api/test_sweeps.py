"""Sweeps from Python: what a results folder says, and a sweep of a mapping."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import pytest

import hypercl
from tests.sweep.made_sweep import made_sweep

STORED = Path(__file__).parents[1] / "stored" / "0.1.0" / "finished"


@pytest.fixture
def stored(tmp_path: Path) -> hypercl.Sweep:
    shutil.copytree(STORED, tmp_path / "finished")
    found = hypercl.open(tmp_path / "finished")
    assert isinstance(found, hypercl.Sweep)
    return found


def test_the_study_is_a_copy_of_optunas(stored: hypercl.Sweep) -> None:
    study = stored.study
    assert len(study.trials) == len(stored.trials) == len(stored.record.trials)
    study.enqueue_trial({})
    assert len(stored.study.trials) == len(study.trials) - 1


def test_the_best_is_that_of_best_yaml(stored: hypercl.Sweep) -> None:
    assert stored.best is not None
    experiment = hypercl.load_file(stored.best_file).experiment
    assert stored.best == {"training.optimizer.lr": experiment.training.optimizer.lr}


def test_a_choice_of_lists_is_a_list(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=3)
    best = hypercl.Sweep(tmp_path / "made").best
    assert best is not None
    assert isinstance(best["hypernet.hidden"], list)


def test_the_table_has_a_row_for_each_trial(stored: hypercl.Sweep) -> None:
    table = stored.trials
    assert table["state"].isin(["complete", "pruned", "failed"]).all()
    assert table["value"].max() <= 1


def test_the_report_shows_itself_in_a_notebook(stored: hypercl.Sweep) -> None:
    report = stored.report()
    assert "complete trials" in str(report)
    assert report.figures
    frame = report._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts" ')
    assert unescape(frame.partition('srcdoc="')[2].removesuffix('"></iframe>')) == report.page.read_text()


def test_the_reports_text_is_text_in_a_notebook_too(stored: hypercl.Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert "complete trials" in str(stored.report())


def test_a_trial_is_a_run(stored: hypercl.Sweep) -> None:
    with pytest.raises(hypercl.UserError, match="has no trial 99"):
        stored.trial(99)
    assert stored.trial(0).folder == stored.folder / "trials" / "0"


def test_mistakes_are_exceptions_with_the_commands_text(tmp_path: Path) -> None:
    with pytest.raises(hypercl.UserError, match=r"method\.betta"):
        hypercl.sweep({"experiment": {"tasks": {"name": "split_digits"}, "method": {"betta": 1}}}, results=tmp_path)


@pytest.mark.slow
def test_a_mapping_is_swept_in_a_thread_and_its_winner_loaded(tmp_path: Path) -> None:
    file = {
        "experiment": {"tasks": {"name": "split_digits"}, "training": {"iterations": 10}},
        "space": {"method.beta": {"log_uniform": [1e-3, 1]}},
    }
    given = {"trials": 2, "name": "two", "results": tmp_path, "final": False, "set": {"search.confirm": False}}
    with ThreadPoolExecutor(1) as pool:
        sweep = pool.submit(lambda: hypercl.sweep(file, **given)).result()
    assert sweep.trials["state"].tolist() == ["complete"] * 2
    assert hypercl.load(sweep.folder).learned == 5
    assert hypercl.sweep(file, **given) == sweep
