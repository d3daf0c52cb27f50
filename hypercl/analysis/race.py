"""A race for people: its table, its account, its figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hypercl.analysis.final_text import LEAK
from hypercl.analysis.race_record import RaceRecord
from hypercl.analysis.racing import LEAST, Round
from hypercl.analysis.statistics import NORMAL, t_interval
from hypercl.analysis.style import GREY, MARKERS, SERIES, empty_figure, words
from hypercl.config import UserError
from hypercl.config.reading import value_in_short
from hypercl.formatting import markdown_table

COLUMNS = ("race", "point", "round", "seeds", "trial", "mean", "low", "high", "p", "level", "state")
DODGE = 0.05
"""How far apart the points of two settings lie, as a share of the first round's seeds."""


def race_table(races: Sequence[RaceRecord]) -> pd.DataFrame:
    """One row for each race, round and setting in it: what decides, with its 95 % interval (the mean over its seeds so
    far, or its expected value in a confirming stage), p (nan where it was too early to decide), and `leads`, `in` or
    `dropped`."""
    rows: list[tuple[Any, ...]] = []
    for place, race in enumerate(races, start=1):
        for turn, one in enumerate(race.rounds, start=1):
            for number in one.means:
                mean, low, high = _worth(race, one, number)
                state = "leads" if number == one.leader else "dropped" if number in one.dropped else "in"
                own = (number, mean, low, high, one.p.get(number), race.plan.level if one.p else None, state)
                rows.append((place, race.point, turn, one.seeds, *own))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _worth(race: RaceRecord, one: Round, number: int) -> tuple[float, float, float]:
    """What decides on a setting in a round, and its 95 % interval."""
    if number not in one.expected:
        return one.means[number], *t_interval(race.values[number][: one.seeds])
    mean, sd = one.expected[number]
    return mean, mean - NORMAL * sd, mean + NORMAL * sd


def race_markdown(
    races: Sequence[RaceRecord],
    metric: str,
    settings: Mapping[int, Mapping[str, Any]],
    searched: Mapping[int, float],
    leaking: bool = False,
    at_fidelity: str = "",
) -> str:
    """The account of a sweep's races.

    Args:
        races: in order.
        metric: what the values are.
        settings: of each trial: key path -> value.
        searched: the value that the search found for each trial.
        leaking: whether the values are of test data, under protocol `test_leak`.
        at_fidelity: what the search's values are of, such as ' after 10 % of the iterations'; those of the race are of
            the full length.
    """
    title = "Comparing the best settings with the one as written" if races[0].kind == "confirm" else "Races"
    parts = [f"# {title}\n"]
    if leaking:
        parts.append(f"**{LEAK}**: values on test data, to measure what tuning on it does; no result to report.\n")
    for race in races:
        parts += [_rules(race, metric), _rounds(race), _lost(race), _standing(race, settings, searched, at_fidelity)]
    return "\n".join(part for part in parts if part)


def _rules(race: RaceRecord, metric: str) -> str:
    plan, count = race.plan, len(race.settings)
    if count < 2:
        return f"After {race.point} trials: trial {race.settings[0]} was the only setting: nothing was compared.\n"
    if race.kind == "confirm":
        return _confirm_rules(race, metric)
    return (
        f"After {race.point} trials the {count} best settings by {words(metric)} got {plan.block} further seeds a "
        f"round, the same for all, at most {plan.seeds} each. The values of the search are not counted.\n\n"
        f"From {min(LEAST, plan.seeds)} seeds on, each setting is compared with the leader after every round by a "
        f"one-sided paired t test, and dropped where p is at most {plan.level:.2g}: so the chance that a setting is "
        f"dropped though none of the others is better stays below {race.alpha:g} over all rounds, settings and races "
        "(Bonferroni; after Birattari et al., 2002).\n"
    )


def _confirm_rules(race: RaceRecord, metric: str) -> str:
    challengers = [number for number in race.settings if number != race.written]
    who = "" if race.written is None else f" and the setting as written (trial {race.written})"
    title = (
        "It becomes best.yaml, as the setting as written has no value to compare with."
        if race.written is None
        else f"It becomes best.yaml where the probability that it is no better than the setting as written "
        f"(p) is at most {race.plan.level:g}; else that one stays."
    )
    return (
        f"After {race.point} trials the {len(challengers)} best settings by expected {words(metric)}{who} got the same "
        f"further seeds on validation data, {', then up to '.join(map(str, race.plan.rounds))} each. After each round "
        f"the better half of the challengers stays, until one is left. {title} What decides is the expected value from "
        "all values, those of the search and the further ones, unless the search trained for less than the full length."
        "\n"
    )


def _rounds(race: RaceRecord) -> str:
    """A row a round, a column a setting."""
    if not race.rounds:
        return ""
    head = ["seeds", *(f"trial {number}" for number in race.settings)]
    rows = [[str(one.seeds), *(_cell(one, number) for number in race.settings)] for one in race.rounds]
    return _markdown(head, rows)


