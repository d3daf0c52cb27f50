"""The final step's table for people: cells as they are shown, and final.md."""

from collections.abc import Mapping
from typing import Any

from hypercl.analysis.final_text import (
    FEW,
    NONE,
    Content,
    cell,
    counterpart,
    in_cell,
    label_in_words,
    leading,
    least_p,
    marked,
    metric_name,
    p_in_words,
    selected_by,
)
from hypercl.config.reading import value_in_short
from hypercl.formatting import is_fraction, markdown_table

_UNITS = "Accuracies and what is computed from them in percent, differences in points."


def title(content: Content) -> str:
    """Of the table."""
    count = len(leading(content)["seeds"])
    few = " (few seeds)" if count < FEW else ""
    metrics = [goal["metric"] for goal in content["goals"]]
    goals = ", ".join(metric_name(metric) + _on_test_data(metric) for metric in metrics)
    text = f"Final step of the sweep '{content['sweep']}': {goals}, {count} fresh seeds{few}, 95 % intervals"
    promised = content.get("promised_at", "")
    text += f"; what was promised is of trials{promised}" if promised else ""
    return marked(content, text)


def _on_test_data(metric: str) -> str:
    return " on test data" * ("/" in metric) + " in percent" * is_fraction(metric)


def final_rows(content: Content) -> list[dict[str, str]]:
    """A row a setting, every cell as it is shown; of several goals each has a row, the setting named in the first."""
    several = len(content["goals"]) > 1
    rows: list[dict[str, str]] = []
    for setting in content["settings"]:
        values = ", ".join(f"{path} {value_in_short(value)}" for path, value in setting["settings"].items()) or NONE
        before = {"setting": label_in_words(setting["label"]), "values": values}
        after = {
            "forgetting": cell("test/forgetting", setting["metrics"]["test/forgetting"]["mean"]),
            "seeds lost": f"{len(setting['lost'])} of {len(setting['seeds'])}",
        }
        for goal in content["goals"]:
            named = {"goal": metric_name(goal["metric"])} if several else {}
            rows.append(before | named | _goal_cells(goal["metric"], setting) | after)
            before, after = dict.fromkeys(before, ""), dict.fromkeys(after, "")
    return rows


def final_markdown(content: Content) -> str:
    """final.md: the sentences, the table, every metric, and what a reader needs to know beside them."""
    settings = content["settings"]
    known = [
        key
        for key in settings[0]["metrics"]
        if any(setting["metrics"][key]["mean"] is not None for setting in settings)
    ]
    every = [
        {"metric": key.replace("/", " ").replace("_", " ")}
        | {label_in_words(setting["label"]): _with_interval(key, setting) for setting in settings}
        for key in known
    ]
    parts = [f"# {title(content)}", content["sentence"], content["optimism"], markdown_table(final_rows(content))]
    if promised := promised_rows(content):
        parts += [f"## {marked(content, 'What the search promised and what came out')}", markdown_table(promised)]
        parts += [marked(content, _promises(content))]
    parts += [f"## {marked(content, 'Every metric, with its 95 % t interval')}", markdown_table(every)]
    return "\n\n".join([*(part for part in parts if part), *notes(content)]) + "\n"


def promised_rows(content: Content) -> list[dict[str, str]]:
    """A row for each setting and goal whose optimism has its parts; none in a final.json of before there were any."""
    return [
        {
            "setting": label_in_words(setting["label"]),
            **({"goal": metric_name(metric)} if len(content["goals"]) > 1 else {}),
            "promised": in_cell(metric, promise["value"], promise["expected_interval"]),
            "validation, fresh seeds": in_cell(metric, promise["fresh"], setting["metrics"][metric]["t_interval"]),
            "test": in_cell(metric, promise["came_out"], setting["metrics"][counterpart(metric)]["t_interval"]),
            selected_by(content): in_cell(metric, promise["selection"]["mean"], promise["selection"]["interval"]),
            "validation to test": in_cell(metric, promise["gap"]["mean"], promise["gap"]["interval"]),
            "optimism": in_cell(metric, promise["optimism"], promise["interval"]),
        }
        for setting in content["settings"]
        for metric, promise in setting["promised"].items()
        if promise.get("selection")
    ]


def _promises(content: Content) -> str:
    return (
        f"Optimism is what was promised minus test. Its parts: {selected_by(content)}, which is promised minus "
        "validation on fresh seeds, and validation minus test on the same seeds. A positive number means that less "
        "good came out, also where less is better. Each interval knows the noise of both sides."
    )


def notes(content: Content) -> list[str]:
    """What a reader of the table needs to know beside it, a paragraph each."""
    times = {1: "once", 2: "twice"}.get(content["opened"], f"{content['opened']} times")
    opened = f"Test data was opened {times} for a final step"
    opened += f", first at {content['first_opened']}" if content["first_opened"] else ""
    before = (content.get("earlier") or {}).get("opened")
    opened += "; that of what the search was warm-started from had been opened before" if before else ""
    lines = [
        f"Protocol {content['described']}. {opened}.",
        *(
            [f"Of the search after {content['cost']['trials']} trials: {content['later']}."]
            if content.get("later")
            else []
        ),
        f"{_UNITS} t: Student's interval of the mean, 95 %; bootstrap: bias-corrected and accelerated, from {FEW} "
        "seeds on. Differences are to the setting as written, seed by seed; p is of a two-sided sign-flip permutation "
        "test, not corrected for the number of settings: the claim is on the first.",
    ]
    count = len(leading(content)["seeds"])
    if count < FEW:
        lines.append(f"Seeds are few: {FEW} are the rule. Of {count} pairs p cannot fall below {least_p(count):.4g}.")
    lines += [
        f"Lost, counted as the worst value: {label_in_words(setting['label'])}, seed {lost['seed']}: {lost['why']}."
        for setting in content["settings"]
        for lost in setting["lost"]
    ]
    seeds = sorted({seed for setting in content["settings"] for seed in setting["seeds"]})
    lines.append(f"Seeds {seeds[0]} to {seeds[-1]}, on {content['hardware']}." if seeds else "")
    return [marked(content, line) for line in lines if line]


def _goal_cells(metric: str, setting: Mapping[str, Any]) -> dict[str, str]:
    key = counterpart(metric)
    measured = setting["metrics"][key]
    compared: Mapping[str, Any] = measured["difference"] or {}
    gain = cell(key, compared.get("mean"))
    return {
        "promised": cell(metric, setting["promised"].get(metric, {}).get("value")),
        "mean": cell(key, measured["mean"]),
        "t interval": cell(key, measured["t_interval"]),
        "bootstrap": cell(key, measured["bootstrap_interval"]),
        "difference": gain if gain.startswith("-") else f"+{gain}",
        "its t interval": cell(key, compared.get("t_interval")),
        "p": p_in_words(compared["p"]).removeprefix("= ") if compared.get("p") is not None else NONE,
    }


def _with_interval(key: str, setting: Mapping[str, Any]) -> str:
    measured = setting["metrics"][key]
    return in_cell(key, measured["mean"], measured["t_interval"] if measured["sd"] else None)
