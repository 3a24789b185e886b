"""What a record's fields must be beyond their kinds. Others may have sent it, and tables take its word.

Texts may be any: where they are shown they are escaped.

Each rule is what `ivgbench.reading.ruled` takes: what a field must be, in words, and whether a value is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ivgbench.metrics.catalogue import KNOWN, from_record
from ivgbench.reading import fits

#: Counts of a row of set metrics that are there for any reference, and those that statistics lack.
_COUNTS, _OF_REFERENCE = ("n_videos", "n_frames", "n_expected"), ("reference_videos", "reference_frames")


def _is_status(value: str) -> bool:
    return value in ("ok", "missing") or value.startswith("failed: ")


def _are_numbers(values: Any) -> bool:
    return isinstance(values, Mapping) and all(value is None or fits(value, float) for value in values.values())


def _are_metrics(rows: Sequence[Mapping[str, Any]]) -> bool:
    try:
        return not {from_record(row).name for row in rows} & KNOWN.keys()
    except (TypeError, ValueError):  # a field that lacks, or cannot be
        return False


def _are_sets(rows: Sequence[Mapping[str, Any]]) -> bool:
    return all(map(_is_set, rows))


def _is_set(row: Mapping[str, Any]) -> bool:
    """Whether a row has what `table2` reads of it."""
    metrics, encoders = row.get("metrics"), row.get("encoders")
    return (
        all(isinstance(row.get(name), str) for name in ("reference", "method", "label"))
        and all(fits(row.get(name), int) for name in _COUNTS)
        and all(name in row and (row[name] is None or fits(row[name], int)) for name in _OF_REFERENCE)
        and isinstance(encoders, Mapping)
        and all(isinstance(id, str) for id in encoders.values())
        and isinstance(metrics, Mapping)
        and isinstance(metrics.get("frames"), Mapping)
        and all(map(_are_numbers, (*metrics["frames"].values(), metrics.get("video", {}))))
    )


NAME = ("a text, not an empty one", lambda value: value.strip() != "")
STATUS = ('"ok", "missing", or "failed: " and why', _is_status)
VALUES = ("a table of numbers, or null where one is undefined", _are_numbers)
METRICS = ("rows of metrics that are no built-in ones, as `ivgbench list metrics` has them", _are_metrics)
SETS = ("rows of FID, KID and JEDi as a run writes them", _are_sets)
