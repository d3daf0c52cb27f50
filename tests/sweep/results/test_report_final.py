"""The final step in `hypercl report`."""

import re
from math import nan
from pathlib import Path

import pandas as pd
import pytest
from made_sweep import SMALL, made_sweep

from hypercl.analysis.final import About, Reported, write_final
from hypercl.cli import main
from hypercl.cli.test_leak_console import PREFIX
from hypercl.config import UserError
from hypercl.config.models.objective import Goal
from hypercl.sweep.results.report import protocols_table
from hypercl.sweep.study.record import read_sweep
from hypercl.training import RunSummary
from hypercl.training.metrics import summarize


def summary(seed: int, final: float) -> RunSummary:
    metrics = summarize([[0.5, 0.5], [final, nan], [final, final]])
    content = {"seed": seed, "test": metrics, "validation": metrics, "compression_ratio": 0.5, "seconds": 1.0}
    return RunSummary.of(content)


def made_final(folder: Path, protocol: str) -> None:
    """Writes a final folder of ten seeds: 0.93 for trial 7, 0.90 for the base."""
    means = {"trial-7": 0.93, "base": 0.90}
    values = {"trial-7": {"method.beta": 0.25}, "base": {}}
    reported = [
        Reported(label, values[label], mean + 0.02, [summary(seed, mean + seed / 500) for seed in range(10)])
        for label, mean in means.items()
    ]
    goals = (Goal("validation/final_accuracy", "maximize"),)
    about = About("made", protocol, f"{protocol}: in words", goals, 1, None, {"trials": 24}, "a processor")
    write_final(folder, reported, about)


def sweep_with_final(folder: Path, protocol: str) -> Path:
    made_sweep(folder, complete=3, text=SMALL + f"protocol: {{name: {protocol}}}\n")
    made_final(folder / "final", protocol)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("sweeps")
    return sweep_with_final(root / "honest", "stream"), sweep_with_final(root / "leaking", "test_leak")


def test_the_report_prints_splits_table_and_both_sentences(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(folders[0])]) == 0
    out = capsys.readouterr().out
    assert "train and validation data of tasks 1 to 5 of split_digits" in out
    assert re.search(r"^spent +3 trials: ", out, re.MULTILINE)
    assert "Final step of the sweep 'made': final accuracy on test data in percent, 10 fresh seeds" in out
    assert "the setting as written" in out
    assert re.search(r"^trial 7 +method\.beta 0\.25 *$", out, re.MULTILINE), "values have a line of their own"
    assert "On 10 fresh seeds trial 7 reached 93.9 % final test accuracy" in out
    assert "optimism 1.1 points (-0.3 to 2.5), of which 1.1 (-0.3 to 2.5) by selection" in out
    assert "TEST LEAK" not in out
    assert (folders[0] / "figures" / "promised.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(folders[0] / "figures" / "promised.csv")) == 20


def test_every_line_on_a_leaking_sweep_is_marked(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(folders[1])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert all(line.startswith(PREFIX) for line in lines)


def test_of_several_sweeps_the_leaking_ones_are_marked_and_promises_are_joined(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *map(str, folders), "--to", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{PREFIX}leaking: 3 of") for line in lines)
    assert any(line.startswith("honest: 3 of") for line in lines)
    assert any("leaking (TEST LEAK)" in line for line in lines), "in the ranked table"
    assert "what each search promised and what came out, in percent and points" in lines
    assert list(pd.read_csv(tmp_path / "promised.csv")["sweep"]) == ["honest", "leaking"]
    assert "TEST LEAK: leaking" in (tmp_path / "promised.md").read_text()
    assert (tmp_path / "promised.png").is_file()


def test_without_a_final_step_there_is_no_table_of_promises(tmp_path: Path) -> None:
    made_sweep(tmp_path / "new", complete=1, text=SMALL)
    with pytest.raises(UserError, match="no final step is done in new"):
        protocols_table({"new": read_sweep(tmp_path / "new")})
