"""From stored rows to scored clips: a run is whole, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ivgbench.errors import UserError
from ivgbench.report import record
from ivgbench.runs.identity import row_name
from ivgbench.store.runs import Store

_KEY = ["label", "suite", "split", "case", "seed", "job"]


def load(number: int, runs: str | Path, run: str | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and manifest of a run, by its name or the file of its record; where a table touches the store."""
    if run is not None and record.is_record(run):
        found = record.load(Path(run))
        return found.rows(), found.manifest()
    store = Store(runs)
    return store.load_rows(store.choose(run, f"table{number}"))


def load_sets(runs: str | Path, run: str | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The same of metrics of whole sets.

    Raises:
        UserError: there are no such rows, or they were computed for other clips than the run has now.
    """
    if run is not None and record.is_record(run):
        found = record.load(Path(run))
        rows, missing, manifest = found.sets, found.sets_missing, found.manifest()
    else:
        store = Store(runs)
        manifest = store.manifest(store.choose(run, "table2"))
        rows, missing = record.sets_of(store, manifest)
    if missing:
        raise UserError(f"run {manifest['run']!r} {missing}")
    return list(rows), manifest


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
    whole, failed, missing = [], [], []
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
