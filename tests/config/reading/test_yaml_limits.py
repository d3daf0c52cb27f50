"""YAML that no person writes, and numbers that YAML reads as other numbers."""

from itertools import pairwise
from pathlib import Path

import pytest

from hypercl.config import ConfigError, UserError, load_sweep, loads
from hypercl.config.problems import MOST_PROBLEMS

NAMES = "abcdefgh"
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise(NAMES))
MERGES = "a: &a {k: 1}\n" + "".join(f"{b}: &{b} {{<<: [{','.join([f'*{a}'] * 9)}]}}\n" for a, b in pairwise(NAMES))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases stand for"),
        (MERGES, "aliases stand for"),
        ("f: &f {k: *f}", "an alias stands for a section that it is in"),
        ("f: &f [*f]", "an alias stands for a section that it is in"),
        ("a: " + "[" * 60 + "]" * 60, "more than 50 sections or lists"),
        ("a: " + "{a: " * 3000 + "}" * 3000, "more than 50 sections or lists"),
        ("a: " + "x" * 1_000_000, "the file has 1,000,003 characters"),
    ],
    ids=["bomb", "merges", "section in itself", "list in itself", "deep", "deeper", "large"],
)
def test_a_file_that_would_take_all_memory_is_refused_at_once(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loads(text, "x")


def test_aliases_of_some_values_are_read() -> None:
    text = "experiment:\n  tasks: {name: split_digits}\n  target: {name: mlp, hidden: &h [20, 20]}\n"
    space = "space: {target.hidden: {choice: [*h, [10]]}}\n"
    assert loads(text + space, "x").space["target.hidden"]


def test_of_very_many_mistakes_the_first_are_told_and_the_rest_counted() -> None:
    keys = "".join(f"  k{number}: 1\n" for number in range(MOST_PROBLEMS + 1000))
    with pytest.raises(ConfigError, match=r"1,\d\d\d more problems are not shown") as caught:
        loads(f"experiment:\n{keys}", "x")
    assert len(caught.value.problems) == MOST_PROBLEMS + 1


def test_so_it_is_of_mistakes_in_the_space(tmp_path: Path) -> None:
    values = ", ".join(f"{number}.5" for number in range(1, 2000))
    text = f"experiment: {{tasks: {{name: split_digits}}}}\nspace: {{target.dropout: {{choice: [{values}]}}}}\n"
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"\d\d more problems are not shown"):
        load_sweep(tmp_path / "x.yaml")


def test_a_key_of_the_space_that_is_no_text_is_a_problem() -> None:
    with pytest.raises(ConfigError, match=r"x:2  space\[5\].*: this should be text"):
        loads("experiment: {tasks: {name: split_digits}, method: {name: hnet}}\nspace: {5: {choice: [1, 2]}}\n", "x")


@pytest.mark.parametrize("tag", ["!!bool x", "!!int []", "!!timestamp x", "!!float a", "0x" + "f" * 5000, "1" * 400])
def test_a_value_that_yaml_cannot_make_is_a_problem(tag: str) -> None:
    with pytest.raises(ConfigError, match="x:2"):
        loads(f"experiment:\n  seed: {tag}\n", "x")


@pytest.mark.parametrize("number", ["020", "-017", "1:30", "1:30:00", "1:30.5"])
def test_a_number_that_yaml_reads_in_another_base_is_refused(number: str) -> None:
    with pytest.raises(UserError, match=rf"YAML reads {number} as a number in base (8|60)(?s:.*)quotes"):
        loads(f"experiment:\n  tasks: {{name: split_digits}}\n  training: {{iterations: {number}}}\n", "x")
