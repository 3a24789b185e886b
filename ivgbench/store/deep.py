"""Everything a store has, read to the last byte: the one look that no size and no time replaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ivgbench.store.records import Damaged, read_record
from ivgbench.store.runs import Store


class Looked(NamedTuple):
    """A kind of files: how many there are, and of those that are damaged what is wrong."""

    kind: str
    files: int
    damaged: tuple[str, ...]


def look(store: Store, stage: Callable[[str, int], Callable[[], None]]) -> list[Looked]:
    """Hashes every clip, and reads every score, manifest, row of set metrics and cached array.

    What is damaged loses its note in the index: the next run reads it, and makes it again. Cached arrays that cannot be
    read are removed.

    Args:
        stage: (what, how many) -> what to call after each file.
    """
    found = []
    for kind, files in _files(store).items():
        read, damaged = stage(kind, len(files)), []
        for file in files:
            try:
                _read(store, kind, file)
            except (Damaged, OSError) as fault:
                damaged.append(str(fault))
            read()
        found.append(Looked(kind, len(files), tuple(damaged)))
    if store.root.is_dir():
        store.index.save()
    return found


def _files(store: Store) -> dict[str, list[Path]]:
    """By kind; a clip by its folder."""
    return {
        "clips": [path for path in _listed(store, "jobs/*") if any(path.glob("[sv]*.*"))],
        "scores": _listed(store, "scores/*.json"),
        "sets": _listed(store, "sets/*.json"),
        "manifests": [store.manifest_path(run) for run in store.runs()],
        "cached": _listed(store, "cache/*/*.npz"),
    }


def _listed(store: Store, pattern: str) -> list[Path]:
    return sorted(path for path in store.root.glob(pattern) if not path.name.startswith("."))


def _read(store: Store, kind: str, file: Path) -> None:
    """Damaged where a file is not as it was written."""
    if kind == "clips":
        try:
            if store.sidecar(file.name) is None:
                raise Damaged(f"{file} has a clip and no sidecar")
        except Damaged:
            store.index.drop(f"clip {file.name}")
            raise
    elif kind == "cached":
        if store.arrays_of(file) is None:
            raise Damaged(f"{file} could not be read")
    else:
        try:
            read_record(file)
        except Damaged:
            store.index.drop(f"score {file.stem}")
            raise
