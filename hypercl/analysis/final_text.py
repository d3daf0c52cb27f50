"""The final step in sentences: what a reviewer could quote, and what was promised against what came out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypercl.formatting import duration, is_fraction, operations, percent

BASE, SCRATCH, JOINT = "base", "scratch", "joint"
"""Labels of the experiment as written, and of its target trained from scratch on each task, or on all tasks met so far
together; others: `trial-7`, ..."""
REFERENCES = (SCRATCH, JOINT)
Content = Mapping[str, Any]
"""As in final.json."""
LEAK = "TEST LEAK"
FEW = 10
"""Fewer seeds than this are few (../shared/spec/protocols.md)."""
NONE = "-"

_PHRASES = {
    "final_accuracy": "final {} accuracy",
    "during_accuracy": "{} accuracy on tasks just learned",
    "forgetting": "forgetting on {} data",
    "backward_transfer": "backward transfer on {} data",
}
_TUNED_ON = {
    "stream": "on validation data alone",
    "first_k": "on validation data of the first tasks alone, which are not among those reported on",
    "first_task": "on validation data of the first task alone",
    "transfer": "on validation data of another stream alone",
    "stability_decay": "task by task, on validation data alone",
    "test_leak": "ON THE TEST DATA ITSELF, which is no result to report",
}
_REPORTED_ON = {"first_k": " of the other tasks", "transfer": " of the other stream"}
_BESIDE_SELECTION = {
    "first_k": " and other tasks",
    "first_task": " and further tasks",
    "transfer": " and another stream",
}


def counterpart(metric: str) -> str:
    """What a goal's metric is on test data: `validation/forgetting` -> `test/forgetting`."""
    return metric.replace("validation/", "test/", 1)


def leading(content: Content) -> Mapping[str, Any]:
    """The setting that the claim is on: the first one, as the search ordered them."""
    settings = content["settings"]
    return next((setting for setting in settings if setting["label"] not in REFERENCES), settings[0])


def quotable_sentence(content: Content) -> str:
    """How well, on how many seeds, how much above the setting as written, at what cost."""
    setting = leading(content)
    count, lost = len(setting["seeds"]), len(setting["lost"])
    few = f" (few: {FEW} are the rule)" if count < FEW else ""
    goals = ", and ".join(_reached(counterpart(goal["metric"]), setting) for goal in content["goals"])
    who = label_in_words(setting["label"])
    if setting["label"] == BASE:
        who += ", which the search found nothing better than," if len(content["settings"]) > 1 else ""
    text = f"On {count} fresh seeds{few} {who} reached {goals}, after a search"
    text += f"{_cost(content['cost'])} {_TUNED_ON[content['protocol']]}{_earlier(content)}."
    if lost:
        text += f" {lost} of these seeds {'was lost and counts' if lost == 1 else 'were lost and count'} as the worst."
    return marked(content, text)


def optimism_line(content: Content) -> str:
    """What was promised against what came out, of the setting that the claim is on; '' where nothing was promised."""
    setting = leading(content)
    data = "TEST" if content["protocol"] == "test_leak" else "validation"
    trials = content["cost"].get("trials")
    best = f"the best of {trials} trials" if trials else label_in_words(setting["label"])
    best += content.get("promised_at", "")
    where = f"on test data{_REPORTED_ON.get(content['protocol'], '')} with fresh seeds"
    parts: list[str] = []
    for metric, promise in setting["promised"].items():
        if metric == counterpart(metric):  # such as the compression ratio: the same wherever it is measured
            continue
        digits = _digits(counterpart(metric), setting)
        name = "" if metric == "validation/final_accuracy" else f" {metric_name(metric)}"
        interval = promise.get("expected_interval")
        within = f" (95 % interval {span(metric, interval, digits)})" if interval else ""
        text = f"promised {number(metric, promise['value'], digits)} %{name}{within} on {data} data by {best}; "
        if promise["came_out"] is None:
            parts.append(text + "what came out is not known")
            continue
        text += f"{number(metric, promise['came_out'], digits)} % came out {where}: "
        text += f"optimism {_within(metric, promise['optimism'], promise['interval'], digits, points)}"
        if promise.get("selection"):
            both = [promise["selection"], promise["gap"]]
            selection, gap = (_within(metric, one["mean"], one["interval"], digits, number) for one in both)
            text += f", of which {selection} by {selected_by(content)} ({data} data, the search's seeds against fresh "
            text += f"ones) and {gap} between {data} and test data"
        parts.append(text)
    return marked(content, "; ".join(parts)) if parts else ""


def selected_by(content: Content) -> str:
    """What lies between the promise and validation data on fresh seeds: 'selection', and whatever else differs."""
    short = " and short trials" if content.get("promised_at") else ""
    return f"selection{_BESIDE_SELECTION.get(content['protocol'], '')}{short}"


def protocol_cell(content: Content) -> str:
    """The protocol in a column of a CSV."""
    return f"{LEAK}: tuned on test data" if content["protocol"] == "test_leak" else content["protocol"]


def marked(content: Content, text: str) -> str:
    """Under protocol `test_leak` headed by `LEAK`."""
    return f"{LEAK}: {text}" if content["protocol"] == "test_leak" else text


def label_in_words(label: str) -> str:
    """`trial-7` -> 'trial 7'."""
    names = {BASE: "the setting as written", SCRATCH: "training from scratch", JOINT: "joint training"}
    return names.get(label, label.replace("-", " "))


