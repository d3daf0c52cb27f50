"""A table in a narrow window."""

import pytest
from rich.console import Console

from hypercl.cli.report import Fitted

ROW = {
    "promised": "95.70",
    "mean": "94.20",
    "t interval": "93.10 to 94.50",
    "bootstrap": "93.20 to 94.40",
    "difference": "+3.40",
    "its t interval": "2.10 to 4.50",
    "p": "0.0020",
    "forgetting": "-1.25",
    "seeds lost": "0 of 10",
}
SETTINGS = ("trial 7", "trial 12", "trial 31", "as written")


def printed(rows: list[dict[str, str]], width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(Fitted(rows, "Final step"))
    return captured.get()


@pytest.mark.parametrize("width", [200, 80, 50])
def test_no_word_and_no_number_is_broken(width: int) -> None:
    said = printed([{"setting": setting} | ROW for setting in SETTINGS], width)
    assert all(len(line) <= width for line in said.splitlines())
    assert said.count("Final step") == 1
    for text in (*SETTINGS, *ROW):
        assert text in said
    for text in ROW.values():
        assert said.count(text) >= len(SETTINGS)


def test_each_goal_of_a_setting_has_a_column_that_names_both() -> None:
    rows = [{"setting": "trial 7", "goal": "accuracy"} | ROW, {"setting": "", "goal": "ratio"} | ROW]
    said = printed(rows, 60)
    assert "trial 7: accuracy" in said
    assert "trial 7: ratio" in said
