"""The files of a sweep's folder that people read: sweep.yaml, trials.csv, best.yaml."""

import csv
import io
import platform
import subprocess
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.analysis import LEAK, FinalResult
from hypercl.config import SweepFile, resolved, to_yaml
from hypercl.config.models import key_of
from hypercl.config.reading import dump
from hypercl.files import write_text
from hypercl.formatting import typed
from hypercl.sweep.planner import planner_of
from hypercl.sweep.race import race_in_words
from hypercl.sweep.results import goals
from hypercl.sweep.results.bounds import bound_cells, broken_of, none_feasible
from hypercl.sweep.study import (
    SWEEP_YAML,
    Outcome,
    StudyRecord,
    SweepStudy,
    best_experiment,
    last_race,
    leaks,
    outcome_of,
    pareto_front,
    spread_of,
    with_spread,
)
from hypercl.version import __version__

COMMAND = "command: "
_PACKAGES = ("torch", "torchvision", "ray", "optuna", "wandb", "numpy")


@dataclass(frozen=True)
class Origin:
    """Where a sweep comes from, as the head of its sweep.yaml says; each '' where it does not."""

    versions: str
    command: str


def origin_of(folder: Path) -> Origin:
    """Versions of code and packages, and the command that the sweep was last given."""
    head = [line.removeprefix("# ") for line in (folder / SWEEP_YAML).read_text(encoding="utf-8").splitlines()[:3]]
    versions = next((line for line in head if line.startswith("hypercl ")), "")
    return Origin(versions, next((line.removeprefix(COMMAND) for line in head if line.startswith(COMMAND)), ""))


def write_sweep(folder: Path, file: SweepFile, name: str, command: str = "") -> None:
    """sweep.yaml: what was asked, every default written out; at its head versions of code and packages, and the
    command, which stays where none is given."""
    if not command and (folder / SWEEP_YAML).is_file():
        command = origin_of(folder).command
    found = {package: _version(package) for package in _PACKAGES}
    head = [
        f"# {name}: what this sweep was asked to do, every default written out.",
        f"# hypercl {__version__}{_commit()}, Python {platform.python_version()}, "
        + ", ".join(f"{package} {number}" for package, number in found.items() if number),
        *([f"# {COMMAND}{command}"] if command else []),
    ]
    write_text(folder / SWEEP_YAML, "\n".join(head) + "\n" + to_yaml(file))


def write_trials(folder: Path, study: SweepStudy, table: "TrialsTable | None" = None) -> None:
    """trials.csv: one row a trial. A table that is kept between calls makes rows of new endings only."""
    write_text(folder / "trials.csv", (table or TrialsTable(study.file)).text(study.trials()))


class TrialsTable:
    """The content of trials.csv: number, state, value (of several goals each metric), why, seconds, step, each
    parameter, each final metric.

    The row of an ended trial is made once: a sweep of thousands writes the table again and again.

    Args:
        file: the sweep.
    """

    def __init__(self, file: SweepFile) -> None:
        self._file = file
        self._metrics: set[str] = set()
        self._ended: dict[int, str] = {}
        """Number -> line."""

    def text(self, trials: Sequence[FrozenTrial]) -> str:
        """The whole table of these trials; a new metric in one of them rebuilds every row."""
        rows = {trial.number: _row(self._file, trial) for trial in trials if trial.number not in self._ended}
        keys = dict.fromkeys(map(key_of, self._file.space))
        first = [*_first(self._file), *(_BOUNDS if self._file.constraints.measured else ()), *keys]
        metrics = {key for row in rows.values() for key in row}.difference(first)
        if not metrics <= self._metrics:
            self._metrics |= metrics
            self._ended.clear()
            return self.text(trials)
        head = [*first, *sorted(self._metrics)]
        lines = self._ended | {number: _line([row.get(key) for key in head]) for number, row in rows.items()}
        self._ended |= {trial.number: lines[trial.number] for trial in trials if trial.state.is_finished()}
        return "".join([_line(head), *(lines[trial.number] for trial in trials)])