def number(key: str, value: float, digits: int = 2) -> str:
    """A measure's value: a fraction in percent, without the sign; a ratio in three digits."""
    return percent(value, digits) if is_fraction(key) else f"{value:.3g}"


def points(key: str, value: float, digits: int = 2) -> str:
    """A difference with its unit: '1.2 points', or a plain number."""
    return f"{number(key, value, digits)} points" if is_fraction(key) else number(key, value)


def span(key: str, interval: Sequence[float], digits: int = 2) -> str:
    """'98.5 to 98.9'."""
    return f"{number(key, interval[0], digits)} to {number(key, interval[1], digits)}"


def _within(
    key: str, value: float, interval: Sequence[float] | None, digits: int, words: Callable[[str, float, int], str]
) -> str:
    """'1.2 points (0.8 to 1.6)'."""
    return words(key, value, digits) + (f" ({span(key, interval, digits)})" if interval else "")


def cell(key: str, value: float | Sequence[float] | None) -> str:
    """A measure's value, or an interval of it, in a table."""
    if value is None:
        return NONE
    return span(key, value) if isinstance(value, Sequence) else number(key, value)


def in_cell(key: str, value: float | None, interval: Sequence[float] | None) -> str:
    """A measure's value with its interval, in a table."""
    return cell(key, value) + (f" ({span(key, interval)})" if interval else "")


def metric_name(metric: str) -> str:
    """'validation/final_accuracy' -> 'final accuracy'."""
    return metric.split("/")[-1].replace("_", " ")


def p_in_words(p: float) -> str:
    """'= 0.002'; '= 4e-05'."""
    return f"= {p:.3f}" if p >= 0.001 else f"= {p:.0e}"


def p_of(p: float, pairs: int) -> str:
    """'p = 0.002'; of few pairs with the smallest that can come out: 'p = 0.062, of 5 seeds never below 0.0625'."""
    few = f", of {pairs} seeds never below {least_p(pairs):.4g}" if least_p(pairs) > 0.05 else ""
    return f"p {p_in_words(p)}{few}"


def least_p(pairs: int) -> float:
    """The smallest two-sided p that a sign-flip test of so many pairs can give."""
    return 2.0 ** (1 - pairs)


def _digits(key: str, setting: Mapping[str, Any]) -> int:
    """Behind the point: two where one would hide the interval."""
    interval = setting["metrics"][key]["t_interval"]
    return 2 if interval and 0 < interval[1] - interval[0] < 0.002 else 1


def _reached(key: str, setting: Mapping[str, Any]) -> str:
    """'98.7 % final test accuracy (95 % t interval 98.5 to 98.9), 1.2 points above the setting as written (...)'."""
    measured, digits = setting["metrics"][key], _digits(key, setting)
    own = f"{metric_name(key)} on test data" if "/" in key else key.replace("_", " ")
    phrase = _PHRASES.get(key.split("/")[-1], own).format("test")
    if measured["mean"] is None:
        return f"no {phrase} that is known ({measured['why']})"
    value = number(key, measured["mean"], digits)
    text = f"{value} % {phrase}" if is_fraction(key) else f"a {phrase} of {value}"
    if measured["t_interval"] and measured["sd"] > 0:
        text += f" (95 % t interval {span(key, measured['t_interval'], digits)})"
    compared = measured["difference"]
    return text + (f", {compared_in_words(key, compared, len(setting['seeds']), digits)}" if compared else "")


def compared_in_words(
    key: str, difference: Mapping[str, Any], seeds: int, digits: int = 1, other: str = "the setting as written"
) -> str:
    """'1.2 points above the setting as written (0.8 to 1.6, sign-flip p = 0.002)', of a difference as in final.json."""
    mean, interval = difference["mean"], difference["t_interval"]
    if mean == 0 and difference["sd"] in (0, None):
        return f"as {other}"
    text = f"{points(key, abs(mean), digits)} {'above' if mean >= 0 else 'below'} {other}"
    if not interval or difference["sd"] == 0:
        return text
    ends = interval if mean >= 0 else [-interval[1], -interval[0]]
    return f"{text} ({span(key, ends, digits)}, sign-flip {p_of(difference['p'], seeds)})"


def _earlier(content: Content) -> str:
    """', warm-started from an earlier sweep of 40 trials (5 min)'."""
    cost = content.get("earlier")
    if not cost:
        return ""
    sweeps = f"{cost['sweeps']} earlier sweeps" if cost["sweeps"] > 1 else "an earlier sweep"
    return f", warm-started from {sweeps}{_cost(cost) or ' of unknown cost'}"


def _cost(cost: Mapping[str, float | None]) -> str:
    """' of 100 trials (12 h 18 min, 1.5e15 floating-point operations)'."""
    trials, hours, gpu_hours, flops = (cost.get(key) for key in ("trials", "hours", "gpu_hours", "flops"))
    parts = [
        duration(3600 * hours) if hours is not None else "",
        f"{gpu_hours:.3g} GPU-hours" if gpu_hours else "",
        f"{operations(flops)} floating-point operations" if flops else "",
    ]
    known = ", ".join(part for part in parts if part)
    return (f" of {trials:g} trials" if trials is not None else "") + (f" ({known})" if known else "")
