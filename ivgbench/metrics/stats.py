"""Percentile bootstrap over cases, and tests of what differs between them. Seeded, vectorised, numpy only.

The unit that is resampled is the case: clips of one case (several seeds) are averaged before they come here, because
they are not independent. Values that do not exist are NaN; they are left out and counted, never silently.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ivgbench.arrays import floats
from ivgbench.errors import UserError

RESAMPLES = 10_000
#: Indices drawn at once; bounds the memory at about 64 MB whatever the number of cases.
BLOCK = 4_000_000
#: Counts that are kept, at eight bytes each: all resamples of 2000 cases. Of more they are drawn again each time.
KEPT = 20_000_000


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
    drawn = []
    for counts in _counts(len(top), resamples, seed):
        above, below = counts @ top, counts @ bottom
        drawn.append(above[below != 0] / below[below != 0])
    low, high = _quantiles(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, low, high, n, total)


def _counts(cases: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each case is drawn in each resample, [rows, cases] at a time, `resamples` rows in all."""
    if cases * resamples <= KEPT:
        yield _all_counts(cases, resamples, seed)
    else:
        yield from _drawn_counts(cases, resamples, seed)


# Two: a table asks for the same ones again and again, and in between for those of a metric that some cases lack.
@lru_cache(maxsize=2)
def _all_counts(cases: int, resamples: int, seed: int) -> np.ndarray:
    counts = np.concatenate(list(_drawn_counts(cases, resamples, seed)))
    counts.flags.writeable = False
    return counts


def _drawn_counts(cases: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    rng, rows = np.random.default_rng(seed), max(BLOCK // cases, 1)
    for start in range(0, resamples, rows):
        yield _counted(rng.integers(0, cases, (min(rows, resamples - start), cases)))


def _counted(picks: np.ndarray) -> np.ndarray:
    """Cases drawn [rows, cases] as how often each was, of the same shape: a sum over what is drawn is one product."""
    rows, cases = picks.shape
    places = picks + cases * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), minlength=rows * cases).reshape(rows, cases).astype(np.float64)


def _quantiles(values: np.ndarray, shares: list[float]) -> list[float]:
    """Quantiles of values [N], linear between neighbours, as numpy's; whose own loads all of numpy.ma."""
    return np.interp(np.multiply(shares, len(values) - 1), np.arange(len(values)), np.sort(values)).tolist()


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


@lru_cache(maxsize=1)
def case_weights(cases: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each case is drawn in each resample, [resamples, cases]. Rows that share weights stay paired.

    What was asked for last is kept, and cannot be written to: drawing takes far longer than what is done with it.
    """
    if cases < 1:
        raise UserError("a bootstrap needs at least one case")
    rng, shares, rows = np.random.default_rng(seed), np.full(cases, 1 / cases), max(BLOCK // cases, 1)
    weights = np.empty((resamples, cases))
    for start in range(0, resamples, rows):
        some = weights[start : start + rows]
        some[:] = rng.multinomial(cases, shares, len(some))
    weights.flags.writeable = False
    return weights


def standard_error(draws: np.ndarray, cases: int) -> float:
    """Standard error of what was resampled over cases, from its resamples [R]; NaN with fewer than two cases.

    A resample of n cases varies by (n-1)/n less than a sample does. Of a mean it is the usual s / sqrt(n).
    """
    return float(np.std(draws) * math.sqrt(cases / (cases - 1))) if cases > 1 else math.nan


def tails(value: float, error: float, cases: int, margin: float) -> tuple[float, float]:
    """One-sided p-values of an estimate: (for "above the margin", for "below it"), by Student's t over cases.

    With few cases the tails of a bootstrap are too thin where a correction for many tests looks: there t is wider. No
    p-value is below that of as many equal signs, 2^-cases; without an error (one case) both are 1.

    Args:
        value, error: the estimate and its standard error; cases: how many independent ones both stand on.
    """
    if math.isnan(error):
        return 1.0, 1.0
    distance = value - margin
    t = distance / error if error > 0 else math.copysign(math.inf, distance) if distance else 0.0
    above, below = (max(student_tail(x, cases - 1), 0.5**cases) for x in (t, -t))
    return (above, below) if distance or error > 0 else (1.0, 1.0)


def interval(value: float, error: float, cases: int, level: float = 0.95) -> tuple[float, float]:
    """Ends of the interval of one estimate by Student's t, (NaN, NaN) without an error."""
    if math.isnan(error):
        return math.nan, math.nan
    low, high = 0.0, 1.0
    while student_tail(high, cases - 1) > (1 - level) / 2:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, cases - 1) > (1 - level) / 2 else (low, middle)
    return value - high * error, value + high * error


def student_tail(t: float, freedom: int) -> float:
    """P(T > t) of Student's t with a whole number of degrees of freedom, to 1e-15.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    if freedom < 1:
        raise UserError(f"Student's t needs at least one degree of freedom, got {freedom}")
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 - inside) / 2 if t >= 0 else (1 + inside) / 2


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
