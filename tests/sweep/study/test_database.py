"""A study in a database: one driver as with the journal, several within one exact budget."""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bridge import Bridge
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import Engine, event

from hypercl.config import ConfigError, SweepFile, UserError
from hypercl.sweep.results.damage import faults_of
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study import drivers
from hypercl.sweep.study.database import check_study
from hypercl.sweep.study.enqueue import enqueue_setting
from hypercl.sweep.study.outcome import Outcome, outcome_of
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.workers import searcher

Opened = Callable[..., Bridge]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database without studies: Optuna takes a second to make one. Nothing waits for the disk."""

    def hurry(connection: Any, _: Any) -> None:
        connection.execute("pragma synchronous = off")

    event.listen(Engine, "connect", hurry)
    path = tmp_path_factory.mktemp("database") / "studies.db"
    RDBStorage(f"sqlite:///{path}").engine.dispose()
    yield path
    event.remove(Engine, "connect", hurry)


@pytest.fixture
def opened(
    sweep_file: Callable[..., SweepFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: Path
) -> Opened:
    """A driver in a results folder of its own, as `hypercl sweep` opens it; all share one database."""
    monkeypatch.setattr(searcher, "SECONDS_TO_LOOK", 0.0)
    monkeypatch.setattr(drivers, "SECONDS_TO_LOOK", 0.0)
    shutil.copy(empty, tmp_path)
    url = f"study.storage=sqlite:///{tmp_path}/studies.db"

    def build(place: str, *overrides: str, join: bool = False) -> Bridge:
        file, folder = sweep_file(url, *overrides), tmp_path / place / "quick"
        check_study(folder, file, join)
        folder.mkdir(parents=True, exist_ok=True)
        write_sweep(folder, file, "quick")
        return Bridge(file, folder)

    return build


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(drivers, "monotonic", lambda: now[0])
    return now


def number(given: Any) -> int:
    return given["job"].number


def test_one_driver_works_as_with_the_journal_and_its_folder_tells_of_it(opened: Opened) -> None:
    one = opened("a", "search.trials=3")
    while isinstance(given := one.start("x"), dict):
        one.end("x", "finished")
        assert number(given) < 3
    record = read_sweep(one.folder)
    assert record.counts() == {"complete": 3, "trained": 3}
    assert not list(one.folder.glob("study.journal*"))
    assert faults_of(one.folder) == []
    assert opened("a", "search.trials=3").start("x") == "FINISHED"


def test_two_drivers_train_exactly_the_budget_and_no_trial_twice(opened: Opened) -> None:
    first, second = opened("a", "search.trials=4"), opened("b", "search.trials=4", join=True)
    begun: Counter[int] = Counter()
    running: list[tuple[Bridge, str]] = []
    ended = 0
    for turn in range(20):
        driver = (first, second)[turn % 2]
        given = driver.start(f"r{turn}")
        if isinstance(given, dict):
            begun[number(given)] += 1
            running.append((driver, f"r{turn}"))
        elif running:
            driver, name = running.pop(0)
            driver.end(name, "finished" if ended else "failed", why="on purpose")
            ended += 1
    assert set(begun.values()) == {1}
    assert first.study.trained == second.study.trained == 4
    assert len(begun) == 5  # one failed, and was replaced
    assert first.start("z") == second.start("z") == "FINISHED"
    assert (first.study.joined, second.study.joined) == (False, True)
    assert read_sweep(first.folder).counts() == read_sweep(second.folder).counts()


def test_drivers_that_see_the_same_last_place_take_it_once(opened: Opened) -> None:
    first, second = opened("a", "search.trials=1"), opened("b", "search.trials=1", join=True)
    assert [first.study.room(0, 1), second.study.room(0, 1), first.study.room(0, 1)] == [True, False, True]


def test_a_driver_waits_for_what_the_others_train(opened: Opened) -> None:
    first, second = opened("a", "search.trials=1"), opened("b", "search.trials=1", join=True)
    first.start("x")
    assert second.start("y") is None
    first.end("x", "failed", why="on purpose")
    assert isinstance(second.start("y"), dict)


def test_a_settings_out_of_bounds_gives_its_place_back(opened: Opened) -> None:
    one = opened("a", "search.trials=1", "search.include_base=false", "constraints.compression_ratio.max=0.5")
    assert isinstance(one.start("x"), dict)
    assert opened("b", "search.trials=1", "search.include_base=false",
                  "constraints.compression_ratio.max=0.5", join=True).start("y") is None  # fmt: skip


def test_the_trial_of_a_driver_that_died_is_taken_over_after_its_lease_by_one_driver(
    opened: Opened, clock: list[float]
) -> None:
    dead, *alive = [opened(place, "search.trials=2", join=place != "a") for place in "abc"]
    lost = number(dead.start("x"))
    mine = number(alive[0].start("y"))
    assert [driver.start("z") for driver in alive] == [None, None]
    for _ in range(10):
        clock[0] += drivers.LEASE / 10 - 1
        for driver in alive:
            driver.study.beat()
    assert [driver.start("z") for driver in alive] == [None, None]  # its lease has not ended
    clock[0] += drivers.BEAT
    for driver in alive:
        driver.study.beat()
    assert number(alive[1].start("z")) == lost
    assert alive[0].start("z") is None
    dead.study.decide(lost, Outcome("complete", value=0.9))  # it was only suspended, and wakes up
    assert dead.study.report(lost, 1, 0.5)
    assert dead.study.settle(lost) is None
    alive[1].end("z", "finished", (("validation/final_accuracy", 0.3),))
    alive[0].end("y", "finished")
    complete = [trial for trial in dead.study.trials() if trial.state == TrialState.COMPLETE]
    assert {trial.number: trial.value for trial in complete} == {lost: 0.3, mine: 0.5}
    assert dead.study.trained == 2


def test_a_driver_that_ended_in_order_leaves_its_trials_at_once_and_takes_its_own_up_again(opened: Opened) -> None:
    first, second = opened("a", "search.trials=2"), opened("b", "search.trials=2", join=True)
    numbers = [number(first.start("x")), number(first.start("y"))]
    first.study.leave()
    assert number(second.start("z")) == numbers[0]
    again = opened("a", "search.trials=2")
    assert number(again.start("z")) == numbers[1]
    assert again.start("w") is None


def test_a_decision_is_carried_out_by_whoever_takes_the_trial_over(opened: Opened) -> None:
    first, second = opened("a", "search.trials=1"), opened("b", "search.trials=1", join=True)
    lost = number(first.start("x"))
    first.study.decide(lost, Outcome("complete", value=0.7))
    first.study.leave()
    assert second.start("y") == "FINISHED"
    assert second.study.trial(lost).value == 0.7


def test_what_died_as_it_was_suggested_costs_no_place(opened: Opened, clock: list[float]) -> None:
    one = opened("a", "search.trials=1")
    one.study.optuna.ask()  # killed here: the enqueued experiment as written
    mine = number(one.start("x"))
    for _ in range(3):
        one.start("y")
        clock[0] += drivers.LEASE
    assert one.study.trial(0).state == TrialState.FAIL
    assert "died" in outcome_of(one.study.trial(0)).why
    one.end("x", "finished")
    assert (one.start("y"), one.study.trained, mine) == ("FINISHED", 1, 1)


def test_a_place_that_was_not_given_back_is_free_again(opened: Opened, tmp_path: Path) -> None:
    one = opened("a", "search.trials=1")
    one.start("x")
    one.end("x", "failed", why="on purpose")
    with sqlite3.connect(tmp_path / "studies.db") as base:  # killed before it was
        base.execute("insert into hypercl_slots (study_id, slot, number, driver) values (1, 0, 0, 'gone')")
    base.close()
    assert one.start("y") is None
    assert isinstance(one.start("y"), dict)


def test_several_goals_keep_their_progress_in_a_study_beside(opened: Opened) -> None:
    goals = ("objective={maximize: [validation/final_accuracy], minimize: [compression_ratio]}", "search.trials=2")
    first, second = opened("a", *goals), opened("b", *goals, join=True)
    numbers = [number(first.start("x")), number(second.start("y"))]
    assert not second.study.report(numbers[1], 1, 0.25)
    assert not first.study.report(numbers[0], 1, 0.5)
    trials = read_sweep(first.folder).trials
    assert [trials[one].intermediate_values for one in numbers] == [{1: 0.5}, {1: 0.25}]


def test_a_setting_is_enqueued_for_all(opened: Opened) -> None:
    one = opened("a", "search.trials=3")
    enqueue_setting(one.folder, {"method.beta": 0.3})
    one.start("x")
    assert one.start("y")["job"].experiment["method"]["beta"] == 0.3


def test_joined_drivers_suggest_other_settings(opened: Opened) -> None:
    random = ("search.sampler=random", "search.include_base=false", "search.trials=9")
    first, second = opened("a", *random), opened("b", *random, join=True)
    betas = [driver.start("x")["job"].experiment["method"]["beta"] for driver in (first, second)]
    assert betas[0] != betas[1]


@pytest.mark.parametrize(
    ("place", "overrides", "join", "said"),
    [
        ("b", (), False, "--join to work on it together"),
        ("b", ("search.trials=9",), True, "search.trials"),
        ("b", ("space.method.beta={log_uniform: [1e-3, 1]}",), True, "space.method.beta"),
        ("b", ("search.sampler=grid", "space.method.beta={choice: [0.01, 1]}"), True, "plans its trials"),
        ("c/other", (), True, "holds no study"),
    ],
)
def test_a_study_of_others_is_joined_by_wish_and_with_the_same_file(
    opened: Opened, tmp_path: Path, place: str, overrides: tuple[str, ...], join: bool, said: str
) -> None:
    one = opened("a")
    if place == "c/other":
        with pytest.raises(UserError, match=said):
            check_study(tmp_path / "other", one.study.asked, join)
        return
    with pytest.raises(UserError, match=said):
        opened(place, *overrides, join=join)
    assert not (tmp_path / "b").exists()


def test_a_study_does_not_move_between_journal_and_database(
    opened: Opened, sweep_file: Callable[..., SweepFile], tmp_path: Path
) -> None:
    one = opened("a")
    with pytest.raises(UserError, match="is in a database"):
        check_study(one.folder, sweep_file(), join=False)
    with pytest.raises(UserError, match="--join is for a study in a database"):
        check_study(tmp_path / "b", sweep_file(), join=True)
    journal = Bridge(sweep_file(), tmp_path)
    with pytest.raises(UserError, match="cannot move"):
        check_study(journal.folder, one.study.asked, join=False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host/db",
        "postgresql://me:hun@ter2@host:5432/db",
        "postgresql://host/db?password=hunter2",
        "mysql+pymysql://host/db?a=b&sslpassword=hunter2",
    ],
)
def test_a_password_in_a_file_is_refused_and_not_repeated(sweep_file: Callable[..., SweepFile], url: str) -> None:
    with pytest.raises(ConfigError, match="PGPASSWORD") as refused:
        sweep_file(f"study.storage={json.dumps(url)}")
    assert "ter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["oracle://me@host/db", "mysql://me@host/db", "postgres://me@host/db", "studies.db"])
def test_a_database_of_another_kind_is_refused(sweep_file: Callable[..., SweepFile], url: str) -> None:
    with pytest.raises(ConfigError, match="PostgreSQL or SQLite database, such as postgresql://me@host/studies"):
        sweep_file(f"study.storage={url}")


def test_a_database_that_does_not_answer_is_a_message(sweep_file: Callable[..., SweepFile], tmp_path: Path) -> None:
    file = sweep_file(f"study.storage=sqlite:///{tmp_path}/missing/studies.db")
    with pytest.raises(UserError, match="unable to open database file"):
        check_study(tmp_path / "a", file, join=False)
