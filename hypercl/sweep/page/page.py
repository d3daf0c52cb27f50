"""The page itself: words and tables in HTML, and for every figure a place that the page's script fills."""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from importlib import resources
from math import inf
from pathlib import Path
from typing import Any

from hypercl.analysis import LEAK, FinalResult, final_rows, title
from hypercl.files import write_text
from hypercl.sweep.final import data_used_rows, since_final
from hypercl.sweep.page import html
from hypercl.sweep.page.answer import facts_of, next_steps, sentence_of
from hypercl.sweep.page.courses import Courses, samples_of
from hypercl.sweep.page.figures import figures_of
from hypercl.sweep.results import (
    Importance,
    best_rows,
    cost_rows,
    final_of,
    goals_in_words,
    how_sure_rows,
    methods_rows,
    origin_of,
    several,
    stability_rows,
)
from hypercl.sweep.study import (
    ENDINGS,
    SWEEP_YAML,
    StudyRecord,
    counts_in_words,
    decided,
    is_written,
    leaks,
    pruner_in_words,
    state_of,
)

PAGE = "report.html"
MOST_FAILURES, MOST_LETTERS = 40, 4000
"""Failures that are listed, and letters of the first one's traceback."""
SCENARIOS = {"task": "task-incremental", "domain": "domain-incremental", "class": "class-incremental"}
MOST_SAMPLED = 8
"""Trials whose replayed inputs are shown."""


@dataclass
class Shown:
    """A sweep as a page shows it."""

    record: StudyRecord
    stands: str
    """As from `hypercl.sweep.results.stage_of`."""
    importance: Sequence[Importance]
    courses: Courses | None = None
    """Those read before."""
    seconds: float = inf
    """For reading how trials trained; what is left out then is in the next page."""


def write_page(sweeps: Mapping[str, Shown], path: Path) -> Path:
    """Writes the page of one sweep or several, by names that tell them apart."""
    write_text(path, page_of(sweeps))
    return path


def page_of(sweeps: Mapping[str, Shown]) -> str:
    """The page's HTML. It holds all that it needs: opened anywhere, it asks nothing of any network."""
    bodies, data = zip(*(_sweep(index, name, one) for index, (name, one) in enumerate(sweeps.items())), strict=True)
    head = " and ".join(sweeps) if len(sweeps) < 4 else f"{len(sweeps)} sweeps"
    written = f"Written {datetime.now().astimezone():%Y-%m-%d %H:%M %Z} by hypercl."
    together = _side_by_side(sweeps) if len(sweeps) > 1 else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(head)} · hypercl report</title>\n<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n"
        f"<main>\n{together}{''.join(bodies)}"
        f"<footer><p>{written}</p></footer>\n</main>\n"
        "<noscript><p>The figures need JavaScript; nothing is loaded from anywhere.</p></noscript>\n"
        f'<script type="application/json" id="data">{_json(data)}</script>\n'
        f'<script type="text/plain" id="plotly">{_plotly()}</script>\n'
        f"<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


