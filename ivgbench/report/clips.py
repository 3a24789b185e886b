"""From stored rows to scored clips: a run is whole, or it is refused. Plain rows: pandas takes longer to be loaded than
a table takes to be made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from ivgbench.errors import UserError
from ivgbench.runs.identity import row_name


class NothingScored(UserError):
    """A run of which no clip has scores: there is no number to show."""


_KEY = ("label", "suite", "split", "case", "seed", "job")
_key = itemgetter(*_KEY)


def scored(
    name: str,
    entries: Sequence[Mapping[str, Any]],
    rows: Iterable[Mapping[str, Any]],
    needed: frozenset[str],
    allow_partial: bool,
) -> tuple[list[dict[str, Any]], str | None]:
    """The clips that count.

    Args:
        name: the run's.
        entries: the manifest's jobs: what is expected.
        rows: what is there, in long form (ivgbench.store.runs). A value of None is undefined, and becomes NaN.
        needed: metrics without which a clip is not scored.
    Returns:
        One line per scored clip, in the order of the entries: what it is, `method`, and every metric that any clip of
        the run has (NaN where this one has none); and what is missing, None if nothing is.
    Raises:
        UserError: clips are missing or failed and allow_partial is off.
        NothingScored: no clip is scored at all.
    """
    reasons: dict[tuple, str] = {}
    values: dict[tuple, dict[str, float]] = {}
    for row in rows:
        status = str(row["status"])
        if status.startswith("failed") or status == "missing":
            reasons[_key(row)] = status
        else:
            value = math.nan if row["value"] is None else float(row["value"])
            values.setdefault(_key(row), {})[row["metric"]] = value
    whole: list[tuple] = []
    failed: list[str] = []
    missing: list[str] = []
    for key in map(_key, entries):
        lacking = sorted(needed - values.get(key, {}).keys())
        if key not in reasons and not lacking:
            whole.append(key)
            continue
        why = reasons.get(key) or (f"no {lacking[0]!r} in its scores" if key in values else "missing")
        label, _, _, case, seed, _ = key
        (failed if why.startswith("failed") else missing).append(f"{row_name(label)}, case {case}, seed {seed}: {why}")
    partial = None
    if failed or missing:
        counts = [f"{len(group)} {word}" for group, word in ((failed, "failed"), (missing, "missing")) if group]
        partial = f"{' and '.join(counts)} of {len(entries)} clips; first: {[*failed, *missing][0]}"
        if whole and not allow_partial:
            raise UserError(f"run {name!r} is partial: {partial}. Run it again to finish it, or give --allow-partial")
    if not whole:
        raise NothingScored(
            f"run {name!r} has no scored clip: {partial}. Run it again, or see what became of each: ivgbench report"
        )
    undefined = dict.fromkeys(sorted({metric for one in values.values() for metric in one}), math.nan)
    methods = {entry["label"]: entry["method"] for entry in reversed(entries)}
    return [
        {**dict(zip(_KEY, key, strict=True)), **undefined, **values.get(key, {}), "method": methods[key[0]]}
        for key in whole
    ], partial
