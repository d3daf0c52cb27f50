"""The files that people read."""

import csv
from collections.abc import Callable
from pathlib import Path

from hypercl.config import SweepFile, assign, load
from hypercl.sweep.results.files import ranked_rows, write_best, write_sweep, write_trials
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.settings import best_experiment
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
Studies = Callable[[SweepFile], SweepStudy]


def trained(study: SweepStudy, *outcomes: Outcome) -> None:
    for number, outcome in enumerate(outcomes):
        study.ask()
        study.report(number, 8, 0.3)
        study.decide(number, outcome)
        study.settle(number)


def test_trials_csv_has_a_row_a_trial(sweep_file: Files, open_study: Studies, tmp_path: Path) -> None:
    study = open_study(sweep_file())
    trained(
        study,
        Outcome("complete", value=0.5, metrics={"validation/forgetting": 0.1}, seconds=3.0),
        Outcome("pruned", "stopped at step 8 (2 tasks learned)"),
        Outcome("failed", "Traceback\nValueError: x, y"),
    )
    study.ask()
    write_trials(tmp_path, study)
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["complete", "pruned", "failed", "running"]
    assert [row["value"] for row in rows] == ["0.5", "", "", ""]
    assert rows[1]["why"] == "stopped at step 8 (2 tasks learned)"
    assert rows[2]["why"] == "ValueError: x, y"
    assert (rows[0]["method.beta"], rows[0]["validation/forgetting"], rows[0]["seconds"]) == ("0.01", "0.1", "3.0")


def test_best_yaml_is_a_complete_file_of_the_winner_on_a_fresh_seed(sweep_file: Files, open_study: Studies) -> None:
    file = sweep_file()
    study = open_study(file)
    trained(study, Outcome("complete", value=0.5), Outcome("complete", value=0.7), Outcome("complete", value=0.6))
    path = write_best(study.record(), "test")
    assert path is not None
    best = load(path)
    assert best.name == "test-best"
    assert best.experiment.method.beta == study.trials()[1].params["method.beta"]
    assert best.experiment.training.seed != file.experiment.training.seed
    assert best.experiment.training.threads == 1
    assert "trial 1, validation/final_accuracy = 0.7" in path.read_text()


def test_the_winner_of_replicas_is_trained_on_seeds_of_which_none_was_used(sweep_file: Files) -> None:
    file = sweep_file()
    for first in range(1, 40):
        for replicas in (1, 256):
            training = {"training.seed": first, "training.replicas": replicas}
            own = file.model_copy(update={"experiment": assign(file.experiment, training)})
            fresh = best_experiment(own, {}, threads=1).training
            used, new = (set(range(seed, seed + replicas)) for seed in (first, fresh.seed))
            assert fresh.replicas == replicas
            assert not used & new


def test_without_a_complete_trial_there_is_no_best(sweep_file: Files, open_study: Studies, tmp_path: Path) -> None:
    study = open_study(sweep_file())
    trained(study, Outcome("pruned"))
    assert write_best(study.record(), "test") is None
    assert not (tmp_path / "best.yaml").exists()


def test_the_table_ranks_complete_trials(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file())
    trained(study, Outcome("complete", value=0.5), Outcome("pruned"), Outcome("complete", value=0.6))
    assert [(row["trial"], row["value"]) for row in ranked_rows(study.record())] == [(2, 0.6), (0, 0.5)]


def test_sweep_yaml_is_the_file_with_every_default_and_versions(sweep_file: Files, tmp_path: Path) -> None:
    write_sweep(tmp_path, sweep_file(), "test")
    assert load(tmp_path / "sweep.yaml") == sweep_file()
    text = (tmp_path / "sweep.yaml").read_text()
    assert "retries: 3" in text
    assert "optuna 5" in text
    assert "torch 2" in text
