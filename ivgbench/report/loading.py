"""The rows that a table is made of: of a stored run, or of the file of its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
from ivgbench.report import record
from ivgbench.store.runs import Store


def named(run: str | Sequence[str] | None) -> list[str | None]:
    """The runs that are meant, each once; [None] for the default one."""
    return [run] if run is None or isinstance(run, str) else list(dict.fromkeys(run))


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
