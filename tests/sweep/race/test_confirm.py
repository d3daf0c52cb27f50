"""The confirming stage of a sweep: who is compared, what decides, what is kept."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest
from fake_training import TEXT, FakeEngine
from in_this_process import InThisProcess
from raced import FakeRuns, Files, as_of, best_of, noisy, raced, told

from hypercl.config import SweepFile, load, loads
from hypercl.sweep import SweepOptions, sweep
from hypercl.sweep.final.data_used import data_used_rows
from hypercl.sweep.final.selection import best_first
from hypercl.sweep.plan.final import race_rows
from hypercl.sweep.race.results import race_due
from hypercl.sweep.results.files import write_best
from hypercl.sweep.results.status import Status, status_rows
from hypercl.sweep.study import StudyRecord
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.study import SweepStudy

pytestmark = pytest.mark.usefixtures("in_the_order_of_values")


def clear(number: int, seed: int) -> float:
    return noisy(number, seed) - (0.0 if number == 2 else 0.25)


@pytest.fixture
def confirming(sweep_file: Files) -> SweepFile:
    return search_config(sweep_file("search.confirm=true", "search.sampler=random", "search.startup_trials=null"))


def test_the_best_settings_and_the_one_as_written_get_the_same_further_seeds(
    confirming: SweepFile, study: SweepStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = FakeRuns(clear)
    lines = raced(confirming, study, monkeypatch, runs)
    assert [[run.label for run in asked] for asked in runs.asked] == [
        [f"trial-{number}" for number in (3, 2, 1, 0)],
        ["trial-2", "trial-0"],
    ]
    assert runs.asked[1][0].folder == tmp_path / "confirm" / "trial-2" / "seeds-1000002-1000005"
    (stage,) = study.record().races
    assert (stage.kind, stage.written, stage.ended, stage.plan.rounds) == ("confirm", 0, "confirmed", (1, 5))
    assert study.record().best() == study.trial(2)
    assert "points better than the setting as written" in lines[-1]
    assert "trial 2 is confirmed" in (write_best(study.record(), "test") or tmp_path).read_text()
    assert "becomes best.yaml where" in (tmp_path / "confirm" / "confirm.md").read_text()


def test_where_no_challenger_is_better_best_yaml_is_the_setting_as_written(
    confirming: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(study, 0.99)
    lines = raced(confirming, study, monkeypatch, FakeRuns(lambda number, seed: noisy(number, seed, best=-1)))
    record = as_of(confirming, study).record()
    assert "nothing better was found: best.yaml is the setting as written" in lines[-1]
    assert record.best() == study.trial(0)
    path = write_best(record, "test")
    assert path is not None
    assert load(path).experiment.method.beta == confirming.experiment.method.beta
    assert best_first(record)[0].number == 0
    assert best_of(as_of(confirming, study))[1][0].endswith("(as written: nothing better was found)")


def driver_of(record: StudyRecord) -> str:
    return dict(status_rows(Status(record, None, record.counts(), [], None)))["driver"]


def test_an_interrupted_confirming_stage_is_resumed_and_decides_nothing_before_its_end(
    confirming: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = FakeRuns(clear, stop_after=1)
    raced(confirming, study, monkeypatch, runs)
    record = as_of(confirming, study).record()
    assert (race_due(record), record.deciding_race, record.best()) == (True, None, study.trial(0))
    assert "to resume" in driver_of(record)
    runs.stop_after = 10**6
    raced(confirming, study, monkeypatch, runs)
    record = as_of(confirming, study).record()
    assert (race_due(record), record.best()) == (False, study.trial(2))
    assert driver_of(record) == "none: the sweep is done"
    assert record.races[0].settings == (3, 2, 1, 0)


def test_a_longer_search_is_confirmed_again_on_seeds_of_its_own(
    confirming: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    raced(confirming, study, monkeypatch, FakeRuns(clear))
    told(study, 0.9, 0.9)
    longer = confirming.model_copy(update={"search": confirming.search.model_copy(update={"trials": 8})})
    assert race_due(as_of(longer, study).record())
    runs = FakeRuns(clear)
    raced(longer, study, monkeypatch, runs, point=8)
    assert {run.experiment.training.seed for run in runs.asked[0]} == {1_000_006}


def test_nothing_is_confirmed_once_test_data_was_opened_or_against_a_persons_wish(
    confirming: SweepFile, study: SweepStudy
) -> None:
    assert race_due(as_of(confirming, study).record())
    study.set_prefer("validation/final_accuracy < 0.85")
    assert not race_due(as_of(confirming, study).record())
    study.set_prefer("knee")
    study.optuna.set_user_attr("final", [{}])
    assert not race_due(as_of(confirming, study).record())


def test_without_a_value_of_the_setting_as_written_the_best_challenger_wins(
    confirming: SweepFile, open_study: Callable[[SweepFile], SweepStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(confirming)
    told(study, None, 0.8, 0.88, 0.89)
    lines = raced(confirming, study, monkeypatch, FakeRuns(clear))
    assert study.record().best() == study.trial(2)
    assert "the setting as written has no value to compare with" in lines[-1]


def test_what_the_final_step_holds_against_a_setting_is_its_mean_over_further_seeds(
    confirming: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    raced(confirming, study, monkeypatch, FakeRuns(clear))
    record = study.record()
    promise, other = record.promised(study.trial(2)), record.promised(study.trial(4))
    assert promise is not None
    assert promise.values[0] == pytest.approx(record.races[0].rounds[-1].expected[2][0])
    assert promise.interval is not None
    assert promise.interval[0] < promise.values[0] < promise.interval[1]
    assert other is not None
    assert other.values[0] == record.beliefs[4].mean


def test_the_plan_says_what_confirming_does_and_costs_or_why_it_is_off(sweep_file: Files) -> None:
    rows = dict(race_rows(search_config(sweep_file("search.confirm=true", "search.trials=100", "search.seeds=2"))))
    assert "(from seed 1000001 on), 6, then up to 19 each" in rows["confirm"]
    assert rows["confirm cost"] == "at most 50 trainings of one seed, as much as 25 trials"
    off = dict(race_rows(search_config(sweep_file("search.confirm=auto", "search.include_base=false"))))
    assert "include_base is false" in off["confirm"]


def test_the_setting_as_written_is_never_pruned(open_study: Callable[[SweepFile], SweepStudy]) -> None:
    study = open_study(search_config(load_text("search.confirm=true", "pruner={name: threshold, floor: 0.9}")))
    written, other = study.ask().number, study.ask().number
    steps = range(1, 20)
    assert not any(study.report(written, step, 0.01) for step in steps)
    assert any(study.report(other, step, 0.01) for step in steps)


def load_text(*overrides: str) -> SweepFile:
    return loads(TEXT, "test.yaml", list(overrides))


def test_a_sweep_confirms_at_its_end_and_says_so_last(sessions: InThisProcess, tmp_path: Path) -> None:
    file = load_text("search.confirm={settings: 2}", "logging={wandb: {project: tests, mode: offline}}")
    given = SweepOptions(tmp_path / "confirmed", tmp_path, final="no")
    result = sweep(file, given, FakeEngine())
    kinds = [own.loggers.kind for own in sessions.jobs]
    assert [kind for kind, _ in groupby(kinds)] == ["trial", "confirm"]
    assert "is confirmed" in result.message or "nothing better was found" in result.message
    assert (tmp_path / "confirmed" / "figures" / "confirm.png").exists()
    count = len(sessions.trained)
    assert sweep(file, given, FakeEngine()).best == result.best
    assert len(sessions.trained) == count


def test_where_it_is_told_what_decided_stands_beside_it(
    confirming: SweepFile, study: SweepStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = raced(confirming, study, monkeypatch, FakeRuns(clear))
    first, last = study.record().races[0].rounds
    kept, dropped = first.worth(first.leader), [first.worth(number) for number in first.dropped]
    assert kept == first.expected[first.leader][0] > max(dropped)
    assert f"after 1 seed each trial {first.leader} leads with {kept:.4f} expected" in lines[1]
    table = pd.read_csv(tmp_path / "confirm" / "confirm.csv")
    assert list(table["mean"][:4]) == pytest.approx([first.worth(number) for number in first.means])
    assert (
        table["high"] - table["low"]
    ).max() < 1  # the posterior knows the noise, where a t interval of one seed does not
    account = (tmp_path / "confirm" / "confirm.md").read_text()
    assert f"**{last.worth(last.leader):.4f}**" in account
    assert "| place | trial | expected | 95 % interval | mean of further seeds |" in account


def test_the_data_used_names_the_seeds_of_every_confirming_stage(
    confirming: SweepFile, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    raced(confirming, study, monkeypatch, FakeRuns(clear))
    told(study, 0.9, 0.9)
    longer = confirming.model_copy(update={"search": confirming.search.model_copy(update={"trials": 8})})
    raced(longer, study, monkeypatch, FakeRuns(clear), point=8)
    assert "seeds 1000001 to 1000010" in dict(data_used_rows(as_of(longer, study).record()))["selection"]