@cache
def _asset(name: str) -> str:
    return (resources.files("hypercl.sweep.page") / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    """plotly.js, compressed: 2 MB instead of 5."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()


def _json(data: Any) -> str:
    """JSON that no text in it can end: in a script, `<` is the only way out."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _sweep(index: int, name: str, one: Shown) -> tuple[str, dict[str, Any]]:
    """A sweep's part of the page, and the numbers of its figures."""
    record = one.record
    found, final = one.importance, final_of(record)
    attempts, interest = stability_rows(record), _of_interest(record)
    courses = (one.courses or Courses()).read(record, interest, one.seconds)
    samples = samples_of([(number, record.trial_folder(number)) for number in interest[:MOST_SAMPLED]])
    data = figures_of(record, found, courses, samples, final) | {"name": name}
    chosen = f'<div data-part="trial" data-sweep="{index}"></div>' if data["trials"] else ""
    parts = [
        _head(name, one),
        _answer(one, final, found),
        html.section("Attempts at each task", html.table(attempts)) if attempts else _search(record, found),
        html.section("One trial", chosen, kind="trial"),
        _further(one, final, data),
        _pruning(record),
        _failures(record),
        _ground(record),
    ]
    return f'<article data-sweep="{index}" id="sweep-{index}">\n{"".join(parts)}</article>\n', data


def _of_interest(record: StudyRecord) -> list[int]:
    """Numbers of trials: the best, as written, the other complete ones, then those that got farthest."""
    ranked = [trial.number for trial in record.ranked()]
    written = [trial.number for trial in record.trials if is_written(trial)]
    steps = {trial.number: max(trial.intermediate_values, default=0) for trial in record.trials}
    rest = sorted((number for number, step in steps.items() if step), key=lambda number: -steps[number])
    return list(dict.fromkeys([*ranked[:1], *written, *ranked, *rest]))


def _head(name: str, one: Shown) -> str:
    record = one.record
    tasks, method = record.asked.experiment.tasks, record.asked.experiment.method
    counts = counts_in_words(record.counts())
    learned, every = record.file.experiment.tasks.num_tasks, tasks.num_tasks
    count = f"{learned} tasks" if learned == every else f"{learned} of {every} tasks"
    stream = f"{tasks.name}, {count}, {SCENARIOS[tasks.scenario]}"
    how = f"{record.trained} of {record.file.search.trials} trials trained" + (f": {counts}" if counts else "")
    leak = f"{LEAK}: this sweep was tuned on test data. It measures what that does, and is no result to report."
    return (
        f'<header><p class="state {one.stands.split()[0]}">{escape(one.stands)}</p><h1>{escape(name)}</h1>'
        f"{html.text(f'{stream}; method {method.name}. {how}.')}"
        f"{html.text(leak, 'warning') if leaks(record.asked) else ''}</header>\n"
    )


def _answer(one: Shown, final: FinalResult | None, found: Sequence[Importance]) -> str:
    record = one.record
    facts = "".join(
        f"<div><dt>{escape(fact.name)}</dt><dd>{escape(fact.value)}</dd><dd>{escape(fact.note)}</dd></div>"
        for fact in facts_of(record, final)
    )
    steps = "".join(
        f"<li>{escape(words)}{html.code(command)}</li>"
        for words, command in next_steps(record, one.stands, final, found)
    )
    setting = '<div><h3>The best setting</h3><div data-part="setting"></div></div>' if record.best() else ""
    return html.section(
        "Answer",
        html.text(sentence_of(record, final), "sentence"),
        html.text(f"{later}." if (later := since_final(record)) else ""),
        html.text(f"{final.optimism[:1].upper()}{final.optimism[1:]}" if final is not None else ""),
        html.pairs(row for row in best_rows(record) if several(record.file.objective)),
        f"<dl>{facts}</dl>" if facts else "",
        f'<div class="columns">{setting}',
        f"<div><h3>What to run next</h3><ul>{steps}</ul></div></div>" if steps else "</div>",
    )


def _search(record: StudyRecord, found: Sequence[Importance]) -> str:
    """The figures of the search."""
    goal = record.file.objective.goals[0]
    better = {"maximize": "more is better", "minimize": "less is better"}[goal.direction]
    words = f"{goal.metric.replace('/', ' ').replace('_', ' ')}{record.file.at_fidelity} ({better})"
    drawn = [("front", several(record.file.objective)), ("importance", bool(found))]
    bars = " A bar is the spread of its seeds." if record.file.experiment.training.replicas > 1 else ""
    searched = any(one.kind != "equals" for one in record.file.space.values())
    drawn += [("parameters", searched), ("parallel", searched)]
    return html.section(
        "Search",
        html.figure(
            "history", f"Each trial's {words}.{bars} Click a trial to see how it trained.", "How the search went"
        ),
        *(html.figure(kind) for kind, there in drawn if there and record.ranked()),
    )


def _further(one: Shown, final: FinalResult | None, data: Mapping[str, Any]) -> str:
    """How sure it is, the methods compared, and what was measured after the search: on further seeds, on test data."""
    methods = [{key: _cell(cell) for key, cell in row.items()} for row in methods_rows(one.record, final)]
    sure = how_sure_rows(one.record, {}) if one.stands != "running" else []
    parts = [html.pairs(sure), html.table(methods) if methods else ""]
    parts += [html.figure(kind) for kind in ("seeds", "final") if data[kind]]
    if final is not None:
        rows = [{key: cell for key, cell in row.items() if key != "values"} for row in final_rows(final.content)]
        parts.append(f"<h3>{escape(title(final.content))}</h3>{html.table(rows)}")
    return html.section("Is it better than the setting as written?", *parts)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _pruning(record: StudyRecord) -> str:
    """Whom the pruner stopped, and what that saved."""
    rows = [("pruner", pruner_in_words(record.file))]
    steps = [max(trial.intermediate_values, default=0) for trial in record.trials if state_of(trial) == "pruned"]
    if steps:
        most = (record.file.experiment.tasks.num_tasks or 1) * record.file.pruner.reports_per_task
        trained = sum(state_of(trial) in ("complete", "pruned") for trial in record.trials)
        saved = sum(1 - step / most for step in steps) / trained
        rows.append(("pruned", f"{len(steps)} of {trained} trials"))
        rows.append(("saved", f"{saved:.0%} of the training steps that all {trained} would have taken"))
    return html.section("Pruning", html.pairs(rows), html.figure("pruning") if steps else "")


def _failures(record: StudyRecord) -> str:
    """Trials without a result, with the reason of each; suggestions out of bounds by number only."""
    ended = [(trial.number, outcome) for trial in record.trials if (outcome := decided(trial)) is not None]
    lost = [(number, one) for number, one in ended if one.kind in ("failed", "diverged", "out_of_memory")]
    bounds = Counter(one.why.split(" ")[0].replace("_", " ") for _, one in ended if one.kind == "infeasible")
    each = ", ".join(f"{name} {count}" for name, count in bounds.most_common())
    outside = f"{bounds.total()} suggestions were out of bounds and cost nothing ({each})." if bounds else ""
    if not lost:
        return html.section("Failures", html.text("No trial failed."), html.text(outside))
    rows = [
        {"trial": str(number), "ended": ENDINGS[one.kind].words, "reason": one.why.strip().rpartition("\n")[2]}
        for number, one in lost[:MOST_FAILURES]
    ]
    more = f"and {len(lost) - MOST_FAILURES} more" if len(lost) > MOST_FAILURES else ""
    first = next((one.why.strip() for _, one in lost if "\n" in one.why.strip()), "")
    whole = html.details("The first error in full", first[-MOST_LETTERS:]) if first else ""
    return html.section("Failures", html.table(rows), html.text(more), whole, html.text(outside))


def _ground(record: StudyRecord) -> str:
    """What a claim rests on: protocol, data, cost, versions, command, the whole file."""
    origin = origin_of(record.folder)
    versions = [("versions", origin.versions)] if origin.versions else []
    rows = [*data_used_rows(record), *cost_rows(record), *versions, ("results", str(record.folder))]
    whole = (record.folder / SWEEP_YAML).read_text(encoding="utf-8")
    return html.section(
        "Protocol, data, cost",
        html.pairs(rows),
        f"<h3>Command</h3>{html.code(origin.command)}" if origin.command else "",
        html.details(f"{SWEEP_YAML}: what was asked, every default written out", whole),
    )


def _side_by_side(sweeps: Mapping[str, Shown]) -> str:
    """A column a sweep, and the course of all searches in one figure."""
    columns = {name: _summary(one) for name, one in sweeps.items()}
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    rows = [{"": key, **{name: column.get(key, "") for name, column in columns.items()}} for key in keys]
    links = "".join(f'<li><a href="#sweep-{index}">{escape(name)}</a></li>' for index, name in enumerate(sweeps))
    head = f"<header><h1>{len(sweeps)} sweeps</h1><nav><ul>{links}</ul></nav></header>\n"
    return head + html.section("Side by side", html.table(rows), html.figure("together"))


def _summary(one: Shown) -> dict[str, str]:
    record, final = one.record, final_of(one.record)
    facts = facts_of(record, final)[1:]
    return {
        "objective": goals_in_words(record.file.objective) + record.file.at_fidelity,
        "best": dict(best_rows(record)).get("best", "none yet"),
        **{fact.name: f"{fact.value} ({fact.note})" if fact.note else fact.value for fact in facts},
        "trials": f"{record.trained} of {record.file.search.trials} trained",
        "sampler": record.file.search.sampler_name,
        "pruner": record.file.pruner.name,
        "protocol": dict(data_used_rows(record))["protocol"],
        "spent": dict(cost_rows(record)).get("spent", ""),
    }
