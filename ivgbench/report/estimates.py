"""What a metric comes to over cases: the samples behind a table's numbers, and the numbers alone, without intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.metrics.catalogue import MEASURED, OF_CLIPS, Metric
from ivgbench.report.clips import scored

#: Row metrics without which a clip is not scored.
NEEDED = frozenset(name for metric in MEASURED for name in (metric.name, *metric.weight))
#: Mean per clip, without an interval. Seconds are a measurement: two runs of the same jobs agree on everything else.
MEANS = tuple(metric for metric in OF_CLIPS if metric.column and not metric.interval)
#: Clips as `clips.scored` gives them: a line each.
Clips = Sequence[Mapping[str, Any]]


class Cases(NamedTuple):
    """Samples [N] of N cases, in the order of their suites and ids. `value` is NaN where a case has none.

    The estimate is the sum of the values by that of the weights.
    """

    value: np.ndarray
    weight: np.ndarray


def by_case(clips: Clips, metric: Metric) -> Cases:
    """Values and weights of each case. The unit is the case: its seeds are averaged first, both alike."""
    cases: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for clip in clips:
        cases.setdefault((clip["suite"], clip["case"]), []).append(_sample(clip, metric))
    means = [one[0] if len(one) == 1 else [*map(_mean, zip(*one, strict=True))] for _, one in sorted(cases.items())]
    return Cases(*np.array(means, dtype=np.float64).reshape(-1, 2).T.copy())


def _sample(clip: Mapping[str, Any], metric: Metric) -> tuple[float, float]:
    """A clip's value times its weight, and its weight."""
    if not metric.weight:
        return clip[metric.name], 1.0
    weight = math.prod(part for name in metric.weight if not math.isnan(part := clip[name]))
    # A clip without weight may have no value (a distance without a detection): it adds nothing to either sum.
    return (clip[metric.name] * weight if weight > 0 else 0.0), weight


def _mean(values: Iterable[float]) -> float:
    """Of those that are defined; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def interval(clips: Clips, metric: Metric) -> stats.Interval:
    """A metric's estimate with its 95 % bootstrap interval over cases, not scaled."""
    return spread(by_case(clips, metric), metric)


def spread(cases: Cases, metric: Metric) -> stats.Interval:
    """The same of samples that are there already."""
    return stats.ratio(cases.value, cases.weight) if metric.weight else stats.mean(cases.value)


def estimate(cases: Cases) -> float:
    """The number that `by_case` stands for; NaN where no case has a weight."""
    present = ~np.isnan(cases.value)
    weight = float(cases.weight[present].sum())
    return float(cases.value[present].sum()) / weight if weight else math.nan


def mean(clips: Clips, name: str) -> float:
    """Of a metric, such as one of `MEANS`, over the clips that have it; NaN where none has."""
    known = _known(clips, name)
    return float(known.sum() / len(known)) if len(known) else math.nan


def total(clips: Clips, name: str) -> float:
    """The sum of a metric over the clips that have it."""
    return float(_known(clips, name).sum())


def _known(clips: Clips, name: str) -> np.ndarray:
    values = np.array([clip.get(name, math.nan) for clip in clips], dtype=np.float64)
    return values[~np.isnan(values)]


def stated(rows: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Table 1 of a run as plain data: a row per split and label, in the order of the manifest, with `n_scored` and
    `n_expected` clips and every column's number (null: undefined). Nothing where no clip is scored."""
    expected: dict[tuple[str, str], int] = {}
    for entry in manifest["jobs"]:
        row = entry["split"], entry["label"]
        expected[row] = expected.get(row, 0) + 1
    try:
        clips, _ = scored(manifest["run"], manifest["jobs"], rows, NEEDED, allow_partial=True)
    except UserError:  # not one
        return []
    made = []
    for (split, label), count in expected.items():
        mine = [clip for clip in clips if (clip["split"], clip["label"]) == (split, label)]
        line = {"split": split, "label": label, "n_scored": len(mine), "n_expected": count}
        for metric in MEASURED:
            line[metric.column] = estimate(by_case(mine, metric)) * metric.scale
        line |= {metric.column: mean(mine, metric.name) for metric in MEANS}
        made.append({name: None if value != value else value for name, value in line.items()})
    return made