def _cell(one: Round, number: int) -> str:
    if number not in one.means:
        return ""
    text = f"{one.worth(number):.4f}"
    if number == one.leader:
        return f"**{text}**"
    if number in one.p:
        text += f" (p {one.p[number]:.2g})"
    return f"{text} dropped" if number in one.dropped else text


def _lost(race: RaceRecord) -> str:
    if not race.lost:
        return ""
    return "Lost seeds, which count as the worst value:\n\n" + "\n".join(f"- {each}" for each in race.lost) + "\n"


def _standing(
    race: RaceRecord, settings: Mapping[int, Mapping[str, Any]], searched: Mapping[int, float], at_fidelity: str
) -> str:
    ends = {
        "separated": "One setting is left.",
        "seeds": "All seeds are used; the remaining settings are not distinguishable, and the best mean leads.",
        "confirmed": "The last challenger is better than the setting as written, with the certainty that is asked for.",
        "kept": "Nothing better was found: the setting as written stays.",
        "alone": "",
        "": "The race is not over: rerun the command that started the sweep to resume it.",
    }
    paths = list(dict.fromkeys(path for number in race.settings for path in settings[number]))
    known = any(one.expected for one in race.rounds)
    what = ["expected", "95 % interval", "mean of further seeds"] if known else ["mean", "95 % interval"]
    head = ["place", "trial", *what, "seeds", f"value of the search{at_fidelity}", *paths]
    rows: list[list[str]] = []
    for place, number in enumerate(race.order, start=1):
        last = next((one for one in reversed(race.rounds) if number in one.means), None)
        measured = [""] * len(what)
        if last is not None:
            mean, low, high = _worth(race, last, number)
            further = [f"{last.means[number]:.4f}"] if known else []
            measured = [f"{mean:.4f}", f"{low:.4f} to {high:.4f}", *further]
        seeds = "0" if last is None else str(last.seeds)
        values = [value_in_short(settings[number][path]) if path in settings[number] else "" for path in paths]
        rows.append([str(place), str(number), *measured, seeds, f"{searched[number]:.4f}", *values])
    return f"{ends[race.ended]}\n\n{_markdown(head, rows)}".lstrip()


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table([dict(zip(head, row, strict=True)) for row in rows]) + "\n"


def read_race(path: Path) -> pd.DataFrame:
    """A sweep's race/race.csv, as from `race_table`.

    Raises:
        UserError: the file is missing or holds no race.
    """
    try:
        return pd.read_csv(path).astype({"race": int, "seeds": int, "trial": int, "mean": float, "state": str})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} holds no race: {error}") from None


def race_figure(table: pd.DataFrame, metric: str) -> Figure:
    """What decides on each setting, with its 95 % interval, after each round of the last race; dropped ones are grey.

    Args:
        table: as from `race_table`, with a round or more.
        metric: what the values are.
    """
    last = pd.DataFrame(table[table["race"] == max(table["race"])])
    figure = empty_figure(6.4, 3.8)
    axes = figure.add_subplot(xlabel="further seeds of each setting", ylabel=words(metric))
    lines = {number: last.query("trial == @number") for number in dict.fromkeys(map(int, last["trial"]))}
    kept = [number for number, own in lines.items() if _state(own) != "dropped"]
    step = DODGE * min(last["seeds"])
    for place, (number, own) in enumerate(lines.items()):
        colour = SERIES[kept.index(number) % len(SERIES)] if number in kept else GREY
        shift = (place - (len(lines) - 1) / 2) * step
        _line(axes, number, own, shift, {"color": colour, "marker": MARKERS[place % len(MARKERS)]})
    rounds = list(dict.fromkeys(last["seeds"]))
    axes.set_xticks(rounds)
    if len(rounds) == 1:
        axes.margins(x=2)  # else the settings stand at the edges
    axes.grid(alpha=0.25)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _state(own: pd.DataFrame) -> str:
    """How a setting stands after its last round."""
    return str(own["state"].to_list()[-1])


def _line(axes: Axes, number: int, own: pd.DataFrame, shift: float, style: dict[str, Any]) -> None:
    seeds, mean, low, high = (own[column].to_numpy(dtype=float) for column in ("seeds", "mean", "low", "high"))
    state = _state(own)
    note = {"leads": " (leads)", "dropped": f" (dropped at {seeds[-1]:.0f})"}.get(state, "")
    more = {"markersize": 5, "capsize": 2, "linewidth": 1.2, "zorder": 1 if state == "dropped" else 2}
    errors = np.maximum([mean - low, high - mean], 0)  # of equal values less than 0 by rounding
    axes.errorbar(seeds + shift, mean, yerr=errors, label=f"trial {number}{note}", **more, **style)


def draw_race(path: Path, metric: str, figures: Path) -> list[Path]:
    """Draws race.png (confirm.png) with its numbers beside, from a sweep's race/race.csv (confirm/confirm.csv); nothing
    where there was no round."""
    if not path.is_file():
        return []
    table = read_race(path)
    if table.empty:
        return []
    figures.mkdir(parents=True, exist_ok=True)
    table.to_csv(figures / path.name, index=False)
    picture = (figures / path.name).with_suffix(".png")
    race_figure(table, metric).savefig(picture)
    return [picture]
