"""From stored rows to scored clips: a run is whole, or it is refused."""

from __future__ import annotations

import pandas as pd

from ivgbench.errors import UserError
from ivgbench.runs.identity import row_name

_KEY = ["label", "suite", "split", "case", "seed", "job"]


def scored(
    name: str, entries: pd.DataFrame, rows: pd.DataFrame, needed: frozenset[str], allow_partial: bool
) -> tuple[pd.DataFrame, str | None]:
    """The clips that count.

    Args:
        name: the run's.
        entries: the manifest's jobs: what is expected.
        rows: what is there, in long form (ivgbench.store.runs). A value of None is undefined, and becomes NaN.
        needed: metrics without which a clip is not scored.
    Returns:
        One line per scored clip with `method` and its metrics as columns; and what is missing, None if nothing is.
    Raises:
        UserError: clips are missing or failed and allow_partial is off, or no clip is scored at all.
    """
    if rows.empty:
        rows = pd.DataFrame(columns=[*_KEY, "metric", "value", "status"])
    absent = rows["status"].astype(str).str.startswith("failed") | (rows["status"] == "missing")
    reasons = dict(zip(_keys(rows[absent]), rows.loc[absent, "status"], strict=True))
    present = rows[~absent]
    metrics: dict[tuple, set[str]] = {}
    for key, metric in zip(_keys(present), present["metric"], strict=True):
        metrics.setdefault(key, set()).add(metric)
    whole: list[tuple] = []
    failed: list[str] = []
    missing: list[str] = []
    for key in _keys(entries):
        lacking = sorted(needed - metrics.get(key, set()))
        if key not in reasons and not lacking:
            whole.append(key)
            continue
        why = reasons.get(key) or (f"no {lacking[0]!r} in its scores" if key in metrics else "missing")
        label, _, _, case, seed, _ = key
        (failed if why.startswith("failed") else missing).append(f"{row_name(label)}, case {case}, seed {seed}: {why}")
    partial = None
    if failed or missing:
        counts = [f"{len(group)} {word}" for group, word in ((failed, "failed"), (missing, "missing")) if group]
        partial = f"{' and '.join(counts)} of {len(entries)} clips; first: {[*failed, *missing][0]}"
        if not allow_partial:
            raise UserError(f"run {name!r} is partial: {partial}. Run it again to finish it, or give --allow-partial")
    if not whole:
        raise UserError(f"run {name!r} has no scored clip: {partial}")
    values = present.assign(value=present["value"].astype("float64"))
    wide = values.pivot(index=_KEY, columns="metric", values="value").loc[whole].reset_index()
    methods = entries.drop_duplicates("label").set_index("label")["method"]
    return wide.assign(method=wide["label"].map(methods)), partial


def _keys(frame: pd.DataFrame) -> list[tuple]:
    return list(frame[_KEY].itertuples(index=False, name=None))
