"""What is printed in a narrow window."""

from pathlib import Path

import pytest
from rich.console import Console

from hypercl.cli import main
from hypercl.cli.report import ranked
from hypercl.cli.tables import Fitted, pairs
from hypercl.files import write_text
from hypercl.formatting import headings
from tests.sweep.made_sweep import made_sweep

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


def test_a_ranked_table_of_many_parameters_fits_into_80_columns() -> None:
    paths = [f"training.optimizer.parameter_number_{number}" for number in range(9)]
    rows = [{"trial": trial, "value": 0.9, "spread": 0.01} | dict.fromkeys(paths, 0.125) for trial in range(20, 30)]
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(ranked(rows, "best"))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    for heading in headings(paths):
        assert any(line.startswith(heading) for line in lines)
    assert sum(line.split().count("0.125") for line in lines) == 9 * 10


@pytest.mark.parametrize(
    "arguments", [["--status", "made"], ["made", "--show", "0"], ["made", "--show", "6"]], ids=" ".join
)
def test_status_and_trials_fit_into_80_columns(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made_sweep(Path("made"), complete=4, pruned=2, running=2)
    assert main(["sweep", *arguments]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_trial_without_a_matrix_shows_its_last_accuracies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_sweep(tmp_path / "made", complete=0, running=1)
    rows = ['{"iteration": 10, "validation/task_1": 0.99}', '{"iteration": 20, "validation/task_1": 0.9, "x": 1}']
    rows += ['{"iteration": 30, "validation/task_1": 0.8, "validation/task_2": 0.975}', '{"iteration": 40, "loss": 1}']
    write_text(tmp_path / "made/trials/0/metrics.jsonl", "\n".join(rows) + "\n")
    assert main(["sweep", str(tmp_path / "made"), "--show", "0"]) == 0
    assert "last accuracy on each task met, %: 80.0 97.5\n" in capsys.readouterr().out


def test_text_of_the_users_is_never_markup() -> None:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(pairs([("results", "/scratch/a[/b]/x[old]")]))
        console.print(Fitted([{"trial [1]": "0", "layers": "[conv, pool]"}], "best [now]"))
    for text in ("a[/b]/x[old]", "trial [1]", "[conv, pool]", "best [now]"):
        assert text in captured.get()
