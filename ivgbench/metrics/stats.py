"""Percentile bootstrap over cases. Seeded, vectorised, numpy only.

The unit that is resampled is the case: clips of one case (several seeds) are averaged before they come here, because
they are not independent. Values that do not exist are NaN; they are left out and counted, never silently.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivgbench.arrays import floats
from ivgbench.errors import UserError

RESAMPLES = 10_000
#: Indices drawn at once; bounds the memory at about 64 MB whatever the number of cases.
BLOCK = 4_000_000


class Interval(NamedTuple):
    """An estimate with its interval, and the `n` of `total` cases that it stands on."""

    value: float
    low: float
    high: float
    n: int
    total: int


def mean(values: np.ndarray, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of values [N] and its percentile-bootstrap interval.

    NaN are left out: `n` counts the rest. With fewer than two left there is no interval (NaN); with none, no mean.
    """
    values = _vector(values, "values")
    present = values[~np.isnan(values)]
    return ratio(present, np.ones(len(present)), resamples, level, seed)._replace(total=len(values))


def ratio(
    numerators: np.ndarray, denominators: np.ndarray, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Interval:
    """sum(numerators) / sum(denominators) over cases [N], and its interval: for pooled metrics.

    Both sums are taken over the same resampled cases, so that the interval knows how the denominator varies too (how
    many clips were covered, in how many frames something was found). Cases where either is NaN are left out; cases
    with denominator 0 stay in the resampling. `n` counts the cases that have a denominator. Resamples whose
    denominators sum to 0 have no value and are left out of the percentiles.
    """
    numerators, denominators = _vector(numerators, "numerators"), _vector(denominators, "denominators")
    if len(numerators) != len(denominators):
        raise UserError(f"{len(numerators)} numerators for {len(denominators)} denominators")
    present = ~(np.isnan(numerators) | np.isnan(denominators))
    top, bottom = numerators[present], denominators[present]
    n, total = int(np.count_nonzero(bottom)), len(numerators)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0, total)
    value = float(top.sum() / bottom.sum())
    if n < 2:
        return Interval(value, np.nan, np.nan, n, total)
    rng = np.random.default_rng(seed)
    drawn = []
    for start in range(0, resamples, rows := max(BLOCK // len(top), 1)):
        picks = rng.integers(0, len(top), (min(rows, resamples - start), len(top)))
        below = bottom[picks].sum(1)
        drawn.append(np.divide(top[picks].sum(1), below, out=np.full(len(picks), np.nan), where=below != 0))
    low, high = np.nanpercentile(np.concatenate(drawn), [50 * (1 - level), 50 * (1 + level)])
    return Interval(value, float(low), float(high), n, total)


def paired_difference(
    a: np.ndarray, b: np.ndarray, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of a - b over the cases [N] where both exist, and its interval.

    Cases are resampled, and both values of a case travel together: what is common to them (an easy prompt, a large
    box) cancels. Entry i of both must be the same case.
    """
    a, b = _vector(a, "a"), _vector(b, "b")
    if len(a) != len(b):
        raise UserError(f"a paired difference needs the same cases on both sides, got {len(a)} and {len(b)}")
    return mean(a - b, resamples, level, seed)


def _vector(values: np.ndarray, name: str) -> np.ndarray:
    values = floats(values, name)
    if values.ndim != 1 or np.isinf(values).any():
        raise UserError(f"{name} must be a list of finite numbers or NaN, one per case; got shape {list(values.shape)}")
    return values


def case_weights(cases: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each case is drawn in each resample, [resamples, cases]. Rows that share weights stay paired."""
    if cases < 1:
        raise UserError("a bootstrap needs at least one case")
    return np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), resamples).astype(np.float64)


def tails(differences: np.ndarray, margin: float) -> tuple[float, float]:
    """One-sided bootstrap p-values of resampled differences [R]: (for "above the margin", for "below it").

    The observed sample counts as one resample, so that no p-value is 0.
    """
    count = len(differences) + 1
    return float(1 + np.sum(differences <= margin)) / count, float(1 + np.sum(differences >= margin)) / count


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values [K]: rejecting those of at most a errs in any of them with probability at most a.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    p = _vector(p, "p-values")
    if np.isnan(p).any() or ((p < 0) | (p > 1)).any():
        raise UserError("p-values must be between 0 and 1")
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
