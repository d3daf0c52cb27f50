"""A whole sweep against a W&B server: what the server holds at the end."""

import json
from collections import Counter
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from wandb_server import KEY, StoredRun, WandbServer

from hypercl.config import loads
from hypercl.loggers import read_rows
from hypercl.sweep import SweepOptions, sweep
from hypercl.sweep.results import JsonEvents
from hypercl.sweep.study import read_sweep, search_config

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
TRIALS = 2
TEXT = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 2}}
  hypernet: {{name: chunked, chunk_size: 4000}}
  training: {{iterations: 12, threads: 1, device: cpu}}
space: {{training.optimizer.lr: {{log_uniform: [1e-4, 1e-2]}}}}
search: {{sampler: random, trials: {TRIALS}}}
final: {{auto: true, settings: 1, seeds: 5}}
logging: {{wandb: {{project: proven, alert: true}}}}
"""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials train in this process, and W&B has all the time that a loaded machine takes."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "sweep"))
    in_this_process = import_module("in_this_process")
    in_this_process.without_ray(monkeypatch, in_this_process.TrainedHere())
    monkeypatch.setattr("hypercl.loggers.wandb_mode.ANSWER_SECONDS", 60.0)
    monkeypatch.setattr("hypercl.loggers.wandb.INIT_SECONDS", 120)
    monkeypatch.setattr("hypercl.loggers.wandb.FINISH_SECONDS", 120)
    monkeypatch.setattr("hypercl.loggers.wandb_best.SECONDS", 200)


def swept(folder: Path) -> list[dict[str, Any]]:
    """The events of a sweep."""
    file, out = loads(TEXT, "proven.yaml"), StringIO()
    listener = JsonEvents(search_config(file), Console(file=out))
    options = SweepOptions(
        folder=folder / "results" / "proven", data_dir=folder, cpus=2, final="after the search", listener=listener
    )
    listener.ended(sweep(file, options))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def steps_of(run: StoredRun) -> list[int]:
    return [row["_step"] for row in run.history if not any("accuracy_matrix" in key for key in row)]


def test_a_sweep_is_held_whole_with_its_groups_its_artifact_and_an_alert(tmp_path: Path, server: WandbServer) -> None:
    events = swept(tmp_path)
    assert (events[0]["event"], events[-1]["event"], events[-1]["exit_code"]) == ("begun", "ended", 0)
    assert Counter(event["event"] for event in events)["trial_ended"] == TRIALS
    assert "W&B" not in events[-1]["message"]
    runs = list(server.runs.values())
    kinds = Counter(run.kind for run in runs)
    assert (kinds["trial"], kinds.keys()) == (TRIALS, {"trial", "confirm", "final"})
    assert {(run.project, run.group, run.exit_code) for run in runs} == {("proven", "proven", 0)}
    for run in runs:
        assert steps_of(run) == sorted(set(steps_of(run)))
        assert ("test/final_accuracy" in run.summary) == (run.kind == "final")
    settings = {run.config["setting"]["value"] for run in runs if run.kind == "trial"}
    assert {run.config["setting"]["value"] for run in runs} == settings  # whatever their seeds
    for number in range(TRIALS):
        place = tmp_path / "results" / "proven" / "trials" / str(number)
        run = server.runs[json.loads((place / "wandb.json").read_text())["id"]]
        assert steps_of(run) == [row["iteration"] for row in read_rows(place)]
    best = read_sweep(tmp_path / "results" / "proven").best()
    assert best is not None
    (made,) = (one for one in server.artifacts.values() if one["artifactTypeName"] == "best-setting")
    assert made["committed"]
    assert server.runs[made["runName"]].shown == f"proven-{best.number}"
    assert {name.rpartition("/")[2] for name in server.blobs if "proven-best" in name} >= {"best.yaml", "config.yaml"}
    (alert,) = server.alerts
    assert (alert["severity"], alert["title"].partition(":")[0]) == ("INFO", "proven")
    assert server.unknown == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
