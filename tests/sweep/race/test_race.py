"""Races of a sweep: who races, what is trained, what is kept."""

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from fake_training import FAULT, TEXT, FakeEngine
from in_this_process import InThisProcess
from raced import RACE_TEXT, FakeRuns, Files, Heard, as_of, best_of, noisy, raced, told

from hypercl.config import SweepFile, UserError, load, loads
from hypercl.config.models import Goal
from hypercl.sweep import SweepOptions, sweep
from hypercl.sweep.final.selection import best_first
from hypercl.sweep.plan.final import race_rows
from hypercl.sweep.race.race import contenders, values_in
from hypercl.sweep.race.results import check_races, race_due, race_order, search_stages
from hypercl.sweep.race.schedule import race_points
from hypercl.sweep.results.files import write_best
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.ranking import RACE, races_of
from hypercl.sweep.study.study import SweepStudy
from hypercl.sweep.workers import PlannedRun, RanRun
from hypercl.training import RunSummary, SeedResult

pytestmark = pytest.mark.usefixtures("in_the_order_of_values")
METRIC = "validation/final_accuracy"


def test_a_clearly_better_setting_wins_and_the_others_are_dropped(
    file: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = raced(file, study, monkeypatch, FakeRuns(noisy))
    (race,) = races_of(study.optuna.user_attrs)
    assert (race.settings, race.ended, race.left) == ((0, 3, 2), "separated", [2])
    assert race.rounds[-1].seeds == 6
    assert race_order(study.record())[0] == 2
    assert sorted(race_order(study.record())) == [0, 1, 2, 3, 4, 5]
    assert race_order(study.record())[3:] == [1, 4, 5]
    assert lines[0] == "race: trials 0, 3, 2 get 3 further seeds a round, at most 9 each"
    assert "trial 2 won the race over 6 further seeds" in lines[-1]


def test_all_leaders_get_the_same_seeds_and_none_of_the_searchs(
    file: SweepFile, study: SweepStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = FakeRuns(noisy)
    raced(file, study, monkeypatch, runs)
    assert len(runs.asked) == 2
    for place, asked in enumerate(runs.asked):
        first = file.experiment.training.seed + 1_000_000 + 3 * place
        assert [(run.experiment.training.seed, run.experiment.training.replicas) for run in asked] == [(first, 3)] * 3
        assert [run.folder for run in asked] == [
            tmp_path / "race" / f"trial-{number}" / f"seeds-{first}-{first + 2}" for number in (0, 3, 2)
        ]
        assert {run.data for run in asked} == {"tune"}


def test_where_the_stream_has_an_order_each_seed_has_its_own(
    open_study: Callable[[SweepFile], SweepStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT.replace("{name: split_digits}", "{name: split_digits, order_seed: 5}")
    file = loads(text, "test.yaml", [RACE_TEXT, "search.sampler=random", "search.startup_trials=null"])
    study, runs = open_study(file), FakeRuns(noisy)
    told(study, 0.9, 0.8)
    raced(file, study, monkeypatch, runs)
    first = [(run.label, run.experiment.training.seed, run.experiment.tasks.order_seed) for run in runs.asked[0]]
    seeds = [(1_000_001 + place, 1_000_005 + place) for place in range(3)]
    assert first == [(f"trial-{number}", *each) for number in (0, 1) for each in seeds]
    assert {run.experiment.training.replicas for run in runs.asked[0]} == {1}


def test_under_test_leak_the_race_leaks_as_well(
    sweep_file: Files, study: SweepStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = FakeRuns(noisy)
    raced(sweep_file(RACE_TEXT, "protocol={name: test_leak}"), study, monkeypatch, runs)
    assert {run.data for run in runs.asked[0]} == {"leak"}
    assert "TEST LEAK" in (tmp_path / "race" / "race.md").read_text()


def test_trials_keep_their_values(file: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [(trial.value, trial.state, dict(trial.user_attrs)) for trial in study.trials()]
    raced(file, study, monkeypatch, FakeRuns(noisy))
    assert [(trial.value, trial.state, dict(trial.user_attrs)) for trial in study.trials()] == before


def test_an_interrupted_race_goes_on_where_it_was_and_ends_as_a_whole_one(
    file: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = FakeRuns(lambda number, seed: noisy(number, seed, best=-1), stop_after=2)
    raced(file, study, monkeypatch, alike)
    (race,) = races_of(study.optuna.user_attrs)
    assert (race.settings, race.values, race.ended) == ((0, 3, 2), {}, "")
    assert race_due(study.record())
    told(study, 0.99)  # a better trial does not join a race that has begun
    alike.stop_after = 10**6
    raced(file, study, monkeypatch, alike)
    (race,) = races_of(study.optuna.user_attrs)
    assert (race.ended, [len(values) for values in race.values.values()]) == ("seeds", [9, 9, 9])
    assert not race_due(study.record())
    count = len(alike.asked)
    raced(file, study, monkeypatch, alike)
    assert len(alike.asked) == count


def test_a_lost_seed_counts_as_the_worst_and_is_told(
    file: SweepFile, study: SweepStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = FakeRuns(lambda number, seed: None if (number, seed) == (3, 1_000_002) else noisy(number, seed))
    raced(file, study, monkeypatch, lost)
    (race,) = races_of(study.optuna.user_attrs)
    assert race.values[3][:3] == (0.0, 0.0, 0.0)
    assert race.lost[0] == "trial 3, seed 1000001: its process died"
    assert "its process died" in (tmp_path / "race" / "race.md").read_text()


def test_a_replica_that_diverged_counts_as_the_worst(file: SweepFile, tmp_path: Path) -> None:
    experiment = file.experiment.model_copy(
        update={"training": file.experiment.training.model_copy(update={"seed": 7, "replicas": 2})}
    )
    run = PlannedRun("trial-1", experiment, tmp_path, "tune")
    seeds = (
        SeedResult(7, {"validation": {"final_accuracy": 0.9}}),
        SeedResult(8, {"validation": {"final_accuracy": None}}, "nan at step 3"),
    )
    found = values_in([RanRun(run, RunSummary({}, seeds))], Goal(METRIC, "maximize"))
    assert found == [(7, 0.9, ""), (8, 0.0, "nan at step 3")]
    own = tuple(SeedResult(seed, {"validation": {"mine": value}}) for seed, value in ((7, 3.0), (8, 5.0)))
    ran = [RanRun(run, RunSummary({}, own)), RanRun(run, None, "lost")]
    assert [value for _, value, _ in values_in(ran, Goal("validation/mine", "maximize"))] == [3.0, 3.0, 3.0, 5.0]
    assert values_in([RanRun(run, None, "lost")], Goal(METRIC, "maximize")) == [(7, 0.0, "lost"), (8, 0.0, "lost")]


def test_only_settings_within_the_bounds_race_and_equal_ones_once(
    sweep_file: Files, open_study: Callable[[SweepFile], SweepStudy]
) -> None:
    file = sweep_file(
        RACE_TEXT, "search.enqueue=[{method.beta: 0.5}, {method.beta: 0.6}]", "search.sampler=random",
        "search.startup_trials=null",
    )  # fmt: skip
    study = open_study(file)
    told(study, 0.9, violations={"forgetting": 0.3})
    told(study, 0.8, 0.7, None)
    study.optuna.enqueue_trial(study.trials()[1].params)
    told(study, 0.75)
    assert contenders(study.record(), [], 4) == [1, 2]


def test_fewer_settings_than_asked_race_and_it_is_said(
    file: SweepFile, open_study: Callable[[SweepFile], SweepStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, runs = open_study(file), FakeRuns(noisy)
    assert raced(file, study, monkeypatch, runs) == [
        "race: no trial is complete and within the bounds: there is nothing to race"
    ]
    told(study, 0.9)
    lines = raced(file, study, monkeypatch, runs)
    assert "1 settings are complete" in lines[0]
    assert (runs.asked, races_of(study.optuna.user_attrs)[0].ended) == ([], "alone")


def test_the_next_race_keeps_the_leader_drops_nobody_in_again_and_uses_what_is_trained(
    sweep_file: Files, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = search_config(sweep_file("search.race={settings: 3, seeds: 9, block: 3, every: 6}", "search.trials=12"))
    raced(file, study, monkeypatch, FakeRuns(noisy))
    told(study, 0.95, 0.94, 0.93)
    runs = FakeRuns(noisy)
    raced(file, study, monkeypatch, runs, point=12)
    first, second = races_of(study.optuna.user_attrs)
    assert second.settings == (2, 6, 7)
    assert second.plan.level == pytest.approx(0.05 / (2 * 2 * 2))
    assert {run.label for run in runs.asked[0]} == {"trial-6", "trial-7"}
    assert second.values[2][:6] == first.values[2]


def test_races_are_due_after_every_so_many_trials_and_at_the_end(
    sweep_file: Files, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = search_config(sweep_file("search.race={every: 4}", "search.trials=10"))
    assert race_points(file) == [4, 8, 10]
    study = as_of(file, study)
    assert search_stages(study.record()) == [4, 8, 10]  # six are trained: the race after four is made up for
    told(study, 0.5, 0.5)
    assert search_stages(study.record()) == [8, 10]
    raced(file, study, monkeypatch, FakeRuns(noisy), point=8)
    assert search_stages(study.record()) == [10]


def test_rules_of_a_race_cannot_change_once_it_has_begun(
    sweep_file: Files, file: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    raced(file, study, monkeypatch, FakeRuns(noisy))
    check_races(study.record())
    check_races(as_of(sweep_file(), study).record())
    with pytest.raises(UserError, match=r"search\.race\.seeds is 12"):
        check_races(as_of(sweep_file("search.race={settings: 3, seeds: 12, block: 3}"), study).record())


def test_best_yaml_is_the_winner_of_the_race(
    file: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    raced(file, study, monkeypatch, FakeRuns(noisy))
    path = write_best(study.record(), "test")
    assert path is not None
    assert load(path).experiment.method.beta == study.trial(2).params["method.beta"]
    assert "trial 2 won the race over 6 further seeds" in path.read_text()


def test_after_a_race_one_trial_is_the_best_for_best_yaml_status_report_and_final_step(
    file: SweepFile, study: SweepStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raced(file, study, monkeypatch, FakeRuns(noisy))
    words = "trial 2, validation/final_accuracy 0.8800 (the leader of the race)"
    assert best_of(study) == ([2, 2, 2], [words])
    study.set_prefer("validation/final_accuracy < 0.85")  # of a session before: the race decides
    assert best_of(study)[0] == [2, 2, 2]
    unraced = file.model_copy(update={"search": file.search.model_copy(update={"race": None})})
    later = SweepStudy(tmp_path / "study.journal", "test", unraced, 1)
    assert best_of(later)[0] == [1, 1, 1]
    later.set_prefer("knee")
    assert best_of(later)[0] == [2, 2, 2]
    later.set_prefer("validation/final_accuracy < 0.5")
    assert (later.record().best(), best_first(later.record())) == (None, [])


def test_what_was_decided_stands_in_the_study_and_in_files(
    file: SweepFile, study: SweepStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raced(file, study, monkeypatch, FakeRuns(noisy))
    stored = json.loads(json.dumps(study.optuna.user_attrs[RACE]))
    assert stored["standing"] == race_order(study.record())
    last = stored["races"][0]["rounds"][-1]
    assert (last["leader"], sorted(last["dropped"]), last["seeds"]) == (2, [0, 3], 6)
    assert all(p <= stored["races"][0]["plan"]["level"] for p in last["p"].values())
    lines = (tmp_path / "race" / "race.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 3
    assert "trial 2" in (tmp_path / "race" / "race.md").read_text()


def test_the_plan_says_what_races_cost_at_most(sweep_file: Files) -> None:
    rows = dict(race_rows(search_config(sweep_file("search.race={every: 3}", "search.seeds=2"))))
    assert "after every 3 trials and the search (2 races) the best 4 settings get 3 further seeds" in rows["race"]
    assert rows["race cost"] == "at most 84 trainings of one seed, as much as 42 trials"


def test_a_sweep_races_on_the_way_and_at_its_end(sessions: InThisProcess, tmp_path: Path) -> None:
    race = "search.race={settings: 2, seeds: 6, block: 3, alpha: 0.1, every: 3}"
    file = loads(TEXT, "test.yaml", [race, "pruner={name: none}", "logging={wandb: {project: tests, mode: offline}}"])
    listener = Heard()
    given = SweepOptions(tmp_path / "raced", tmp_path, listener=listener, final="no")
    result = sweep(file, given, FakeEngine())
    kinds = ["race" if name.startswith("trial-") else "trial" for name in sessions.trained]
    assert [kind for kind, _ in groupby(kinds)] == ["trial", "race", "trial", "race"]
    assert kinds.index("race") == 3
    assert [own.loggers.kind for own in sessions.jobs] == kinds
    assert len({own.loggers.run_id for own in sessions.jobs}) == len(kinds)
    assert (result.exit_code, result.counts["trained"]) == (0, 6)
    study = SweepStudy(tmp_path / "raced" / "study.journal", "raced", search_config(file), threads=1)
    races = races_of(study.optuna.user_attrs)
    assert [(race.point, bool(race.ended)) for race in races] == [(3, True), (6, True)]
    assert result.best == race_order(study.record())[0]
    assert "won the race" in result.message
    assert any(line.startswith("race: after 6 seeds each") for line in listener.lines)
    assert (tmp_path / "raced" / "figures" / "race.png").exists()
    count = len(sessions.trained)
    again = sweep(file, given, FakeEngine())
    assert (again.best, again.exit_code, len(sessions.trained)) == (result.best, 0, count)


def test_a_race_can_be_added_to_a_sweep_that_was_without(sessions: InThisProcess, tmp_path: Path) -> None:
    given = SweepOptions(tmp_path / "raced", tmp_path, final="no")
    sweep(loads(TEXT, "test.yaml", ["search.trials=3"]), given, FakeEngine())
    race = "search.race={settings: 2, seeds: 3, block: 3}"
    result = sweep(loads(TEXT, "test.yaml", ["search.trials=3", race]), given, FakeEngine())
    assert result.counts["trained"] == 3
    assert {name.partition("/")[2] for name in sessions.trained if name.startswith("trial-")} == {
        "seeds-1000001-1000003"
    }
    assert "won the race over 3 further seeds" in result.message


@pytest.mark.slow
def test_a_race_trains_its_seeds_with_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv(FAULT, "in:seeds-1000001-1000003:die")
    race = "search.race={settings: 2, seeds: 3, block: 3}"
    file = loads(TEXT, "test.yaml", [race, "search.trials=2", "pruner={name: none}"])
    folder = tmp_path / "raced"
    result = sweep(file, SweepOptions(folder, tmp_path, final="no"), FakeEngine())
    assert result.exit_code == 0
    runs = sorted((folder / "race").glob("trial-*/seeds-1000001-1000003/summary.json"))
    assert len(runs) == 2
    assert all(len((run.parent / "starts.txt").read_text().split()) == 2 for run in runs)
    assert "won the race over 3 further seeds" in result.message
