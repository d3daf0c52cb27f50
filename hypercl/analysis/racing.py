"""Racing as arithmetic: which settings are dropped, given the values of each on the same seeds.

A round gives every setting that is left the same further seeds. The setting with the best mean over all its seeds
leads; each other one is compared with it by a one-sided paired t test, and dropped where that is significant. Source of
the procedure: Birattari et al. (2002), 'A racing algorithm for configuring metaheuristics'; with t tests Maron and
Moore (1994) and irace (López-Ibáñez et al., 2016).

The level. A setting can only be dropped in favour of one of the others, at one of the looks. Each of these events has
at most the chance `alpha / (looks * others)` if the setting is truly as good, so that together they have at most
`alpha` (Bonferroni), whichever of the others happens to lead. It rests on paired differences that are about normal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

LEAST = 5
"""Seeds before the first decision, or all of the race's where those are fewer: on three, a t test at such a level all
but never decides, and where differences are far from normal it does so wrongly. irace's `firstTest` is 5, too."""


@dataclass(frozen=True)
class Plan:
    """How a race goes, whatever its values."""

    seeds: int
    """Of each setting, at most."""
    block: int
    """Further seeds a round."""
    level: float
    """A comparison is significant at or below it."""
    halving: tuple[int, ...] = ()
    """Of a confirming stage (`hypercl.analysis.confirming`): seeds of each setting after each round."""

    @property
    def rounds(self) -> tuple[int, ...]:
        """Seeds of each setting after each round."""
        return self.halving or (*range(self.block, self.seeds, self.block), self.seeds)

    @property
    def looks(self) -> tuple[int, ...]:
        """Those of them after which it is decided."""
        return tuple(count for count in self.rounds if count >= min(LEAST, self.seeds))


def level_of(alpha: float, looks: int, others: int, races: int = 1) -> float:
    """The level of one comparison.

    Args:
        alpha: chance, over all comparisons, that a setting is dropped though none of the others is better.
        looks: how often it is decided in a race.
        others: settings in a race, without the one.
        races: how many there are.
    """
    return alpha / (max(looks, 1) * max(others, 1) * max(races, 1))


@dataclass(frozen=True)
class Round:
    """One round and what was decided after it. In a confirming stage the leader of the last round has the title, and
    `p` is the probability that the last challenger is no better than the setting as written."""

    seeds: int
    """Of each setting, so far."""
    means: dict[int, float]
    """Mean value of each setting that was in the round."""
    leader: int
    p: dict[int, float]
    """Of each other setting against the leader; empty where it was too early to decide."""
    dropped: tuple[int, ...]
    """Those that are significantly worse than the leader."""
    expected: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    """Of a confirming stage: mean and standard deviation of each setting's posterior."""

    def worth(self, number: int) -> float:
        """What decides on a setting: its expected value where there is one, else its mean."""
        return self.expected[number][0] if number in self.expected else self.means[number]

    @property
    def left(self) -> list[int]:
        """Those still in the race, the best mean first."""
        return [number for number in self.means if number not in self.dropped]


def rounds_of(values: Mapping[int, Sequence[float]], plan: Plan, maximize: bool = True) -> list[Round]:
    """The rounds that some values make, in order: as far as all settings that are left have the seeds for.

    Args:
        values: of each setting, in the order of seeds; those after its end are not looked at.
        plan: of the race.
        maximize: whether a higher value is better.
    """
    sign = 1.0 if maximize else -1.0
    left = list(values)
    found: list[Round] = []
    for count in plan.rounds if len(left) > 1 else ():
        if any(len(values[number]) < count for number in left):
            break
        means = {number: fmean(values[number][:count]) for number in left}
        order = sorted(left, key=lambda number: (-sign * means[number], left.index(number)))
        p = _compared(order, values, count, sign) if count in plan.looks else {}
        dropped = tuple(number for number, chance in p.items() if chance <= plan.level)
        found.append(Round(count, {number: means[number] for number in order}, order[0], p, dropped))
        left = [number for number in left if number not in dropped]
        if len(left) == 1:
            break
    return found


def _compared(order: Sequence[int], values: Mapping[int, Sequence[float]], count: int, sign: float) -> dict[int, float]:
    leader, *others = order
    return {
        number: p_worse([sign * (a - b) for a, b in zip(values[leader][:count], values[number][:count], strict=True)])
        for number in others
    }


def p_worse(differences: Sequence[float]) -> float:
    """One-sided p of the paired t test: the probability of a mean difference this far above zero where the true one is
    zero.

    Where all differences are the same there is no scale to judge them by (accuracies are counts of samples, so that
    this happens); then it is the sign test's `2 ** -n`.

    Args:
        differences: the leader's value minus the other's on each seed; two or more, higher being better.
    """
    mean = fmean(differences)
    if stdev(differences) <= 1e-12 * max(abs(mean), 1e-300):
        return 0.5 ** len(differences) if mean > 0 else 1.0
    from scipy.stats import ttest_1samp  # 0.5 s that those who only read a race are spared

    result: Any = ttest_1samp(differences, 0.0, alternative="greater")
    return float(result.pvalue)


def ended(rounds: Sequence[Round], plan: Plan) -> str:
    """Why a race is over: 'separated' or 'seeds'; '' while it is running."""
    if not rounds:
        return ""
    if len(rounds[-1].left) == 1:
        return "separated"
    return "seeds" if rounds[-1].seeds >= plan.seeds else ""


def order_of(settings: Sequence[int], rounds: Sequence[Round]) -> list[int]:
    """The settings of a race, best first: those left by their means, then the dropped ones, the last dropped first."""
    if not rounds:
        return list(settings)
    dropped = [number for one in reversed(rounds) for number in one.means if number in one.dropped]
    return [*rounds[-1].left, *dropped]
