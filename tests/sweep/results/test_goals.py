"""What a person sees of a sweep of several goals: lines, tables, files, and the setting that stands for all."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from hypercl.cli import main
from hypercl.cli.show import print_trial
from hypercl.config import SweepFile, UserError, check_sweep, load, loads
from hypercl.sweep.final.selection import best_first
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.plan.plan import plan_rows
from hypercl.sweep.results.files import ranked_rows, write_best, write_sweep, write_trials
from hypercl.sweep.results.live import PlainLines
from hypercl.sweep.results.live_table import LiveTable
from hypercl.sweep.results.status import status_of, status_rows
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.study import SweepStudy

ACCURACY, RATIO = "validation/final_accuracy", "compression_ratio"
TEXT = f"""
experiment:
  tasks: {{name: split_digits}}
  method: {{name: hnet, beta: 0.01}}
space: {{method.beta: {{log_uniform: [1e-4, 10]}}}}
objective: {{maximize: {ACCURACY}, minimize: {RATIO}}}
search: {{sampler: random, trials: 8, include_base: false}}
"""
VALUES = [(0.90, 1.00), (0.85, 0.20), (0.40, 0.10), (0.80, 0.30), (0.88, 0.60)]
"""The front is 0, 4, 1, 2, and 1 its knee."""
FILE = loads(TEXT, "front.yaml")

pytestmark = pytest.mark.usefixtures("in_the_order_of_values")


def outcome_of(accuracy: float, ratio: float) -> Outcome:
    return Outcome("complete", "", accuracy, {ACCURACY: accuracy, RATIO: ratio, "seconds": 100 * ratio}, 100 * ratio)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., SweepStudy]:
    def build(file: SweepFile = FILE, name: str = "made") -> SweepStudy:
        (tmp_path / name).mkdir()
        write_sweep(tmp_path / name, file, name)
        study = SweepStudy(tmp_path / name / "study.journal", name, file, 1)
        for values in [*VALUES, None]:
            suggestion = study.ask()
            assert suggestion is not None
            study.report(suggestion.number, 1, 0.15)
            end = Outcome("pruned", "stopped at step 8 (2 tasks learned)") if values is None else outcome_of(*values)
            study.decide(suggestion.number, end)
            study.settle(suggestion.number)
        return study

    return build


def test_lines_tell_every_value_and_who_is_on_the_front() -> None:
    out = io.StringIO()
    lines = PlainLines(FILE, Console(file=out, width=200))
    lines.begun(8, 1, [(0, (0.9, 1.0))])
    for number, values in enumerate([*VALUES[1:], (0.9, 1.0)], start=1):
        lines.trial_ended(number, outcome_of(*values))
    told = [line.partition(" [")[0] for line in out.getvalue().splitlines()]
    assert told == [
        "trial 1 complete: 0.85, 0.2 (on the front)",
        "trial 2 complete: 0.4, 0.1 (on the front)",
        "trial 3 complete: 0.8, 0.3",
        "trial 4 complete: 0.88, 0.6 (on the front)",
        "trial 5 complete: 0.9, 1 (on the front)",
    ]
    assert [number for number, _ in lines.front] == [0, 1, 2, 4, 5]


def test_the_live_table_names_the_front() -> None:
    out = io.StringIO()
    table = LiveTable(FILE, Console(file=out, width=200))
    for number, values in enumerate(VALUES):
        table.count(number, outcome_of(*values))
    table.console.print(table.frame())
    assert "front: trials 0, 1, 2 and 4; newest trial 4, validation/final_accuracy 0.88, compression_" in out.getvalue()


def test_one_goal_is_told_as_ever_and_an_equal_value_is_no_better() -> None:
    out = io.StringIO()
    lines = PlainLines(loads(TEXT, "x", [f"objective.maximize={ACCURACY}"]), Console(file=out, width=200))
    for number, accuracy in enumerate((0.5, 0.5, 0.6)):
        lines.trial_ended(number, outcome_of(accuracy, 1.0))
    told = [line.partition(" [")[0] for line in out.getvalue().splitlines()]
    assert told[0] == "trial 0 complete: 0.5000 (best so far)"
    assert told[1:] == ["trial 1 complete: 0.5000", "trial 2 complete: 0.6000 (best so far)"]


def test_tables_have_a_column_for_each_goal(made: Callable[..., SweepStudy], tmp_path: Path) -> None:
    study = made()
    rows = ranked_rows(study.record())
    assert [(row["trial"], row["front"]) for row in rows[:1] + rows[-1:]] == [(1, "on it"), (3, "")]
    assert [(row[ACCURACY], row[RATIO]) for row in rows] == [VALUES[row["trial"]] for row in rows]
    write_trials(tmp_path, study)
    frame = pd.read_csv(tmp_path / "trials.csv")
    assert list(frame.columns[:4]) == ["number", "state", ACCURACY, RATIO]
    assert "value" not in frame
    assert list(frame[RATIO])[:5] == [ratio for _, ratio in VALUES]
    assert frame.iloc[5][[ACCURACY, RATIO]].isna().all()
    assert list(frame["step"]) == [1] * 6


PREFERRED = {
    None: (1, "the knee of the front (of 4)"),
    "knee": (1, "the knee of the front (of 4)"),
    f"{ACCURACY}: 10, {RATIO}: 0.1": (0, "the best weighted sum of the goals"),
    f"{RATIO} <= 0.7": (4, f"the best {ACCURACY} of those that pass"),
}


@pytest.mark.parametrize("prefer", PREFERRED)
def test_best_yaml_is_what_is_preferred_and_says_why(prefer: str | None, made: Callable[..., SweepStudy]) -> None:
    study, (number, why) = made(), PREFERRED[prefer]
    if prefer is not None:
        study.set_prefer(f"{RATIO}: 1")
        study.set_prefer(prefer)
    path = write_best(study.record(), "made")
    assert path is not None
    head = path.read_text().partition("name:")[0]
    assert f"trial {number}, {ACCURACY} = {VALUES[number][0]:g}, {RATIO} = {VALUES[number][1]:g}" in head
    assert why in head
    assert ("--prefer '" in head) == (prefer not in (None, "knee"))
    assert load(path).experiment.method.beta == pytest.approx(study.trial(number).params["method.beta"])


def test_where_nothing_passes_there_is_no_best_yaml(made: Callable[..., SweepStudy], tmp_path: Path) -> None:
    study = made()
    assert write_best(study.record(), "made") is not None
    study.set_prefer("seconds <= 1")
    assert write_best(study.record(), "made") is None
    assert not (tmp_path / "made" / "best.yaml").exists()
    none = "none, and no best.yaml: no complete trial passes --prefer 'seconds <= 1' (--prefer knee takes that back)"
    assert ("best", none) in status_rows(status_of(tmp_path / "made"))


def test_a_wish_is_kept_by_the_study_and_leads_the_final_step(made: Callable[..., SweepStudy], tmp_path: Path) -> None:
    study = made()
    assert [trial.number for trial in best_first(study.record())] == [1, 0, 2]
    study.set_prefer(f"{RATIO} <= 0.7")
    again = SweepStudy(tmp_path / "made" / "study.journal", "made", FILE, 1)
    assert [trial.number for trial in best_first(again.record())] == [4, 0, 2]
    whole = loads(TEXT, "x", ["final.settings=all"])
    check_sweep(whole, "x")
    assert [trial.number for trial in best_first(replace(again.record(), asked=whole))] == [4, 0, 1, 2]


def test_of_one_goal_a_wish_leads_the_final_step_too(made: Callable[..., SweepStudy]) -> None:
    file = loads(TEXT, "x", [f"objective.maximize={ACCURACY}"])
    study = made(file)
    assert [trial.number for trial in best_first(study.record())][:3] == [0, 4, 1]
    study.set_prefer("seconds <= 25")
    assert [trial.number for trial in best_first(study.record())][:3] == [1, 0, 4]


def test_status_and_show_tell_the_front(
    made: Callable[..., SweepStudy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made()
    rows = dict(status_rows(status_of(tmp_path / "made")))
    assert rows["front"] == "trials 0, 1, 2 and 4"
    assert rows["best"] == f"trial 1, {ACCURACY} 0.85, {RATIO} 0.2 (the knee of the front)"
    print_trial(tmp_path / "made", 1)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{ACCURACY} 0.85 {RATIO} 0.2 rank 1 of 5 complete trials, one of 4 on the front" in shown
    assert "progress: tasks learned, mean validation accuracy on the tasks met so far" in shown


def test_a_report_draws_the_front_and_writes_another_wish_beside_it(
    made: Callable[..., SweepStudy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made()
    assert main(["report", str(tmp_path / "made"), "--prefer", f"{RATIO} <= 0.7"]) == 0
    figures = tmp_path / "made" / "figures"
    front = pd.read_csv(figures / "front.csv")
    assert list(front["number"]) == [0, 4, 1, 2]
    assert list(front["number"][front["knee"]]) == [1]
    assert {ACCURACY, RATIO, "method.beta"} <= set(front.columns)
    assert (figures / "front.png").stat().st_size > 10_000
    out = capsys.readouterr().out
    assert f"best of 5 complete trials by {ACCURACY} (maximize) and {RATIO} (minimize)" in out
    assert f"trial 4, {ACCURACY} 0.88, {RATIO} 0.6" in out
    assert "trial 4" in (figures / "preferred.yaml").read_text()
    assert not (tmp_path / "made" / "best.yaml").exists()


def test_sweeps_of_the_same_goals_are_ranked_with_each_other(
    made: Callable[..., SweepStudy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made()
    study = made(name="other")
    suggestion = study.ask()
    assert suggestion is not None
    study.decide(suggestion.number, outcome_of(0.86, 0.15))
    study.settle(suggestion.number)
    folders = [str(tmp_path / name) for name in ("made", "other")]
    assert main(["report", *folders, "--to", str(tmp_path / "report")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    lines = [row for row in rows if row[1:2] in (["made"], ["other"])]
    assert lines[0][:3] == ["1", "other", "6"]
    assert [line[2] for line in lines if line[2] == "1" and "on" in line] == []  # beaten by the other sweep's trial


def test_the_plan_says_what_best_yaml_gets_and_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    def row(file: SweepFile, prefer: str | None) -> str | None:
        return dict(plan_rows(file, SweepOptions(tmp_path / "new", tmp_path, prefer=prefer))).get("best.yaml")

    one = loads(TEXT, "x", [f"objective.maximize={ACCURACY}"])
    assert row(FILE, None) == "the knee of the front, or what --prefer said last"
    assert row(FILE, "seconds < 5") == "what is preferred: seconds < 5"
    assert row(one, None) is None
    with pytest.raises(UserError, match="did you mean 'seconds'"):
        row(FILE, "second < 5")
    with pytest.raises(UserError, match="the race decides"):
        row(loads(TEXT, "x", [f"objective.maximize={ACCURACY}", "search.race={}"]), "seconds < 5")
