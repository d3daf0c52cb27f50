"""What a sweep says before and while it works."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_training import FakeEngine
from rich.console import Console

from hypercl.config import SweepFile, UserError
from hypercl.formatting import duration
from hypercl.sweep import SweepOptions, dry_run_rows, plan_rows
from hypercl.sweep.results.listeners import listener_for
from hypercl.sweep.results.live import PlainLines
from hypercl.sweep.results.live_table import LiveTable
from hypercl.sweep.study.constraints import Bounds
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]


@pytest.fixture
def given(tmp_path: Path) -> SweepOptions:
    return SweepOptions(folder=tmp_path / "results" / "test", data_dir=tmp_path, source="test.yaml")


def test_the_plan_names_everything_that_matters(sweep_file: Files, given: SweepOptions) -> None:
    rows = plan_rows(sweep_file(), given, FakeEngine())
    text = "\n".join(f"{name}: {words}" for name, words in rows)
    assert "6, suggested by tpe" in text
    assert "space method.beta: 0.0001 to 10, logarithmic" in text
    assert "compression ratio at most 1: about 6" in text
    assert "after tasks 2 and 4" in text
    assert "1 thread" in text
    assert "replicas" not in text
    assert not given.folder.exists()


def test_the_plan_says_where_runs_lie_that_are_elsewhere(sweep_file: Files, given: SweepOptions) -> None:
    assert "runs" not in dict(plan_rows(sweep_file(), given, FakeEngine()))
    file = sweep_file("study.run_folders=s3://bucket/sweeps")
    assert dict(plan_rows(file, given, FakeEngine()))["runs"] == "below s3://bucket/sweeps"


def test_the_plan_counts_the_cells_of_a_grid(sweep_file: Files, given: SweepOptions) -> None:
    grid = ["search.sampler=grid", "search.startup_trials=null", "space={method.beta: {choice: [0.1, 1]}}"]
    found = ", suggested by grid"
    rows = dict(plan_rows(sweep_file(*grid, "search.include_base=false"), given, FakeEngine()))
    assert rows["trials"] == f"2{found} (search.trials is 6; the grid has no more cells)"
    base = dict(plan_rows(sweep_file(*grid, "method.beta=0.1", "search.include_base=true"), given, FakeEngine()))
    assert base["trials"].startswith(f"3{found}")
    assert dict(plan_rows(sweep_file(*grid[::2], "search.trials=1"), given, FakeEngine()))["trials"].startswith(
        "1, suggested"
    )


def test_the_plan_says_what_replicas_are(sweep_file: Files, given: SweepOptions) -> None:
    rows = dict(plan_rows(sweep_file("training.replicas=3", "training.seed=5"), given, FakeEngine()))
    assert rows["replicas"] == "seeds 5 to 7 in each trial, trained together and judged by their mean"


def test_the_plan_says_which_trials_are_trained_together(sweep_file: Files, given: SweepOptions) -> None:
    rows = dict(plan_rows(sweep_file("search.bundle=4"), given, FakeEngine()))
    assert rows["bundles"] == "up to 4 trials that differ only in method.beta are trained together, in the place of one"
    assert "bundles" not in dict(plan_rows(sweep_file(), given, FakeEngine()))


def test_the_plan_says_how_short_trials_are(sweep_file: Files, given: SweepOptions) -> None:
    file = sweep_file("search.fidelity={training.iterations: 0.1, tasks.num_tasks: 0.6}", "training.iterations=3000")
    rows = dict(plan_rows(file, given, FakeEngine()))
    assert rows["fidelity"].startswith("trials are trained for 300 of 3,000 iterations and 3 of 5 tasks")
    assert rows["objective"].endswith(" after 10 % of the iterations and 60 % of the tasks")


@pytest.mark.parametrize("searched", [False, True])
def test_the_plan_says_that_chunks_of_fewer_tasks_are_larger(
    sweep_file: Files, given: SweepOptions, searched: bool
) -> None:
    auto = ["hypernet.chunk_size=auto", "hypernet.compression_ratio=2"]
    if searched:
        ratio = "{choice: [2], when: {hypernet.chunk_size: auto}}"
        auto = [f"space={{hypernet.chunk_size: {{choice: [100, auto]}}, hypernet.compression_ratio: {ratio}}}"]
    for fidelity, told in (("{tasks.num_tasks: 0.6}", True), ("{training.iterations: 0.1}", False)):
        file = sweep_file(f"search.fidelity={fidelity}", "training.iterations=3000", *auto)
        notes = [text for name, text in plan_rows(file, given, FakeEngine()) if name == "note"]
        assert any("at full length the chunks are smaller" in note for note in notes) == told


def test_the_dry_run_says_what_short_trials_save(sweep_file: Files, given: SweepOptions) -> None:
    def rows(*overrides: str) -> dict[str, str]:
        file, engine = sweep_file("training.iterations=3000", "search.race=true", *overrides), FakeEngine()
        return dict(plan_rows(file, given, engine) + dry_run_rows(file, given, measure=lambda _: 0.01, engine=engine))

    short, full = rows("search.fidelity={training.iterations: 0.1}"), rows()
    assert short["a trial"].startswith("1,500 steps, about ")
    hours = full["the sweep"].removeprefix("at most about ").partition(" for ")[0]
    assert short["the sweep"].endswith(f", instead of {hours} at full length")
    assert (short["races"], short["final step"]) == (full["races"], full["final step"])
    worth = [float(plan["race cost"].split()[-2]) for plan in (short, full)]
    assert worth[0] == pytest.approx(10 * worth[1])


def test_the_plan_says_when_the_experiment_itself_is_out_of_bounds(sweep_file: Files, given: SweepOptions) -> None:
    rows = dict(plan_rows(sweep_file("constraints.compression_ratio.max=0.5"), given, FakeEngine()))
    assert "compression_ratio 0.8 is above 0.5" in rows["note"]


def test_the_plan_warns_of_bf16_where_the_processor_imitates_it(
    sweep_file: Files, given: SweepOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypercl.training.imitated", lambda precision: "slow" if precision == "bf16" else None)
    notes = [dict(plan_rows(sweep_file(f"training.precision={one}"), given, FakeEngine())) for one in ("bf16", "fp32")]
    assert [rows.get("note") for rows in notes] == ["training.precision: slow", None]


def test_the_plan_tells_what_a_resume_takes_up(sweep_file: Files, given: SweepOptions) -> None:
    given.folder.mkdir(parents=True)
    study = SweepStudy(given.folder / "study.journal", "test", sweep_file(), 1)
    study.ask()
    study.ask()
    study.decide(0, Outcome("complete", value=0.5))
    study.settle(0)
    rows = dict(plan_rows(sweep_file(), given, FakeEngine()))
    assert rows["resume"] == "1 trials trained, 1 to resume, 5 to go"


def test_the_feasible_share_is_estimated(sweep_file: Files) -> None:
    share, drawn = Bounds(sweep_file(), FakeEngine().sizes).share()
    assert drawn == 200
    assert share == pytest.approx(2 / 3, abs=0.1)


def test_a_bound_below_counts_too(sweep_file: Files) -> None:
    bounds = Bounds(sweep_file("constraints={parameters: {min: 8000, max: 8000}}"), FakeEngine().sizes)
    verdict = bounds.judge({"method.beta": 0.1, "hypernet.task_embedding": 4})
    assert verdict.violations["parameters"] == pytest.approx(0.5)
    assert verdict.why == "parameters 4000 is below 8000"
    assert bounds.of(sweep_file().experiment).feasible


def test_a_dry_run_measures_the_largest_setting(sweep_file: Files, given: SweepOptions) -> None:
    measured = []

    def measure(experiment: object) -> float:
        measured.append(experiment)
        return 0.01

    rows = dict(dry_run_rows(sweep_file("resources.max_concurrent=1"), given, measure, FakeEngine()))
    assert measured[0].hypernet.task_embedding == 8
    assert measured[0].training.threads == 1
    assert "8,000 parameters, compression ratio 0.8" in rows["largest"]
    assert rows["a trial"].startswith("10,000 steps, about 2 min")
    assert "10 min for 6 trials" in rows["the sweep"]


def test_a_dry_run_of_an_impossible_space_says_so(sweep_file: Files, given: SweepOptions) -> None:
    with pytest.raises(UserError, match="within the bounds"):
        dry_run_rows(sweep_file("constraints.compression_ratio.max=0.1"), given, lambda _: 0.1, FakeEngine())


def test_a_dry_run_knows_no_time_of_a_final_step_on_a_stream_of_unknown_length(
    sweep_file: Files, given: SweepOptions
) -> None:
    stream = "{name: import, path: 'mine:make', input_shape: [1, 8, 8], classes_per_task: 2, heads: shared}"
    file = sweep_file(f"protocol={{name: transfer, to: {stream}}}")
    assert "the time is unknown" in dict(dry_run_rows(file, given, lambda _: 0.1, FakeEngine()))["final step"]


def lines_of(file: SweepFile, kind: type[PlainLines] | type[LiveTable]) -> str:
    out = io.StringIO()
    listener = kind(file, Console(file=out, width=120, force_terminal=kind is LiveTable))
    listener.begun(6, 1, [(0, [0.5])])
    listener.said("hello")
    listener.trial_started(1, {"method.beta": 0.123456}, False)
    listener.trial_started(2, {"method.beta": 1.0}, True)
    listener.trial_reported(1, 5, 0.3, (0.8, 0.7))
    if isinstance(listener, LiveTable):
        listener.tick()
        listener._draw()
    listener.trial_ended(1, Outcome("complete", value=0.6))
    listener.trial_ended(3, Outcome("failed", "Traceback\nValueError: x"))
    listener.trial_interrupted(2)
    listener.close()
    return out.getvalue()


def test_without_a_terminal_each_event_is_a_line(sweep_file: Files) -> None:
    lines = lines_of(sweep_file(), PlainLines).splitlines()
    assert lines[:3] == ["hello", "trial 1 started: beta=0.1235", "trial 2 resumed: beta=1"]
    assert lines[3].startswith("trial 1 complete: 0.6000 (best so far) [2/6, about ")
    assert lines[4] == "trial 3 failed: ValueError: x [2/6]"
    assert lines[5] == "trial 2 interrupted"


def test_in_a_terminal_there_is_a_table(sweep_file: Files) -> None:
    text = lines_of(sweep_file(), LiveTable)
    assert "1 of 6 trials trained" in text
    assert "best: trial 1, validation/final_accuracy 0.6000" in text
    assert "2 of 5" in text
    assert "0.7500" in text


def test_the_live_table_shows_forgetting_and_fits_into_80_columns(sweep_file: Files) -> None:
    file = sweep_file()
    table = LiveTable(file, Console(width=80))
    reports = file.pruner.reports_per_task
    table.trial_reported(1, reports, 0.2, (0.9,))
    table.trial_reported(1, 3 * reports, 0.5, (0.7, 0.95, 0.8))
    table.trial_reported(2, 3 * reports, 0.5, (0.7, 0.95, 0.8))
    table.run_started("trial-17, seeds 2000001-2000010", 10)
    with table.console.capture() as captured:
        table.console.print(table.frame())
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    (heading,) = (line for line in lines if line.startswith("run"))
    first, second = (line.split() for line in lines if line.startswith(("1 ", "2 ")))
    assert "forgetting" in heading
    assert first[4:6] == ["0.8167", "0.1000"]
    assert second[4:6] == ["0.8167", "0"]  # it resumed after its first task: what it forgot is not known


def test_the_way_of_telling_follows_the_console(sweep_file: Files) -> None:
    assert isinstance(listener_for(sweep_file(), Console(file=io.StringIO())), PlainLines)
    assert isinstance(listener_for(sweep_file(), Console(file=io.StringIO(), force_terminal=True)), LiveTable)


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (700, "12 min"), (12000, "3 h 20 min")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