def _line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def write_best(record: StudyRecord, name: str, reported: FinalResult | None = None) -> Path | None:
    """best.yaml: retrains the winner on a seed that the search never saw. None while nothing is complete.

    `reported` is the final step's result; it does not change which trial is the winner.
    """
    file, folder, ranked = record.asked, record.folder, record.ranked()
    later = reported.content.get("later") if reported is not None else ""
    final = f"Final step: {reported.sentence}" if reported is not None else ""
    final += f" {later}." if later else ""
    best, race = record.best(), last_race(record.attributes)
    prefer = record.prefer if record.deciding_race is None else None
    beware = none_feasible(file, ranked)
    if beware:
        best = ranked[0]
    if best is None:
        (folder / "best.yaml").unlink(missing_ok=True)  # of what was preferred before
        return None
    settings = planner_of(file).settings(best)
    experiment = best_experiment(file, settings, record.threads)
    head = [
        f"# The best of the sweep '{name}': trial {best.number}, {_values(file, best)}",
        *(f"# {line}" for line in goals.why_chosen(file, record.trials, prefer)),
        *([f"# Out of bounds: {beware}"] if beware else []),
        *(
            f"# {line}"
            for line in textwrap.wrap(
                f"{race_in_words(race)}: {race.kind}/{race.kind}.md" if race is not None else "", 118
            )
        ),
        *(
            ["# Its by_task holds what was found task by task; trained with these values, frozen."]
            if "by_task" in settings
            else []
        ),
        f"# found in {len(record.trials)} trials. Retrain it, on a seed that the search did not use, with",
        f"#     hypercl train {typed(folder / 'best.yaml')}",
        *(f"# {line}" for line in textwrap.wrap(final, 118)),
    ]
    text = dump({"name": f"{name[:75]}-best", "experiment": resolved(experiment)})
    write_text(folder / "best.yaml", "\n".join(head) + "\n" + text)
    return folder / "best.yaml"


def _values(file: SweepFile, trial: FrozenTrial) -> str:
    pairs = zip(file.objective.goals, trial.values, strict=True)
    metrics = outcome_of(trial).metrics
    values = [with_spread(f"{goal.metric} = {value:.6g}", metrics, goal.metric, ".2g") for goal, value in pairs]
    return ", ".join(values) + file.at_fidelity


def ranked_rows(record: StudyRecord) -> list[dict[str, Any]]:
    """Complete trials, best first: number, value (of several goals each one's, and whether it is on the `front`), the
    `expected` value where values are noisy, the `spread` over seeds where there were several, the bounds that are
    `broken` where training has bounds to keep, and every parameter; '' for one that is no part of the setting."""
    file, ranked, planner = record.file, record.ranked(), planner_of(record.file)
    front = {trial.number for trial in pareto_front(file, ranked)}
    return [
        {
            "trial": trial.number,
            **goals.goal_cells(file.objective, trial),
            **({"expected": record.beliefs[trial.number].mean} if record.beliefs else {}),
            **({"front": goals.ON_IT if trial.number in front else ""} if goals.several(file.objective) else {}),
            **_spread(file, trial),
            **({"broken": broken_of(file, outcome_of(trial))} if file.constraints.measured else {}),
            **dict.fromkeys(map(key_of, file.space), ""),
            **settings.get("by_task", settings),
        }
        for trial, settings in zip(ranked, map(planner.settings, ranked), strict=True)
    ]


def _spread(file: SweepFile, trial: FrozenTrial) -> dict[str, float]:
    found = spread_of(outcome_of(trial).metrics, file.objective.metric)
    return {} if goals.several(file.objective) or found is None else {"spread": found}


_BOUNDS = ("feasible", "broken")


def _first(file: SweepFile) -> list[str]:
    """The first columns of trials.csv."""
    special = [*(["protocol"] if leaks(file) else []), *(["fidelity"] if file.fidelity else [])]
    return list(dict.fromkeys(["number", *special, "state", *goals.columns(file.objective), "why", "seconds", "step"]))


def _row(file: SweepFile, trial: FrozenTrial) -> dict[str, Any]:
    done = trial.state.is_finished()
    outcome = outcome_of(trial) if done else Outcome("complete")
    planner = planner_of(file)
    return {
        "number": trial.number,
        **({"protocol": f"{LEAK}: tuned on test data"} if leaks(file) else {}),
        **({"fidelity": file.at_fidelity.strip()} if file.fidelity else {}),
        "state": outcome.kind if done else trial.state.name.lower(),
        **goals.goal_cells(file.objective, trial),
        "why": outcome.why.strip().splitlines()[-1] if outcome.why.strip() else "",
        **bound_cells(file, outcome),
        "seconds": outcome.seconds,
        "step": trial.last_step,
        **{path: _plain(value) for path, value in planner.tried(trial).items()},
        **planner.columns(trial),
        **outcome.metrics,
        **({} if outcome.gpu_seconds is None else {"gpu_hours": round(outcome.gpu_seconds / 3600, 6)}),
    }


def _plain(value: Any) -> Any:
    """A value for a cell; an empty cell is no part of the setting, null is a value."""
    return "null" if value is None else dump(value).strip() if isinstance(value, list | dict) else value


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """' (git 1a2b3c4, changed)' in a checkout."""
    here = Path(__file__).parent
    try:
        asked = ["git", "-C", str(here), "describe", "--always", "--dirty=, changed", "--exclude=*"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" (git {found.stdout.strip()})"
