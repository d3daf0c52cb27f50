"""`hypercl sweep --status` names what it shows of running trials."""

from pathlib import Path

import pytest

from hypercl.cli import main
from tests.sweep.made_sweep import SMALL, made_sweep


@pytest.mark.parametrize(("stream", "score"), [("split_digits", "accuracy so far"), ("toy_regression", "R² so far")])
def test_the_score_of_running_trials_has_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stream: str, score: str
) -> None:
    made_sweep(tmp_path / "made", complete=0, running=1, text=SMALL.replace("split_digits", stream))
    assert main(["sweep", "--status", str(tmp_path / "made")]) == 0
    assert score in " ".join(capsys.readouterr().out.split())
