"""The regression gate: every metric of both tables on a small run, each with a tolerance that was measured.

Rounding differs with the number of threads, the batch and the processor, and some methods magnify it. How far each
metric moves then is measured when a snapshot is made; a check that moves further has another cause.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ivgbench.errors import UserError
from ivgbench.files import write_json
from ivgbench.metrics.catalogue import MEASURED, OF_SETS
from ivgbench.report import table2, tables

#: Raised when the layout of a snapshot changes.
VERSION = 1
#: A metric may move this many times as far as it was seen to move without cause.
MARGIN = 3.0
#: And by this share of its value in any case: versions of a library that agree do so to about this.
LEAST = 1e-3
#: What is compared: the columns that are measured and what repeats exactly of the costs. Times do not.
OF_TABLE_1 = tuple(one.column for one in (*MEASURED, *tables.MEANS) if "time" not in one.needs)
#: Those of the snapshot's encoders; intervals follow from what the values are made of.
OF_TABLE_2 = tuple(f"{one.column}{end}" for one in OF_SETS if "_v2" not in one.name for end in ("", *one.spread))


class Metric(NamedTuple):
    """The name of a number. `rows`: a split of Table 1, or "reference, encoder" of Table 2; `label`: the method's."""

    table: str
    rows: str
    label: str
    column: str

    def __str__(self) -> str:
        return " / ".join(self)


Values = dict[Metric, float | None]


class Change(NamedTuple):
    """A metric that is not what it was; `new` or `old` is None where it is undefined, NaN where it is missing."""

    metric: Metric
    old: float | None
    new: float | None
    tolerance: float

    def __str__(self) -> str:
        return f"{self.metric}: was {_spell(self.old)}, is {_spell(self.new)}, tolerance {self.tolerance:.3g}"


def values(runs: str | Path, run: str) -> Values:
    """Every metric of both tables of a finished run; None where one is undefined. Seconds are no metric.

    Raises:
        UserError: the run is not finished, or has no set metrics.
    """
    found: Values = {}
    for row in tables.build(1, runs, run).frame.to_dict("records"):
        for column in OF_TABLE_1:
            found[Metric("table 1", row["split"], row["label"], column)] = _number(row[column])
    for row in table2.build(runs, run, allow_partial=False).frame.to_dict("records"):
        for column in OF_TABLE_2:
            rows = f"{row['reference']}, {row['encoder']}"
            found[Metric("table 2", rows, row["label"], column)] = _number(row[column])
    return found


def tolerances(base: Values, others: Sequence[Values]) -> dict[Metric, float]:
    """Per metric: `MARGIN` times the largest move that a column of a method was seen to make, in any of its rows.

    Args:
        others: the same run with other rounding. A metric that is undefined in some of them and not in others has no
            tolerance that would mean anything: it is infinite, for this metric alone.
    """
    moves: dict[tuple[str, ...], float] = {}
    for metric, value in base.items():
        seen = [other.get(metric) for other in others]
        moved = max((abs(one - value) for one in seen if one is not None and value is not None), default=0.0)
        moves[_kind(metric)] = max(moves.get(_kind(metric), 0.0), moved)
    found = {}
    for metric, value in base.items():
        wavers = any((other.get(metric) is None) != (value is None) for other in others)
        least = 0.0 if value is None else LEAST * abs(value)
        found[metric] = math.inf if wavers else max(MARGIN * moves[_kind(metric)], least)
    return found


def _kind(metric: Metric) -> tuple[str, ...]:
    """Rows whose columns are on one scale. Features of two encoders are not."""
    return metric.table, metric.rows.partition(", ")[2], metric.label, metric.column


def changes(snapshot: Mapping[Metric, tuple[float | None, float]], new: Values) -> list[Change]:
    """What is not as in the snapshot (metric -> (value, tolerance)): moved too far, newly undefined, missing or new."""
    found = []
    for metric in dict.fromkeys([*snapshot, *new]):
        old, tolerance = snapshot.get(metric, (math.nan, 0.0))
        now = new.get(metric, math.nan)
        if not _agree(old, now, tolerance):
            found.append(Change(metric, old, now, tolerance))
    return found


def _agree(old: float | None, now: float | None, tolerance: float) -> bool:
    if old is None or now is None:
        return old is now or tolerance == math.inf
    return abs(now - old) <= tolerance


def save(path: Path, base: Values, others: Mapping[str, Values], environment: Mapping[str, Any]) -> None:
    """Writes a snapshot: values, tolerances, the variations behind them, and what it was made with."""
    allowed = tolerances(base, list(others.values()))
    rows = [
        {**metric._asdict(), "value": value, "tolerance": None if math.isinf(allowed[metric]) else allowed[metric]}
        for metric, value in base.items()
    ]
    about = {"version": VERSION, "varied": list(others), "environment": dict(environment)}
    write_json(path, {**about, "metrics": rows})


def load(path: Path) -> tuple[dict[Metric, tuple[float | None, float]], dict[str, Any]]:
    """(metric -> (value, tolerance), environment) of a snapshot.

    Raises:
        UserError: no such file, or another layout.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["version"] != VERSION:
            raise ValueError(f"version {saved['version']}, not {VERSION}")
        rows = {
            Metric(*(row[name] for name in Metric._fields)): (
                row["value"],
                math.inf if row["tolerance"] is None else row["tolerance"],
            )
            for row in saved["metrics"]
        }
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UserError(f"{path}: no snapshot to check against ({fault}); make one: ivgbench snapshot update") from None
    return rows, saved["environment"]


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _spell(value: float | None) -> str:
    if value is None:
        return "undefined"
    return "missing" if math.isnan(value) else f"{value:.6g}"
