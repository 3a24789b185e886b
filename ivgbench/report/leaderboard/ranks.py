"""Ranks without false order: they count the methods that the cases show to be better, and nothing else.

The rule. Every pair of methods of a board is compared case by case (both values of a case stay together, seeds are
averaged within it): the difference, its error by a bootstrap over cases, its two-sided p by Student's t; Holm's
correction over all pairs of the board. At most one board in twenty then shows any order that is not there.

What follows from two shown orders is shown, too: if A is better than B and B than C, A is better than C. Better is
then transitive, and whoever is shown to be worse has a greater rank. *Not shown to differ* is not transitive, and
cannot be: B may be tied with A and with C while A is better than C. So a method has a rank, 1 + how many are shown to
be better, and the greatest rank that it may have: the number of methods less those that it is shown to be better than.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from ivgbench.metrics import stats

#: How often any false order may be shown.
LEVEL = 0.05


class Standing(NamedTuple):
    """Where a method stands: its rank, and the greatest one that it may have."""

    rank: int
    worst: int


def standings(better: np.ndarray) -> list[Standing]:
    """Ranks of K methods from who is shown to be better than whom, [K,K] (row better than column)."""
    above, below = better.sum(0), better.sum(1)
    return [Standing(1 + int(up), len(better) - int(down)) for up, down in zip(above, below, strict=True)]


def shown_better(values: np.ndarray, weights: np.ndarray, better: int) -> np.ndarray:
    """Who is shown to be better than whom: bool [K,K], row better than column; transitive, and never both ways.

    Args:
        values, weights: of K methods on N cases, [K,N], the same cases in the same order (`estimates.by_case`); a
            method's number is sum(values) / sum(weights). NaN: a case without a value, which no pair with it counts.
        better: +1 if higher is better, -1 if lower is.
    """
    pairs = list(combinations(range(len(values)), 2))
    shown = np.zeros((len(values), len(values)), dtype=bool)
    if not pairs or values.shape[1] < 2:
        return shown
    resampled = _Resampled(values, weights)
    found = [resampled.difference(*pair) for pair in pairs]
    adjusted = stats.holm(np.array([p for _, p in found]))
    for (one, other), (difference, _), p in zip(pairs, found, adjusted, strict=True):
        if p <= LEVEL and difference:
            first = difference * better > 0
            shown[(one, other) if first else (other, one)] = True
    return closed(shown)


def closed(shown: np.ndarray) -> np.ndarray:
    """What follows from shown orders [K,K], too. Pairs that count other cases might go round in a circle: then those in
    it are tied."""
    reach = shown.copy()
    for middle in range(len(reach)):
        reach |= reach[:, middle, None] & reach[None, middle, :]
    return reach & ~reach.T


class _Resampled:
    """Methods' numbers in resamples of the cases: all pairs share them."""

    def __init__(self, values: np.ndarray, weights: np.ndarray):
        self.values, self.weights = values, weights
        self.present = ~(np.isnan(values) | np.isnan(weights))
        self.cases = stats.case_weights(values.shape[1])
        self.known: dict[tuple[int, bytes], tuple[float, np.ndarray]] = {}

    def difference(self, one: int, other: int) -> tuple[float, float]:
        """(first less second, two-sided p) over the cases where both have a value."""
        both = self.present[one] & self.present[other]
        (value, draws), (value2, draws2) = (self._number(row, both) for row in (one, other))
        count = min(int(np.count_nonzero(self.weights[row][both])) for row in (one, other))
        apart = draws - draws2
        apart = apart[~np.isnan(apart)]
        if count < 2 or not len(apart):
            return 0.0, 1.0
        above, below = stats.tails(value - value2, stats.standard_error(apart, count), count, 0.0)
        return value - value2, min(1.0, 2 * min(above, below))

    def _number(self, row: int, both: np.ndarray) -> tuple[float, np.ndarray]:
        """A method's number over some cases, and in each resample; NaN where nothing of it was drawn."""
        key = row, both.tobytes()
        if key not in self.known:
            top, bottom = (np.where(both, part[row], 0.0) for part in (self.values, self.weights))
            sums, counts = self.cases @ top, self._counts(bottom)
            draws = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
            self.known[key] = (float(top.sum() / bottom.sum()) if bottom.sum() else np.nan, draws)
        return self.known[key]

    def _counts(self, weights: np.ndarray) -> np.ndarray:
        """Sums of the drawn weights [N] in each resample."""
        # Without weights, each resample has as many cases as there are.
        return np.full(len(self.cases), float(len(weights))) if (weights == 1).all() else self.cases @ weights
