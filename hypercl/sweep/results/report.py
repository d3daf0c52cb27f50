"""What a sweep found: ranked tables, what mattered, and the files of a report."""

from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from hypercl.analysis import (
    LINES,
    FinalResult,
    Joined,
    comparison_figure,
    comparison_table,
    draw_race,
    draw_sweep,
    front_figure,
    importance_figure,
    joined_optimism,
    matrix_figure,
    read_final,
    read_trials,
    sensitivity_figure,
    under_protocol,
    write_optimism,
)
from hypercl.config import UserError, differences, resolved
from hypercl.config.models import Objective, key_of
from hypercl.config.reading import dump, value_in_words
from hypercl.files import write_text
from hypercl.sweep.planner import planner_of
from hypercl.sweep.results import goals
from hypercl.sweep.results.files import TrialsTable, ranked_rows
from hypercl.sweep.results.importance import Importance
from hypercl.sweep.results.methods import methods_rows
from hypercl.sweep.results.stability import write_stability_files
from hypercl.sweep.study import (
    TRAINED,
    StudyRecord,
    best_experiment,
    full_config,
    goal_values,
    knee_trial,
    leaks,
    outcome_of,
    pareto_front,
    preferred_trial,
    ranked_trials,
    read_sweep,
)
from hypercl.training import MATRIX_FILES, AccuracyMatrix


