"""A race or a confirming stage as a sweep keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import nan
from typing import Any, Literal

from hypercl.analysis.racing import Plan, Round, ended, order_of, rounds_of


@dataclass(frozen=True)
class RaceRecord:
    """A race or a confirming stage: what it was to be, and the values so far. All else follows from them."""

    point: int
    """Trained trials after which it was due."""
    settings: tuple[int, ...]
    """Numbers of the trials whose settings race, in the order of the search."""
    plan: Plan
    alpha: float
    """The chance that `plan.level` was made from."""
    maximize: bool
    """Whether a higher value is better."""
    values: Mapping[int, tuple[float, ...]] = field(default_factory=dict[int, tuple[float, ...]])
    """Of each setting, by seed, in the order of seeds."""
    lost: tuple[str, ...] = ()
    """Seeds that count as the worst value, and why, in words."""
    written: int | None = None
    """Of a confirming stage: the trial of the setting as written, one of `settings`; None where it has no value."""
    start: int = 0
    """Place of its first seed among those for selecting."""
    decided: tuple[Round, ...] = ()
    """The rounds of a confirming stage: they rest on the values of the whole search, too."""

    @property
    def kind(self) -> Literal["race", "confirm"]:
        """Its folder, and the word for it."""
        return "confirm" if self.plan.halving else "race"

    @property
    def rounds(self) -> list[Round]:
        """What was decided, round by round."""
        if self.kind == "confirm":
            return list(self.decided)
        return rounds_of({number: self.values.get(number, ()) for number in self.settings}, self.plan, self.maximize)

    @property
    def ended(self) -> str:
        """'separated' or 'seeds' of a race, 'confirmed' or 'kept' of a confirming stage, 'alone' where there was one
        setting only; '' while it is running."""
        rounds = self.rounds
        if len(self.settings) < 2:
            return "alone"
        if self.kind == "race":
            return ended(rounds, self.plan)
        if len(rounds) < len(self.plan.rounds):
            return ""
        return "kept" if rounds[-1].leader == self.written else "confirmed"

    @property
    def decides(self) -> bool:
        """Whether it says which setting is the best: a race after each round, a confirming stage at its end."""
        return bool(self.rounds) and (self.kind == "race" or bool(self.ended))

    @property
    def challenger(self) -> int | None:
        """The last challenger of a confirming stage; None before there is one left, and of a race."""
        last = self.rounds[-1] if self.kind == "confirm" and self.ended and self.rounds else None
        return last and next(number for number in last.means if number != self.written)

    @property
    def gain(self) -> float:
        """How much better the last challenger is than the setting as written; nan where one of them has no value."""
        if self.challenger is None or self.written is None:
            return nan
        last, sign = self.rounds[-1], 1.0 if self.maximize else -1.0
        worth = {number: mean for number, (mean, _) in last.expected.items()} or last.means
        return sign * (worth[self.challenger] - worth[self.written])

    @property
    def differences(self) -> list[float]:
        """On each seed: the last challenger's value minus that of the setting as written; positive is better."""
        if self.challenger is None or self.written is None:
            return []
        pairs = zip(self.values[self.challenger], self.values[self.written], strict=True)
        return [(a - b) if self.maximize else (b - a) for a, b in pairs]

    @property
    def order(self) -> list[int]:
        """The settings, best first."""
        return order_of(self.settings, self.rounds)

    @property
    def left(self) -> list[int]:
        """The settings that are not dropped, best first."""
        return self.rounds[-1].left if self.rounds else list(self.settings)

    def plain(self) -> dict[str, Any]:
        """As it is stored: what cannot be computed, and for people the rounds and the end as well."""
        return {**asdict(self), "rounds": [asdict(one) for one in self.rounds], "ended": self.ended}


def race_record_of(stored: Mapping[str, Any]) -> RaceRecord:
    """A race as it was stored; JSON has no whole numbers as keys."""
    plan: dict[str, Any] = {**stored["plan"]}
    plan["halving"] = tuple(plan.get("halving", ()))
    return RaceRecord(
        point=stored["point"],
        settings=tuple(stored["settings"]),
        plan=Plan(**plan),
        alpha=stored["alpha"],
        maximize=stored["maximize"],
        values={int(number): tuple(values) for number, values in stored["values"].items()},
        lost=tuple(stored["lost"]),
        written=stored.get("written"),
        start=stored.get("start", 0),
        decided=tuple(_round_of(one) for one in stored.get("decided", ())),
    )


def _round_of(stored: Mapping[str, Any]) -> Round:
    return Round(
        seeds=stored["seeds"],
        means={int(number): mean for number, mean in stored["means"].items()},
        leader=stored["leader"],
        p={int(number): p for number, p in stored["p"].items()},
        dropped=tuple(stored["dropped"]),
        expected={int(number): (mean, sd) for number, (mean, sd) in stored["expected"].items()},
    )
