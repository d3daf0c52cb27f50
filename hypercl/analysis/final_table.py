"""The final step's table for people: cells as they are shown, and final.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypercl.analysis.final_text import (
    FEW,
    NONE,
    Content,
    counterpart,
    label_in_words,
    leading,
    marked,
    number,
    p_in_words,
    span,
)
from hypercl.config.reading import value_in_short

_UNITS = "Accuracies and what is computed from them in percent, differences in points."


def title(content: Content) -> str:
    """Of the table."""
    count = len(leading(content)["seeds"])
    few = " (few seeds)" if count < FEW else ""
    goals = ", ".join(_goal_words(goal["metric"]) for goal in content["goals"])
    text = f"Final step of the sweep '{content['sweep']}': {goals}, {count} fresh seeds{few}, 95 % intervals"
    return marked(content, text)


def final_rows(content: Content) -> list[dict[str, str]]:
    """A row a setting, every cell as it is shown; of several goals each has a row, the setting told in the first."""
    several = len(content["goals"]) > 1
    rows = []
    for setting in content["settings"]:
        before = {"setting": label_in_words(setting["label"]), "values": _values(setting["settings"])}
        after = {
            "forgetting": _mean("test/forgetting", setting),
            "seeds lost": f"{len(setting['lost'])} of {len(setting['seeds'])}",
        }
        for goal in content["goals"]:
            named = {"goal": _goal_name(goal["metric"])} if several else {}
            rows.append(before | named | _goal_cells(goal["metric"], setting) | after)
            before, after = dict.fromkeys(before, ""), dict.fromkeys(after, "")
    return rows


def final_markdown(content: Content) -> str:
    """final.md: the sentences, the table, every metric, and what a reader needs to know beside them."""
    settings = content["settings"]
    known = {key for each in settings for key, found in each["metrics"].items() if found["mean"] is not None}
    every = [
        {"metric": key.replace("/", " ").replace("_", " ")}
        | {label_in_words(setting["label"]): _with_interval(key, setting) for setting in settings}
        for key in settings[0]["metrics"]
        if key in known
    ]
    parts = [f"# {title(content)}", content["sentence"], content["optimism"], markdown_table(final_rows(content))]
    parts += [f"## {marked(content, 'Every metric, with its 95 % t interval')}", markdown_table(every)]
    return "\n\n".join([*(part for part in parts if part), *notes(content)]) + "\n"


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of the same keys."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def notes(content: Content) -> list[str]:
    """What a reader of the table needs to know beside it, a paragraph each."""
    opened = f"Test data was opened {_times(content['opened'])} for a final step"
    opened += f", first at {content['first_opened']}" if content["first_opened"] else ""
    lines = [
        f"Protocol {content['described']}. {opened}.",
        f"{_UNITS} t: Student's interval of the mean, 95 %; bootstrap: bias-corrected and accelerated, from {FEW} "
        "seeds on. Differences are to the setting as written, seed by seed; p is of a two-sided sign-flip permutation "
        "test, not corrected for the number of settings: the claim is on the first.",
    ]
    if len(leading(content)["seeds"]) < FEW:
        lines.append(f"Seeds are few: {FEW} are the rule. Of five pairs p cannot fall below 0.0625.")
    lines += [
        f"Lost, counted as the worst value: {label_in_words(setting['label'])}, seed {one['seed']}: {one['why']}."
        for setting in content["settings"]
        for one in setting["lost"]
    ]
    seeds = sorted({seed for setting in content["settings"] for seed in setting["seeds"]})
    lines.append(f"Seeds {seeds[0]} to {seeds[-1]}, on {content['hardware']}." if seeds else "")
    return [marked(content, line) for line in lines if line]


def _goal_cells(metric: str, setting: Mapping[str, Any]) -> dict[str, str]:
    key = counterpart(metric)
    found, promised = setting["metrics"][key], setting["promised"].get(metric)
    compared = found["difference"] or {}
    return {
        "promised": number(metric, promised["value"]) if promised else NONE,
        "mean": _mean(key, setting),
        "t interval": _interval(key, found["t_interval"]),
        "bootstrap": _interval(key, found["bootstrap_interval"]),
        "difference": _signed(key, compared.get("mean")),
        "its t interval": _interval(key, compared.get("t_interval")),
        "p": p_in_words(compared["p"]).removeprefix("= ") if compared.get("p") is not None else NONE,
    }


def _goal_words(metric: str) -> str:
    """'final accuracy on test data in percent'."""
    return f"{_goal_name(metric)} on test data in percent" if "/" in metric else _goal_name(metric)


def _goal_name(metric: str) -> str:
    return metric.split("/")[-1].replace("_", " ")


def _values(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} {value_in_short(value)}" for path, value in settings.items()) or NONE


def _mean(key: str, setting: Mapping[str, Any]) -> str:
    mean = setting["metrics"][key]["mean"]
    return NONE if mean is None else number(key, mean)


def _with_interval(key: str, setting: Mapping[str, Any]) -> str:
    found = setting["metrics"][key]
    if found["mean"] is None or not found["t_interval"] or not found["sd"]:
        return _mean(key, setting)
    return f"{number(key, found['mean'])} ({span(key, found['t_interval'])})"


def _interval(key: str, interval: Sequence[float] | None) -> str:
    return span(key, interval) if interval else NONE


def _signed(key: str, value: float | None) -> str:
    if value is None:
        return NONE
    text = number(key, value)
    return text if text.startswith("-") else f"+{text}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