def read_sweeps(folders: Sequence[Path]) -> dict[str, StudyRecord]:
    """Sweeps by names that tell them apart: the folder's, with its parent's where two have the same.

    Raises:
        UserError: a folder holds no sweep, or is named twice.
    """
    paths = [folder.resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{path} is named twice")
    names = [path.name for path in paths]
    long = [path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}" for path in paths]
    clear = long if len(set(long)) == len(long) else [str(path) for path in paths]
    return {name: read_sweep(path) for name, path in zip(clear, paths, strict=True)}


def rankings(sweeps: Mapping[str, StudyRecord], together: bool = False) -> list[tuple[str, list[dict[str, Any]]]]:
    """One table for each objective and fidelity, in words: complete trials of its sweeps, best first. Sweeps of other
    data or another length of training have a table of their own, unless all are wanted `together`.

    A row holds `sweep` (where there are several), `trial`, `value` and every parameter; '' for one that a trial does
    not have.
    """
    groups: dict[_Sought, dict[str, StudyRecord]] = {}
    for name, record in sweeps.items():
        groups.setdefault(_sought(record, together), {})[name] = record
    alike = [found[:2] for found in groups]
    return [
        (
            goals.goals_in_words(objective)
            + at_fidelity
            + (f", of {' and '.join(records)}" if alike.count((objective, at_fidelity)) > 1 else ""),
            _joined(records, len(sweeps) > 1),
        )
        for (objective, at_fidelity, _), records in groups.items()
    ]


def apart_in_words(sweeps: Mapping[str, StudyRecord]) -> str:
    """Why sweeps are ranked apart, as a sentence; '' where their data and the length of training are the same."""
    (first, base), *others = ((name, _conditions(record)) for name, record in sweeps.items())
    found = [
        f"{path} is {value_in_words(old)} in {first} and {value_in_words(new)} in {name}"
        for name, conditions in others
        for path, old, new in differences(base, conditions)
    ]
    if not found:
        return ""
    return f"ranked apart, since other data or another length of training is another task: {'; '.join(found)}"


_Sought = tuple[Objective, str, str]


def _sought(record: StudyRecord, together: bool) -> _Sought:
    """What the values of a sweep are of: those of two sweeps are compared where it is the same."""
    return record.file.objective, record.file.at_fidelity, "" if together else dump(_conditions(record))


def _conditions(record: StudyRecord) -> dict[str, Any]:
    """The data and the length of training, as far as they are no part of a setting."""
    experiment = resolved(full_config(record.asked).experiment)
    lengths = {key: experiment["training"].get(key) for key in ("iterations", "epochs")}
    fixed = {key: value for key, value in lengths.items() if f"training.{key}" not in record.file.space}
    return {"tasks": {**experiment["tasks"], "download": None}, "training": fixed}


def write_report(record: StudyRecord, folder: Path, found: Sequence[Importance]) -> list[Path]:
    """Writes a sweep's tables and figures: trials.csv, methods.csv where methods are compared, history, parameters,
    importance, the best trial's matrix; of a space of one number the sensitivity to it.

    Args:
        record: the sweep.
        folder: where to; made where it is missing.
        found: as from `importances`; empty draws none.

    Returns:
        The pictures, each with its numbers as CSV beside; none while no trial is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "trials.csv", TrialsTable(record.file).text(record.trials))
    trials = read_trials(folder / "trials.csv", record.file.objective)
    best = knee_trial(record.file, record.trials) if goals.several(record.file.objective) else record.best()
    if best is not None:
        trials["best"] = trials["number"] == best.number
    drawn = write_stability_files(record, folder)
    pictures = drawn or [*_write_front(record, trials, folder), *draw_sweep(record.file, trials, folder)]
    pictures += _write_sensitivity(record, trials, folder)
    if found:
        table = pd.DataFrame([(each.path, each.share, each.chance) for each in found], columns=_COLUMNS)
        table.to_csv(folder / "importance.csv", index=False)
        by = "; good is what is on the front or near it" if goals.several(record.file.objective) else ""
        importance_figure(table, f"{record.trained} trained trials{by}").savefig(folder / "importance.png")
        pictures.append(folder / "importance.png")
    if compared := methods_rows(record, final_of(record)):
        pd.DataFrame(compared).to_csv(folder / "methods.csv", index=False, lineterminator="\n")
    for kind in ("confirm", "race"):
        pictures += draw_race(record.folder / kind / f"{kind}.csv", record.file.objective.metric, folder)
    final = final_of(record)
    pictures += write_optimism(final.content, folder) if final is not None else []
    return [*pictures, *_write_matrix(record, folder)]


def write_by_task(by_task: Mapping[str, Sequence[Importance]], folder: Path) -> None:
    """Writes importance_by_task.csv: `task` and the columns of importance.csv; nothing where nothing is known."""
    rows = [(task, each.path, each.share, each.chance) for task, found in by_task.items() for each in found]
    if rows:
        table = pd.DataFrame(rows, columns=["task", *_COLUMNS])
        table.to_csv(folder / "importance_by_task.csv", index=False, lineterminator="\n")


def write_preferred(record: StudyRecord, folder: Path, prefer: str) -> tuple[Path | None, FrozenTrial | None]:
    """preferred.yaml: as best.yaml, which stays as it is, of what a person prefers; None where nothing passes.

    Raises:
        UserError: the preference cannot be read.
    """
    trial = preferred_trial(record.file, record.trials, prefer)
    if trial is None:
        return None, None
    experiment = best_experiment(record.asked, planner_of(record.asked).settings(trial), record.threads)
    values = ", ".join(f"{metric} = {value:.6g}" for metric, value in goal_values(record.file, trial).items())
    lines = [f"Of the sweep '{record.name}': trial {trial.number}, {values}{record.file.at_fidelity}"]
    lines += goals.why_chosen(record.file, record.trials, prefer)
    path = folder / "preferred.yaml"
    content = dump({"name": f"{record.name[:70]}-preferred", "experiment": resolved(experiment)})
    write_text(path, "".join(f"# {line}\n" for line in lines) + content)
    return path, trial


def final_of(record: StudyRecord) -> FinalResult | None:
    """The result of the sweep's final step; None if there is none yet.

    Raises:
        UserError: its file is damaged.
    """
    return read_final(record.folder / "final")


def protocols_table(records: Mapping[str, StudyRecord]) -> Joined:
    """What each of several sweeps promised, what came out, and what the tuning cost.

    Args:
        records: by names that tell them apart; one whose final step is not done has no row.

    Raises:
        UserError: no final step is done.
    """
    finals = {name: final.content for name, record in records.items() if (final := final_of(record)) is not None}
    if not finals:
        raise UserError(f"no final step is done in {', '.join(records)}: there is nothing to set beside a promise")
    return joined_optimism(finals)


def write_joined(
    sweeps: Mapping[str, StudyRecord],
    folder: Path,
    found: Mapping[str, Sequence[Importance]],
    together: bool = False,
) -> list[Path]:
    """Writes the report of each sweep into a folder of its own, all trials into one trials.csv, and a comparison of
    those that are ranked together (`rankings`).

    Returns:
        The pictures.
    """
    pictures: list[Path] = []
    tables: dict[str, pd.DataFrame] = {}
    for name, record in sweeps.items():
        own = own_folder(folder, name)
        pictures += write_report(record, own, found[name])
        tables[name] = read_trials(own / "trials.csv", record.file.objective)
    joined = pd.concat([table.assign(sweep=name) for name, table in tables.items()], ignore_index=True)
    joined = joined[["sweep", *(column for column in joined.columns if column != "sweep")]]
    write_text(folder / "trials.csv", joined.to_csv(index=False))
    sought = {name: _sought(record, together) for name, record in sweeps.items() if record.ranked()}
    for number, kind in enumerate(dict.fromkeys(sought.values())):
        complete = {name: tables[name] for name in sought if sought[name] == kind}
        if len(complete) > 1:
            again = f"-{number}" if any(kind[:2] == other[:2] and kind != other for other in sought.values()) else ""
            pictures.append(_write_comparison(complete, kind[0], kind[1], folder, again))
    return [*pictures, *_write_protocols(sweeps, folder)]


def own_folder(folder: Path, name: str) -> Path:
    """Where the report of one of several sweeps goes."""
    return folder / name.strip("/").replace("/", "-")


_COLUMNS = ["parameter", "importance", "chance"]


def _write_comparison(
    tables: dict[str, pd.DataFrame], objective: Objective, at_fidelity: str, folder: Path, again: str
) -> Path:
    of = at_fidelity.replace(" %", "-percent").replace(" ", "-")
    path = folder / f"comparison-{objective.direction}-{objective.metric.replace('/', '-')}{of}{again}.png"
    trained = {name: pd.DataFrame(trials[trials["state"].isin(TRAINED)]) for name, trials in tables.items()}
    table = comparison_table(trained, objective)
    table.to_csv(path.with_suffix(".csv"), index=False)
    comparison_figure(table, objective).savefig(path)
    return path


def _write_protocols(sweeps: Mapping[str, StudyRecord], folder: Path) -> list[Path]:
    """promised.png with promised.csv and promised.md, of the sweeps whose final step is done."""
    if all(final_of(record) is None for record in sweeps.values()):
        return []
    found = protocols_table(sweeps)
    found.frame.to_csv(folder / "promised.csv", index=False, lineterminator="\n")
    write_text(folder / "promised.md", found.markdown)
    found.figure.savefig(folder / "promised.png")
    return [folder / "promised.png"]


def _write_matrix(record: StudyRecord, folder: Path) -> list[Path]:
    """The accuracy matrix of the best trial, if its folder still holds it."""
    best = record.best() or next(iter(record.ranked()), None)
    source = record.trial_folder(best.number) / MATRIX_FILES["validation"] if best else None
    if best is None or source is None or not source.is_file():
        return []
    matrix = AccuracyMatrix.read(source)
    write_text(folder / source.name, source.read_text())
    data = "TEST data, which was tuned on" if leaks(record.asked) else "validation data"
    score = record.file.experiment.tasks.score
    title = f"Trial {best.number}, the best: {score} on {data}{record.file.at_fidelity}"
    picture = (folder / source.name).with_suffix(".png")
    matrix_figure(matrix, title, score).savefig(picture)
    return [picture]


def _joined(records: Mapping[str, StudyRecord], several: bool) -> list[dict[str, Any]]:
    """The rows of sweeps of one objective, ranked with each other: of one goal by what each expects of its settings."""
    rows: dict[int, dict[str, Any]] = {}
    expected: dict[int, float] = {}
    for name, record in records.items():
        for trial, row in zip(record.ranked(), ranked_rows(record), strict=True):
            rows[id(trial)] = {"sweep": name, **row} if several else row
            expected[id(trial)] = record.beliefs[trial.number].mean if record.beliefs else trial.values[0]
    if len(records) == 1:
        return list(rows.values())
    trials = [trial for record in records.values() for trial in record.ranked()]
    file = next(iter(records.values())).file
    columns = dict.fromkeys(key for row in rows.values() for key in row)
    if goals.several(file.objective):
        front = {id(trial) for trial in pareto_front(file, trials)}
        rows = {key: row | {"front": goals.ON_IT if key in front else ""} for key, row in rows.items()}
        trials = ranked_trials(file, trials)
    else:
        sign = file.objective.goals[0].sign
        trials.sort(key=lambda trial: (not outcome_of(trial).feasible, sign * expected[id(trial)]))
    return [{column: rows[id(trial)].get(column, "") for column in columns} for trial in trials]


_OF_SIZE = ("hypernet.compression_ratio", "hypernet.chunk_size")
"""Keys that are drawn by the compression ratio they lead to."""


def _write_sensitivity(record: StudyRecord, trials: pd.DataFrame, folder: Path) -> list[Path]:
    """sensitivity.csv and sensitivity.png where the space varies one number, and complete trials have several of it."""
    varied = [entry for entry, one in record.file.space.items() if one.kind != "equals"]
    if len(varied) != 1:
        return []
    key, numbers = key_of(varied[0]), trials.set_index("number")
    by_size, rows = key in _OF_SIZE, list[dict[str, Any]]()
    for trial in record.ranked():
        metrics = outcome_of(trial).metrics
        x = metrics.get("compression_ratio") if by_size else pd.to_numeric(numbers[key][trial.number], errors="coerce")
        known = {name: metrics[f"validation/{name}"] for name in LINES if f"validation/{name}" in metrics}
        spread = {f"{name}_sd": metrics.get(f"spread/validation/{name}", nan) for name in known}
        rows.append({"number": trial.number, "x": nan if x is None else float(x), **known, **spread})
    table = pd.DataFrame(rows).dropna(subset=["x"]) if rows else pd.DataFrame()
    if len(table.columns) < 3 or table["x"].nunique() < 2:
        return []
    table.to_csv(folder / "sensitivity.csv", index=False, lineterminator="\n")
    name = "compression ratio" if by_size else key
    figure = sensitivity_figure(table, name, record.file.experiment.tasks.score)
    under_protocol(figure, record.file).savefig(folder / "sensitivity.png")
    return [folder / "sensitivity.png"]


def _write_front(record: StudyRecord, trials: pd.DataFrame, folder: Path) -> list[Path]:
    """front.csv and front.png of several goals: what no other trial beats in one of them without losing in another."""
    objective, best = record.file.objective, knee_trial(record.file, record.trials)
    if not goals.several(objective) or best is None:
        return []
    rows = {row["trial"]: row for row in ranked_rows(record)}
    front = pd.DataFrame(
        [
            {
                "number": trial.number,
                **goals.goal_cells(objective, trial),
                "knee": trial.number == best.number,
                **{path: rows[trial.number].get(path, "") for path in map(key_of, record.file.space)},
            }
            for trial in pareto_front(record.file, record.trials)
        ]
    )
    write_text(folder / "front.csv", front.to_csv(index=False, lineterminator="\n"))
    under_protocol(front_figure(trials, front, objective), record.file).savefig(folder / "front.png")
    return [folder / "front.png"]
