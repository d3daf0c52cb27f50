"""The winners of several sweeps against each other."""

from pathlib import Path

import pytest
from made_final import BASE, BETTER, about, pair

from hypercl.analysis.final import write_final
from hypercl.analysis.final_text import Content
from hypercl.analysis.statistics import difference
from hypercl.analysis.winners import winners_in_words


def content(folder: Path, best: list[float]) -> Content:
    return write_final(folder, pair(BASE[: len(best)], best), about()).content


def test_winners_are_tested_on_the_seeds_that_they_share(tmp_path: Path) -> None:
    worse = [value - 0.01 - 0.001 * place for place, value in enumerate(BETTER[:6])]
    contents = {"one": content(tmp_path / "one", BETTER), "other": content(tmp_path / "other", worse)}
    (text,) = winners_in_words(contents)
    found = difference(BETTER[:6], worse)
    low, high = found.t_interval or (0.0, 0.0)
    assert text == (
        f"the winners of one and other, on 6 shared seeds: one is {100 * (found.mean or 0):.1f} points above other "
        f"({100 * low:.1f} to {100 * high:.1f}, sign-flip p = {found.p:.3f})"
    )
    assert "below one" in winners_in_words({"other": contents["other"], "one": contents["one"]})[0]


def test_three_sweeps_are_three_pairs_and_one_without_shared_seeds_is_named(tmp_path: Path) -> None:
    one = content(tmp_path, BETTER)
    (winner, *rest) = one["settings"]
    elsewhere = {**one, "settings": [{**winner, "seeds": [seed + 100 for seed in winner["seeds"]]}, *rest]}
    texts = winners_in_words({"a": one, "b": one, "c": elsewhere})
    assert texts[0] == "the winners of a and b reached the same on each of 10 shared seeds"
    assert texts[1:] == [
        f"the winners of {name} and c cannot be compared: their final steps share no two seeds of one goal"
        for name in ("a", "b")
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_one_final_step_has_no_other_to_be_tested_against(count: int, tmp_path: Path) -> None:
    assert winners_in_words({"a": content(tmp_path, BETTER)} if count else {}) == []
