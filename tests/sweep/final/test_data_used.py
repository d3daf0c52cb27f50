"""Which data a sweep has touched."""

from dataclasses import replace
from pathlib import Path

from made_sweep import SMALL, made_sweep

from hypercl.analysis.race_record import RaceRecord
from hypercl.analysis.racing import Plan
from hypercl.config import loads
from hypercl.sweep.final.data_used import data_used_rows
from hypercl.sweep.final.selection import FinalSelection
from hypercl.sweep.study import FINAL
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.ranking import RACE
from hypercl.sweep.study.record import StudyRecord, read_sweep

OPENING = FinalSelection(
    when="2026-11-23T09:41:05+00:00",
    trained=14,
    chosen=(),
    start=0,
    seeds=tuple(range(2_000_007, 2_000_017)),
    orders=None,
    parts=1,
    scratch=False,
    cost={"trials": 14, "hours": 0.5, "gpu_hours": 0.0, "flops": None},
)
PERMUTED = "experiment: {tasks: {name: permuted_mnist, num_tasks: 6}, training: {seed: 7}}\nspace: {}\n"


def rows_of(text: str, **attributes: object) -> dict[str, str]:
    return dict(data_used_rows(StudyRecord(Path("x"), loads(text, "x.yaml"), (), attributes)))


def plain(opening: FinalSelection) -> dict[str, object]:
    return {**vars(opening), "chosen": []}


def test_before_a_final_step_no_test_data_is_touched() -> None:
    rows = rows_of(SMALL)
    assert rows["search"] == "train and validation data of tasks 1 to 5 of split_digits; seed 1"
    assert rows["final step"] == "none yet; no test data has been opened"
    assert rows["protocol"].startswith("stream: tuned on 5 tasks")
    assert "selection" not in rows


def test_under_first_k_search_and_final_step_have_other_tasks() -> None:
    text = PERMUTED + "protocol: {name: first_k, k: 2}\nsearch: {seeds: 3}\n"
    rows = rows_of(text, **{FINAL: [plain(OPENING)]})
    assert rows["search"] == "train and validation data of tasks 1 to 2 of permuted_mnist; seeds 7 to 9, order 42"
    assert rows["final step"] == (
        "train, validation and test data of tasks 3 to 6 of permuted_mnist; seeds 2000007 to 2000016; test data opened "
        "at 2026-11-23T09:41:05+00:00, after 14 trained trials, for 0 settings; not finished: hypercl final resumes "
        "it"
    )


def test_every_opening_is_told_and_its_orders_where_it_has_them() -> None:
    second = replace(OPENING, when="2026-12-01", orders=tuple(range(10)), finished="2026-12-02")
    record = StudyRecord(Path("x"), loads(PERMUTED, "x"), (), {FINAL: [plain(OPENING), plain(second)]})
    told = [text for name, text in data_used_rows(record) if name == "final step"]
    assert len(told) == 2
    assert "each with an order of its own" in told[1]
    assert "each with an order of its own" not in told[0]
    assert "not finished" not in told[1]


def test_a_race_tells_the_seeds_it_has_spent() -> None:
    race = RaceRecord(20, (3, 5), Plan(12, 3, 0.01), 0.05, True, {3: (0.9,) * 6, 5: (0.8,) * 3})
    text = SMALL.replace("include_base: false", "include_base: false, race: {}")
    assert rows_of(text)["selection"] == "nothing has been compared on further seeds yet"
    rows = rows_of(text, **{RACE: {"races": [race.plain()]}})
    assert rows["selection"] == "train and validation data of the same tasks; seeds 1000001 to 1000006"


def test_a_leaking_search_says_test_data_and_never_that_none_was_opened() -> None:
    rows = rows_of(SMALL + "protocol: {name: test_leak}\n")
    assert "TEST DATA in the place of validation data" in rows["search"]
    assert rows["final step"] == "none yet"
    assert "TUNED ON TEST DATA" in rows["protocol"]


def test_what_a_folder_holds_is_enough(tmp_path: Path) -> None:
    file = made_sweep(tmp_path / "made", complete=1, text=SMALL)
    rows = dict(data_used_rows(read_sweep(tmp_path / "made")))
    assert rows["search"].endswith(f"seed {search_config(file).experiment.training.seed}")
