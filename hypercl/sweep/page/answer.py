"""The answer of a sweep: its best setting, what that is worth, what to run next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot, log
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.analysis import BASE, NORMAL, FinalResult, counterpart, label_in_words, leading, p_of
from hypercl.config.reading import value_in_short
from hypercl.formatting import is_fraction, percent, typed
from hypercl.sweep.planner import planner_of
from hypercl.sweep.race import gain_interval, race_in_words
from hypercl.sweep.results import Importance, best_rows, origin_of, several
from hypercl.sweep.study import StudyRecord, is_written, leaks

EDGE = 0.05
"""Share of a range, at either end, in which the best value suggests a wider range."""


@dataclass(frozen=True)
class Fact:
    """A number that stands out."""

    name: str
    value: str
    note: str = ""


def sentence_of(record: StudyRecord, final: FinalResult | None) -> str:
    """The best setting and what it is worth: on test data where the final step is done, else on further seeds, else as
    the search alone has it."""
    if final is not None:
        return final.sentence
    race, rows = record.deciding_race, dict(best_rows(record))
    text = race_in_words(race) if race is not None else rows.get("best", "no trial is complete yet")
    return f"{text[:1].upper()}{text[1:]}."


def facts_of(record: StudyRecord, final: FinalResult | None) -> list[Fact]:
    """The best setting's accuracy, that of the setting as written, and their difference; of several goals nothing."""
    best = record.best()
    if best is None or several(record.file.objective):
        return []
    unit = _Unit(record.file.objective.metric)
    facts = [Fact("best setting", "as written" if is_written(best) else f"trial {best.number}")]
    if final is not None:
        return [*facts, *_of_another(best, final), *_tested(unit, final)]
    written = next((trial for trial in record.trials if is_written(trial)), None)
    for name, trial in (("expected", best), ("as written", None if best is written else written)):
        promise = record.promised(trial) if trial is not None and trial.values else None
        if promise is not None:
            note = f"95 % interval {unit.span(promise.interval)}" if promise.interval else ""
            facts.append(Fact(name, unit.value(promise.values[0]), f"{unit.name}, {note}" if note else unit.name))
    return facts + list(_gained(record, unit, written))


def next_steps(
    record: StudyRecord, stands: str, final: FinalResult | None, found: Sequence[Importance]
) -> list[tuple[str, str]]:
    """Sentences, each with a command ('' where there is none).

    Args:
        record: the sweep.
        stands: how it stands (`hypercl.sweep.results.stage_of`).
        final: the final step's result.
        found: the importances.
    """
    folder, steps = typed(record.folder), list[tuple[str, str]]()
    if stands == "to be resumed":
        steps.append(("It is not finished. The same command resumes it.", origin_of(record.folder).command))
    elif stands != "done":
        steps.append(("It is running. To see how it stands:", f"hypercl sweep --status {folder}"))
    if record.best() is None:
        return steps
    if stands == "done" and final is None and not leaks(record.asked):
        text = "When nothing is left to tune, open the test data, once: best setting and as written, on fresh seeds."
        steps.append((text, f"hypercl final {folder}"))
    retrain = "Train the best setting on a seed that the search did not use:"
    steps.append((retrain, f"hypercl train {typed(record.folder / 'best.yaml')}"))
    return [*steps, *((text, "") for text in _edges(record, found))]


@dataclass(frozen=True)
class _Unit:
    """How values of a metric read."""

    metric: str

    @property
    def name(self) -> str:
        return self.metric.replace("/", " ").replace("_", " ")

    def value(self, value: float) -> str:
        return f"{percent(value, 1)} %" if is_fraction(self.metric) else f"{value:.3g}"

    def gain(self, value: float) -> str:
        size = percent(abs(value), 1) if is_fraction(self.metric) else f"{abs(value):.3g}"
        return f"{'+' if value >= 0 else '-'}{size}"

    def span(self, ends: Sequence[float]) -> str:
        return " to ".join(percent(end, 1) if is_fraction(self.metric) else f"{end:.3g}" for end in ends)


def _of_another(best: FrozenTrial, final: FinalResult) -> Iterator[Fact]:
    """Whose test result follows, where that is not the best setting of now."""
    label = leading(final.content)["label"]
    if label not in (f"trial-{best.number}", BASE if is_written(best) else ""):
        note = f"the best after {final.content['cost']['trials']} trials"
        yield Fact("measured on test data", label_in_words(label), note)


def _tested(unit: _Unit, final: FinalResult) -> Iterator[Fact]:
    """What the final step measured of the setting that its claim is on."""
    measured = leading(final.content)["metrics"][counterpart(unit.metric)]
    if measured["mean"] is None:
        return
    interval = measured["t_interval"]
    on = f"{len(measured['values'])} fresh seeds"
    note = f"{on}, 95 % interval {unit.span(interval)}" if interval else on
    yield Fact(counterpart(unit.metric).replace("/", " ").replace("_", " "), unit.value(measured["mean"]), note)
    compared = measured["difference"]
    if compared:
        interval = compared["t_interval"]
        p = p_of(compared["p"], compared["count"])
        note = f"95 % interval {unit.span(interval)}, {p}" if interval else ""
        yield Fact("points against as written", unit.gain(compared["mean"]), note)


def _gained(record: StudyRecord, unit: _Unit, written: Any) -> Iterator[Fact]:
    """What the best setting gains over the one as written, on further seeds or as the search alone expects it."""
    race, best = record.deciding_race, record.best()
    if race is not None and race.kind == "confirm" and race.written is not None and race.challenger is not None:
        p = race.rounds[-1].p.get(race.challenger)
        note = f"95 % interval {unit.span(gain_interval(race))}" + (f", p = {p:.2g}" if p is not None else "")
        who = "points, best challenger against as written" if best is written else "points against as written"
        yield Fact(who, unit.gain(race.gain), note)
    elif best is not None and written is not None and best is not written and not record.file.fidelity:
        one, other = (record.beliefs.get(trial.number) for trial in (best, written))
        if one is not None and other is not None:
            sign = 1 if record.file.objective.direction == "maximize" else -1
            gain, apart = sign * (one.mean - other.mean), NORMAL * hypot(one.sd, other.sd)
            note = f"95 % interval {unit.span((gain - apart, gain + apart))}; expected from the search alone"
            yield Fact("points against as written", unit.gain(gain), note)


def _edges(record: StudyRecord, found: Sequence[Importance]) -> Iterator[str]:
    """What mattered and is best at an end of its range."""
    best = record.best()
    values = planner_of(record.file).tried(best) if best is not None else {}
    for one in found:
        distribution, value = record.file.space.get(one.path), values.get(one.path)
        if (
            distribution is None
            or not one.stands_out
            or distribution.kind in ("choice", "equals")
            or not isinstance(value, int | float)
        ):
            continue
        low, high = distribution.values
        place = (value - low) / (high - low)
        if "log" in distribution.kind:
            place = log(value / low) / log(high / low)
        if not EDGE <= place <= 1 - EDGE:
            end, way = (
                (f"lower end {value_in_short(low)}", "down")
                if place < EDGE
                else (f"upper end {value_in_short(high)}", "up")
            )
            yield (
                f"{one.path} matters, and its best value {value_in_short(value)} lies at the {end} of its range: "
                f"widen the range {way}wards in a new sweep."
            )
