"""Ids of judges that only a loaded model tells, noted beside the files they stand on: they are loaded once, not every
time that a run is looked at again.

A note counts as long as each of its files has the size and the time that it had, and the libraries their versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ivgbench import hub
from ivgbench.files import write_json

#: Packages whose version is part of what a model answers, or of how its id is made.
PACKAGES = ("ivgbench", "torch", "transformers", "open_clip_torch", "ultralytics")


def recall(kind: str, name: str) -> str | None:
    """The id that was noted of a judge; None without a note, or where something has changed since."""
    note = _notes().get(_key(kind, name))
    if not isinstance(note, dict) or not isinstance(note.get("id"), str) or not note.get("files"):
        return None
    with suppress(OSError, TypeError):
        if note.get("versions") == _versions() and _state(note["files"]) == note["files"]:
            return note["id"]
    return None


def note(kind: str, name: str, id: str, files: Iterable[Path]) -> None:
    """Notes the id of a judge that stands on files. Without any, or without a place for notes, it is loaded again."""
    found = [str(Path(file).absolute()) for file in files]
    if not found:
        return
    with suppress(OSError):
        mine = {"id": id, "files": _state(found), "versions": _versions()}
        write_json(_place(), {**_notes(), _key(kind, name): mine})


def _place() -> Path:
    return hub.home() / "judges.json"


def _key(kind: str, name: str) -> str:
    """A relative path means another file in another folder."""
    return f"{kind} {name} in {Path.cwd()}"


def _notes() -> dict[str, Any]:
    try:
        notes = json.loads(_place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _state(files: Iterable[str]) -> dict[str, list[int]]:
    return {file: [(stat := Path(file).stat()).st_size, stat.st_mtime_ns] for file in files}


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
