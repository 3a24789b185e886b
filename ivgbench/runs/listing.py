"""What runs there are in a store, and how far each is: read from their records, without their clips."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ivgbench.errors import UserError
from ivgbench.runs.identity import row_name
from ivgbench.store.runs import Store


class Listed(NamedTuple):
    """A run. when: of its last start, in local time. methods: its rows' labels.

    done, failed, expected: rows that are scored, that have a reason why not, and all. fault: why nothing of it can be
    read; "" otherwise.
    """

    name: str
    when: datetime
    backbone: str = ""
    suites: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    done: int = 0
    expected: int = 0
    failed: int = 0
    fault: str = ""


def listed(store: Store) -> list[Listed]:
    """All runs of a store, the newest first."""
    found = [_read(store, name) for name in store.runs()]
    return sorted(found, key=lambda one: (-one.when.timestamp(), one.name))


def _read(store: Store, name: str) -> Listed:
    # A run writes its manifest whenever it starts or goes on.
    when = datetime.fromtimestamp(store.manifest_path(name).stat().st_mtime)
    try:
        manifest = store.manifest(name)
        rows = manifest["jobs"]
        states = [_state(store, row) for row in rows]
        methods = tuple(dict.fromkeys(row_name(row["label"]) for row in rows))
        suites = tuple(dict.fromkeys(row["suite"] for row in rows))
        backbone = manifest.get("backbone")
        backbone = backbone["name"] if isinstance(backbone, Mapping) else str(backbone)
    except UserError as fault:
        return Listed(name, when, fault=str(fault))
    except (KeyError, TypeError, AttributeError) as fault:  # of another version
        return Listed(name, when, fault=f"its manifest has no {fault}; run it again")
    return Listed(name, when, backbone, suites, methods, states.count("done"), len(rows), states.count("failed"))


def _state(store: Store, row: Mapping[str, Any]) -> str:
    facts = store.noted(row["job"])
    if facts is None:
        return "missing" if store.failure(row["job"]) is None else "failed"
    if store.score(row["score"], facts["pixel_sha256"]) is not None:
        return "done"
    return "missing" if store.score_failure(row["score"], facts["pixel_sha256"]) is None else "failed"
