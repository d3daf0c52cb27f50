"""The simulated sweeps: that they are what they say, on small pieces of the recorded tables."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from hypercl.analysis.confirming import halving_plan
from hypercl.config import SweepFile, assign
from tests.benchmarks.options import Options
from tests.benchmarks.search import group, landscape, record, simulate, strategies
from tests.benchmarks.search.engine import Searched, Tried, fresh_values, searched
from tests.benchmarks.search.landscape import Landscape, World
from tests.benchmarks.search.problems import AS_WRITTEN, PROBLEMS, blocks, sweep_file, table_path
from tests.benchmarks.search.simulate import sweep
from tests.benchmarks.search.strategies import Confirm, Strategy, decided, intensified, trainings
from tests.benchmarks.search.training import train


@pytest.fixture(scope="module")
def land() -> Landscape:
    return Landscape("digits_cl3")


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_is_recorded_with_eight_seeds_a_setting(name):
    table = landscape.recorded(name)
    assert table.validation.shape[:2] == (len(table.params), 8)
    assert len(table.params) > 20
    assert 0 <= table.validation.min() <= table.validation.max() <= 1


def test_a_longer_design_begins_with_the_shorter_one():
    file = sweep_file("digits_cl3")
    short, long = list(blocks(file, 8)), list(blocks(file, 16))
    assert long[: len(short)] == short
    assert short[0].numbers == (AS_WRITTEN,)


def test_a_table_that_was_cut_inside_a_block_is_recorded_to_the_same_rows(tmp_path, monkeypatch):
    file, table = sweep_file("digits_cl1"), tmp_path / "table.csv"
    head, *rows = table_path("digits_cl1").read_text().splitlines(keepends=True)
    monkeypatch.setattr(record, "train", lambda *_: pytest.fail("the block is whole"))
    block = next(iter(blocks(file, 8)))
    table.write_text(head + "".join(rows[:4]))
    assert record._is_recorded(table, block)
    table.write_text(head + "".join(rows[:2]) + rows[2][:9])
    assert not record._is_recorded(table, block)
    assert table.read_text() == head


def test_a_bundle_of_settings_gives_each_what_it_gives_alone(tmp_path):
    file = sweep_file("digits_cl1")
    short = _with(file, {"training.iterations": 4, "training.device": "cpu", "training.threads": 1})
    settings = [
        _with(short, {"method.beta": beta, "training.optimizer.lr": lr}) for beta, lr in ((0.1, 1e-3), (1, 1e-2))
    ]
    both = train([setting.experiment for setting in settings], (1, 2), tmp_path, [])
    alone = train([settings[1].experiment], (1, 2), tmp_path, [])
    assert both.validation.shape == (2, 2, 20)
    np.testing.assert_allclose(both.validation[1], alone.validation[0], atol=0.03)


def test_the_mean_over_many_seeds_is_the_truth(land):
    world = World(land, 0)
    values = fresh_values(world, land.as_written, range(2000))
    assert values.std() > 0.02
    assert values.mean() == pytest.approx(world.validation_truth(land.as_written), abs=0.01)


def test_the_same_world_searches_alike_and_spends_its_budget(land):
    first, again = (searched(land.file, World(land, 3), 8) for _ in range(2))
    assert [trial.params for trial in first.trials] == [trial.params for trial in again.trials]
    assert first.trials[0].params == land.as_written
    assert 6 <= first.trials[-1].spent <= 8
    assert len(first.until(4).trials) < len(first.trials)


def test_a_recorded_setting_is_near_what_was_recorded_and_those_left_out_are_predicted(land):
    levels = land.table.level
    found = np.array([land.truth(params) for params in land.table.params])
    assert np.abs(found - levels).max() < 3 * np.sqrt(land.table.level_variance.max())
    assert land.explained > 0.5


@pytest.mark.parametrize("by", ["posterior", "test"])
def test_a_challenger_that_is_no_better_does_not_take_the_title(land, by):
    world = World(land, 1)
    world.run = lambda *chosen: np.full(20, 0.5 + 0.1 * np.random.default_rng(chosen[1]).standard_normal())
    found = searched(land.file, world, 12)
    decision = decided(Strategy("x", confirm=Confirm(share=0.5, by=by)), found, 24)
    assert decision.params == land.as_written


def test_a_challenger_that_is_much_better_takes_the_title_and_its_value_is_promised(land):
    world = World(land, 1)
    world.run = lambda params, *_: np.full(20, 0.9 if params["hypernet.hidden"] != [10, 10] else 0.1)
    found = searched(land.file, world, 12)
    decision = decided(Strategy("x", confirm=Confirm(share=0.5)), found, 24)
    assert decision.params["hypernet.hidden"] != [10, 10]
    assert decision.promised == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(("budget", "first", "second"), [(12, 1, 4), (25, 3, 6)])
def test_all_finalists_get_the_same_seeds_and_after_a_round_the_best_challenger_is_left(land, budget, first, second):
    world, runs = World(land, 1), Counter()
    found = searched(land.file, world, 12)

    def run(params, *_):
        runs[str(params)] += 1
        return np.full(20, 0.5)

    world.run = run
    decided(Strategy("x", confirm=Confirm(share=0.5)), found, 2 * budget)
    assert sorted(runs.values()) == [first, first, first + second, first + second]
    assert runs[str(land.as_written)] == first + second


@pytest.mark.parametrize("budget", [3, 10, 12, 25])
def test_the_search_leaves_what_confirming_costs(budget):
    plan = halving_plan(budget, 3, True, 0.05)
    assert trainings(plan, 3) == plan.rounds[0] * 4 + (plan.rounds[1] - plan.rounds[0]) * 2
    assert budget < 8 or budget - 1 <= trainings(plan, 3) <= budget


def test_strategies_that_search_alike_share_their_search(land, monkeypatch):
    searches = []
    monkeypatch.setattr(simulate, "searched", lambda *given: searches.append(given[2]) or searched(*given))
    confirmed, plain = Strategy("x", confirm=Confirm()), Strategy("y", choose="value")
    rows = sweep(land, [(confirmed, 16), (plain, 8), (plain, 4)], 0)
    assert searches == [16]
    assert all(bound >= gain for gain, _, _, bound in rows)


def test_the_group_has_rows_of_each_problem_and_of_each_other_strategy(monkeypatch):
    few = (group.OURS, group.HABIT, group.RANDOM)
    cases = [*((strategy, 16) for strategy in few), (group.OURS, 12), (group.RANDOM, 17)]
    replaced = {"PROBLEMS": ("digits_cl3",), "OTHERS": (), "BUDGET": 16, "BUDGETS": (12,), "RANDOM_BUDGET": 17}
    for name, value in (replaced | {"CASES": cases}).items():
        monkeypatch.setattr(group, name, value)
    rows = list(group.measures(Options(sweeps=2)))
    assert [(row.measure.removeprefix("digits_cl3: "), row.goal) for row in rows] == [
        ("sweeps that did harm", "<= 2"),
        ("promised minus came out", "<= 0.2"),
        ("gain", ">= 0.8"),
        ("gain", ">= 1.5"),
        ("steps random search needs", "<= 0.25"),
        ("most harm, random search, the largest value", ""),
    ]
    assert all(row.ours is not None and np.isfinite(row.ours) for row in rows[:4])


def _with(file: SweepFile, changes: dict[str, object]) -> SweepFile:
    return file.model_copy(update={"experiment": assign(file.experiment, changes)})


def test_an_incumbent_is_replaced_by_one_that_is_no_worse_on_as_many_seeds(monkeypatch):
    written, worse, better = {"a": 0}, {"a": 1}, {"a": 2}
    means = {0: 0.5, 1: 0.4, 2: 0.6}
    trained: Counter[int] = Counter()

    def fresh(_world, params, seeds):
        trained[params["a"]] += len(seeds)
        return np.full(len(seeds), means[params["a"]])

    monkeypatch.setattr(strategies, "fresh_values", fresh)
    trials = [
        Tried(number, params, (means[params["a"]],), np.zeros(1), number + 1.0)
        for number, params in enumerate((written, worse, better))
    ]
    whole = Searched(SimpleNamespace(land=SimpleNamespace(as_written=written)), trials)  # pyright: ignore
    decision = intensified(whole, 40)
    assert (decision.params, decision.promised) == (better, 0.6)
    assert trained == {0: 2, 1: 0, 2: 2}
    assert intensified(whole, 1).params == written
