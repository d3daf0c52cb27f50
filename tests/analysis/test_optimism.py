"""What was promised against what came out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_final import ACCURACY, BASE, BETTER, RATIO, SETTING, about, bundle, pair

from hypercl.analysis.final import Reported, write_final
from hypercl.analysis.final_text import Content
from hypercl.analysis.optimism import joined_optimism, optimism_figure, optimism_table, write_optimism
from hypercl.analysis.statistics import estimate


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return write_final(tmp_path_factory.mktemp("final"), pair(), about()).content


def test_every_seed_of_a_setting_has_a_row_beside_what_was_promised(content: Content) -> None:
    table = optimism_table(content)
    assert list(table["setting"]) == ["trial-7"] * 10 + ["base"] * 10
    assert list(table["came_out"]) == pytest.approx([*BETTER, *BASE])
    first = table.iloc[0]
    low, high = estimate(BETTER).t_interval or (0, 0)
    assert (first["promised"], first["mean"]) == pytest.approx((0.96, 0.938))
    assert (first["low"], first["high"]) == pytest.approx((low, high))
    assert first["optimism"] == pytest.approx(0.022)


def test_a_line_of_the_figure_has_promise_mean_interval_and_every_seed(content: Content) -> None:
    (axes,) = optimism_figure(content).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["trial 7", "the setting as written"]
    promised = [line for line in axes.lines if line.get_label() == "promised by the search"]
    assert [float(np.asarray(line.get_xdata())[0]) for line in promised] == pytest.approx([96.0, 91.5])
    dots = [line for line in axes.lines if line.get_label() == "each fresh seed"]
    assert list(np.asarray(dots[0].get_xdata())) == pytest.approx([100 * value for value in BETTER])
    assert len(axes.containers) == 2, "a mean with its interval for each setting"


def test_the_picture_is_written_with_its_numbers(content: Content, tmp_path: Path) -> None:
    (picture,) = write_optimism(content, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(tmp_path / "promised.csv")) == 20


def test_where_nothing_was_promised_there_is_no_picture(tmp_path: Path) -> None:
    reported = [Reported("base", {}, None, [bundle(BASE)])]
    result = write_final(tmp_path, reported, about())
    assert result.optimism == ""
    assert write_optimism(result.content, tmp_path) == []


def test_sweeps_side_by_side_have_a_row_each_with_their_cost(content: Content, tmp_path: Path) -> None:
    leak = write_final(tmp_path, pair(BASE, BASE), about("test_leak", hours=0.25)).content
    joined = joined_optimism({"honest": content, "leaking": leak})
    assert list(joined.frame["sweep"]) == ["honest", "leaking"]
    assert list(joined.frame["came_out"]) == pytest.approx([0.938, 0.908])
    assert list(joined.frame["optimism"]) == pytest.approx([0.022, 0.052])
    assert list(joined.frame["hours"]) == [12.3, 0.25]
    assert list(joined.frame["above_base"]) == pytest.approx([0.03, 0.0])
    lines = joined.markdown.splitlines()
    assert "| honest | stream | 96.00 | 93.80 (" in lines[2]
    assert lines[3].startswith("| TEST LEAK: leaking | test_leak |")
    (axes,) = joined.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["honest", "TEST LEAK: leaking"]


def test_each_of_several_goals_has_a_panel(tmp_path: Path) -> None:
    reported = [Reported("trial-7", SETTING, (0.96, 0.5), [bundle(BETTER)])]
    content = write_final(tmp_path, reported, about(goals=(ACCURACY, RATIO))).content
    labels = [axes.get_xlabel() for axes in optimism_figure(content).axes]
    assert labels == ["final accuracy, %", "compression ratio"]
    assert list(joined_optimism({"a": content}).frame["promised"]) == [0.96, 0.5]
