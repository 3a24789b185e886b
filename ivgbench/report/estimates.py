"""What a metric comes to over cases: the samples behind a table's numbers, and the numbers alone, without intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.metrics.catalogue import MEASURED, OF_CLIPS, Metric
from ivgbench.report.clips import scored

#: Row metrics without which a clip is not scored.
NEEDED = frozenset(name for metric in MEASURED for name in (metric.name, *metric.weight))
#: Mean per clip, without an interval. Seconds are a measurement: two runs of the same jobs agree on everything else.
MEANS = tuple(metric for metric in OF_CLIPS if metric.column and not metric.interval)


def by_case(clips: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """`value` and `weight` of each case, by suite and case: the estimate is the sum of the one by that of the other.

    The unit is the case: its seeds are averaged first, numerator and denominator alike. NaN: the case has no value.

    Args:
        clips: a line per scored clip, see `clips.scored`.
    """
    case = [clips["suite"], clips["case"]]
    if not metric.weight:
        return pd.DataFrame({"value": clips[metric.name].groupby(case).mean()}).assign(weight=1.0)
    weight = clips[list(metric.weight)].prod(axis=1)
    # A clip without weight may have no value (a distance without a detection): it adds nothing to either sum.
    product = (clips[metric.name] * weight).where(weight > 0, 0.0)
    return pd.DataFrame({"value": product.groupby(case).mean(), "weight": weight.groupby(case).mean()})


def interval(clips: pd.DataFrame, metric: Metric) -> stats.Interval:
    """A metric's estimate with its 95 % bootstrap interval over cases, not scaled."""
    cases = by_case(clips, metric)
    value, weight = cases["value"].to_numpy(), cases["weight"].to_numpy()
    return stats.ratio(value, weight) if metric.weight else stats.mean(value)


def estimate(cases: pd.DataFrame) -> float:
    """The number that `by_case` stands for; NaN where no case has a weight."""
    present = cases[cases["value"].notna()]
    weight = float(present["weight"].sum())
    return float(present["value"].sum()) / weight if weight else np.nan


def mean(clips: pd.DataFrame, metric: Metric) -> float:
    """One of `MEANS`; NaN where no clip has it."""
    return float(clips[metric.name].mean()) if metric.name in clips else np.nan


def stated(rows: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Table 1 of a run as plain data: a row per split and label, in the order of the manifest, with `n_scored` and
    `n_expected` clips and every column's number (null: undefined). Nothing where no clip is scored."""
    entries = pd.DataFrame(manifest["jobs"])
    if entries.empty:
        return []
    try:
        clips, _ = scored(manifest["run"], entries, pd.DataFrame(rows), NEEDED, allow_partial=True)
    except UserError:  # not one
        return []
    made = []
    for (split, label), expected in entries.groupby(["split", "label"], sort=False):
        mine = clips[(clips["split"] == split) & (clips["label"] == label)]
        line = {"split": split, "label": label, "n_scored": len(mine), "n_expected": len(expected)}
        for metric in MEASURED:
            line[metric.column] = estimate(by_case(mine, metric)) * metric.scale
        line |= {metric.column: mean(mine, metric) for metric in MEANS}
        made.append({name: None if value != value else value for name, value in line.items()})
    return made
