"""Confirming as arithmetic: whether one of the best settings of a search is better than the setting as written.

The challengers and the setting as written get the same further seeds, round by round, on validation data. After each
round the better half of the challengers stays (successive halving: Karnin et al. 2013); the last one takes the title
only where it is better at a level. What a setting is worth is its posterior from all values, those of the search and
the further ones (`hypercl.analysis.posterior`), or the further ones alone where the search's are of shorter runs.
"""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from statistics import NormalDist, fmean, stdev

from hypercl.analysis.racing import Plan, Round, p_worse

Expected = Mapping[int, tuple[float, float]]
"""Setting -> mean and standard deviation of its posterior."""
LEAST_LAST = 2
"""Seeds of the last round, at least: one pair tells nothing of its spread."""


def confirming_round(
    values: Mapping[int, Sequence[float]],
    count: int,
    plan: Plan,
    written: int | None,
    maximize: bool = True,
    expected: Expected | None = None,
) -> Round:
    """What a round decides.

    Args:
        values: of each setting in the round, over the further seeds, in their order; `count` or more.
        count: further seeds of each after this round; those of `plan.rounds[-1]` make it the last.
        plan: rounds and level.
        written: the setting as written; None where it has no value: then the last challenger has the title.
        maximize: whether a higher value is better.
        expected: of each setting, from all values; None goes by the means over the further seeds and, at the end, by a
            one-sided paired t test.
    """
    sign = 1.0 if maximize else -1.0
    means = {number: fmean(own[:count]) for number, own in values.items()}
    score = {number: sign * (means[number] if expected is None else expected[number][0]) for number in values}
    order = sorted(values, key=lambda number: -score[number])
    ranked = [number for number in order if number != written]
    known = {number: expected[number] for number in order} if expected is not None else {}
    if count < plan.rounds[-1]:
        dropped = tuple(ranked[max(1, len(ranked) // 2) :])
        return Round(count, {number: means[number] for number in order}, order[0], {}, dropped, known)
    leader, p = ranked[0], {}
    if written is not None:
        pairs = [sign * (a - b) for a, b in zip(values[leader][:count], values[written][:count], strict=True)]
        p = {leader: p_worse(pairs) if expected is None else p_no_better(leader, written, expected, maximize)}
        leader = leader if p[leader] <= plan.level else written
    order = [leader, *(number for number in order if number != leader)]
    return Round(count, {number: means[number] for number in order}, leader, p, tuple(order[1:]), known)


def p_no_better(challenger: int, written: int, expected: Expected, maximize: bool = True) -> float:
    """Posterior probability that a challenger is no better than the setting as written, of independent normal
    posteriors."""
    (mean, sd), (base, base_sd) = expected[challenger], expected[written]
    gain = mean - base if maximize else base - mean
    apart = sqrt(sd**2 + base_sd**2)
    return NormalDist().cdf(-gain / apart) if apart > 0 else float(gain <= 0)


def halving_plan(trainings: int, challengers: int, written: bool, level: float) -> Plan:
    """The rounds of a confirming stage: each but the last takes half of what is left of the budget, and leaves half of
    the challengers; the last one takes the rest.

    Args:
        trainings: the budget, in trainings of one seed.
        challengers: one or more.
        written: whether the setting as written takes part.
        level: of the decision at the end.
    """
    rounds: list[int] = []
    seeds, left = 0, challengers
    while left > 1:
        entrants = left + written
        block = max(1, trainings // 2 // entrants)
        seeds, trainings, left = seeds + block, trainings - block * entrants, left // 2
        rounds.append(seeds)
    rounds.append(seeds + max(LEAST_LAST, trainings // (1 + written)))
    return Plan(rounds[-1], rounds[0], level, tuple(rounds))


def to_tell(differences: Sequence[float], level: float, gain: float, power: float = 0.8) -> int | None:
    """Pairs of seeds that show a gain with this power, given the spread of those at hand; None where it is not
    positive.

    Source: the power of a test of a mean with known spread (Cohen 1988, section 2.4).

    Args:
        differences: of pairs, two or more.
        level: of the one-sided decision.
        gain: the difference to show.
        power: chance to show it.
    """
    if gain <= 0:
        return None
    quantiles = NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(power)
    return max(2, ceil((quantiles * stdev(differences) / gain) ** 2))
