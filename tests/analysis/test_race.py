"""A race as table, account and figure."""

import math

import pytest

from hypercl.analysis import draw_race
from hypercl.analysis.race import race_figure, race_markdown, race_table, read_race
from hypercl.analysis.race_record import RaceRecord
from hypercl.analysis.racing import Plan, level_of
from hypercl.config import UserError

PLAN = Plan(9, 3, level_of(0.05, looks=2, others=2))
VALUES = {
    4: (0.95, 0.96, 0.94, 0.95, 0.97, 0.96, 0.95, 0.94, 0.95),
    7: (0.90, 0.91, 0.88, 0.90, 0.91, 0.90),
    2: (0.94, 0.97, 0.93, 0.96, 0.96, 0.95, 0.96, 0.93, 0.95),
}
RACE = RaceRecord(24, (4, 7, 2), PLAN, 0.05, True, VALUES, ("trial 7, seed 1000002: diverged",))
METRIC = "validation/final_accuracy"


def test_the_table_has_a_row_for_each_round_and_setting():
    table = race_table([RACE])
    assert list(table["trial"]) == [4, 2, 7] * 2 + [4, 2]
    assert list(table[table["trial"] == 7]["state"]) == ["in", "dropped"]
    assert sum(math.isnan(p) for p in table["p"]) == 3 + 2  # too early in the first round; the leader has none
    assert all(low <= mean <= high for low, mean, high in zip(table["low"], table["mean"], table["high"], strict=True))


def test_the_account_says_rules_rounds_lost_seeds_and_standing():
    settings = {number: {"method.beta": number / 10} for number in (4, 7, 2)}
    text = race_markdown([RACE], METRIC, settings, {4: 0.99, 7: 0.98, 2: 0.97})
    assert "After 24 trials the 3 best settings" in text
    assert "p is at most 0.013" in text
    assert "dropped |" in text
    assert "trial 7, seed 1000002: diverged" in text
    standing = [line.split(" | ")[1] for line in text.splitlines() if line[2:3] in "123" and "0.9" in line][-3:]
    assert standing == ["4", "2", "7"]
    assert "are not distinguishable" in text


def test_the_figure_greys_what_was_dropped(tmp_path):
    (tmp_path / "race.csv").write_text(race_table([RACE]).to_csv(index=False))
    (path,) = draw_race(tmp_path / "race.csv", METRIC, tmp_path / "figures")
    assert path.stat().st_size > 5000
    assert (tmp_path / "figures" / "race.csv").is_file()
    (axes,) = race_figure(read_race(tmp_path / "race.csv"), METRIC).axes
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["trial 4 (leads)", "trial 2", "trial 7 (dropped at 6)"]
    assert [handle.lines[0].get_color() == "0.55" for handle in handles] == [False, False, True]  # pyright: ignore


def test_equal_values_are_drawn_too():
    alike = RaceRecord(3, (1, 2), Plan(3, 3, 0.05), 0.05, True, {1: (0.1 + 0.2,) * 3, 2: (0.3,) * 3})
    race_figure(race_table([alike]), METRIC).canvas.draw()


def test_without_a_race_nothing_is_drawn(tmp_path):
    assert draw_race(tmp_path / "race.csv", METRIC, tmp_path) == []
    (tmp_path / "race.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="holds no race"):
        draw_race(tmp_path / "race.csv", METRIC, tmp_path)
