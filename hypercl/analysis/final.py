"""The final step's result: chosen settings and the experiment as written, on fresh seeds and test data.

Its files are final.csv (a row a setting and seed), final.json (all statistics) and final.md (the table for people).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd

from hypercl.analysis.final_seeds import About, Reported, measures_of, seeds_of_all, why_unknown
from hypercl.analysis.final_table import final_markdown
from hypercl.analysis.final_text import BASE, LEAK, counterpart, optimism_line, protocol_cell, quotable_sentence
from hypercl.analysis.promise import promise_of
from hypercl.analysis.statistics import difference, estimate
from hypercl.config import UserError
from hypercl.config.models import Goal
from hypercl.files import write_text

__all__ = ["About", "FinalResult", "Reported", "read_final", "with_later", "write_final"]

NAME = "final.json"


@dataclass(frozen=True)
class FinalResult:
    """The result of a final step, as stored in its files."""

    sentence: str
    """What a reviewer could quote."""
    optimism: str
    """What was promised against what came out, a line; '' where the search promised nothing."""
    table: str
    """final.md: Markdown."""
    content: Mapping[str, Any]
    """final.json: plain data."""


def write_final(folder: Path, reported: Sequence[Reported], about: About) -> FinalResult:
    """Writes final.csv, final.json and final.md.

    Every statistic counts a seed that was lost, or that diverged, as the worst value. Accuracies are fractions.

    Args:
        folder: `<results>/final`, made where it is missing.
        reported: settings as the search ordered them, best first: the sentence is on the first one. `base`, after them
            where it is none of them, is what the others are compared with, seed by seed; `scratch` comes last.
        about: what they have in common.
    """
    seeds = seeds_of_all(reported, about.goals)
    content: dict[str, Any] = {
        **_head(about),
        "settings": [_setting(setting, seeds, about) for setting in reported],
    }
    content |= {"sentence": quotable_sentence(content), "optimism": optimism_line(content)}
    common = {"sweep": about.name, "protocol": protocol_cell(content)}
    frame = seeds.assign(**common)[[*common, *seeds]]
    write_text(folder / "final.csv", frame.to_csv(index=False, lineterminator="\n"))
    table = final_markdown(content)
    write_text(folder / "final.md", table)
    write_text(folder / NAME, json.dumps(content, indent=2, default=str) + "\n")
    return FinalResult(content["sentence"], content["optimism"], table, content)


def read_final(folder: Path) -> FinalResult | None:
    """What `write_final` wrote; None where no final step is done.

    Raises:
        UserError: final.json is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return FinalResult(content["sentence"], content["optimism"], final_markdown(content), content)
    except (ValueError, KeyError, TypeError) as error:
        fix = "hypercl final rewrites it from its runs"
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}\n    fix:     {fix}") from None


def with_later(folder: Path, result: FinalResult, later: str) -> FinalResult:
    """A result with what became of its search since, '' where nothing did; rewrites final.md and final.json where they
    say something else."""
    if later == result.content.get("later", ""):
        return result
    content = {**result.content, "later": later}
    table = final_markdown(content)
    write_text(folder / "final.md", table)
    write_text(folder / NAME, json.dumps(content, indent=2, default=str) + "\n")
    return FinalResult(result.sentence, result.optimism, table, content)


def _head(about: About) -> dict[str, Any]:
    leak = {"warning": f"{LEAK}: tuned on test data, to measure what that does; no result to report"}
    return {
        "version": 1,
        "sweep": about.name,
        **(leak if about.leaks else {}),
        "protocol": about.protocol,
        "described": about.described,
        "goals": [{"metric": goal.metric, "direction": goal.direction} for goal in _measured_again(about.goals)],
        "opened": about.opened,
        "first_opened": about.first_opened,
        "cost": dict(about.cost),
        **({"earlier": dict(about.earlier)} if about.earlier else {}),
        "hardware": about.hardware,
        **({"promised_at": about.promised_at} if about.promised_at else {}),
    }


def _setting(reported: Reported, seeds: pd.DataFrame, about: About) -> dict[str, Any]:
    goals = about.goals
    own, base = (pd.DataFrame(seeds[seeds["setting"] == label]) for label in (reported.label, BASE))
    paired = own.merge(base if reported.label != BASE else base[:0], "left", "seed")
    metrics = {key: _measure(paired, key, why_unknown(reported, key, seeds)) for key in measures_of(goals)}
    promises = reported.promises(goals)
    flops = [summary.flops or nan for summary in reported.summaries]
    return {
        "label": reported.label,
        "settings": dict(reported.settings),
        "seeds": own["seed"].tolist(),
        "lost": [
            {"seed": seed, "why": why} for seed, why in zip(own["seed"].tolist(), own["lost"], strict=True) if why
        ],
        "seconds": sum(summary.seconds for summary in reported.summaries),
        "flops": None if isnan(sum(flops)) else sum(flops),
        "metrics": metrics,
        "promised": {
            goal.metric: {
                **promise_of(
                    promises[goal.metric], reported.interval, metrics, goal, about.promised_seeds, about.leaks
                ),
                "expected_interval": list(reported.interval) if reported.interval else None,
            }
            for goal in _measured_again(goals)
            if goal.metric in promises
        },
    }


def _measured_again(goals: tuple[Goal, ...]) -> list[Goal]:
    """The goals that each seed measures again: time and memory are those of a run of several seeds, and parameters are
    no measurement."""
    return [goal for goal in goals if counterpart(goal.metric) in measures_of(goals)]


def _measure(seeds: pd.DataFrame, key: str, reason: str | None) -> dict[str, Any]:
    """A measure's values, their statistics and the difference to the base, where there is one.

    Args:
        seeds: of a setting, beside the base's on the same seeds: columns `<key>_x` and `<key>_y`.
        key: of the measure.
        reason: why some seeds have none.
    """
    values = seeds[f"{key}_x"]
    statistics = estimate(values.tolist()).plain()
    statistics |= {"values": [None if isnan(value) else value for value in values.tolist()]}
    statistics |= {"why": reason} if statistics["mean"] is None and reason else {}
    pairs = seeds[[f"{key}_x", f"{key}_y"]].dropna()
    compared = None
    if len(pairs) and statistics["mean"] is not None:
        compared = difference(*(pairs[column].tolist() for column in pairs)).plain()
    return {**statistics, "difference": compared}
