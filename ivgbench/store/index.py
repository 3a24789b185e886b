"""What was read of files, by their sizes and times: a file that has not changed since is not read or hashed again.

    ROOT/index.json     its own hash on the first line, then a note for each thing that was looked at

It is a cache: where it says nothing, or is not there, the files themselves are read. What changed under the same size
and time is not noticed by it; `ivgbench doctor --deep` reads everything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ivgbench.files import canonical_json, write_atomic

#: Raised when notes mean something else.
VERSION = 1


def stamps(*paths: str | Path) -> list[int] | None:
    """Size and time of change (nanoseconds) of each file, one after another; None when one is not there."""
    found = []
    try:
        for path in paths:
            about = os.stat(path)
            found += [about.st_size, about.st_mtime_ns]
    except OSError:
        return None
    return found


class Index:
    """Notes by a key, each true for as long as its files have the stamps that they had.

    A copy in another process knows nothing: workers look at new things only.
    """

    def __init__(self, path: Path):
        self.path: Path | None = path
        self._notes: dict[str, list[Any]] | None = None
        self._news: dict[str, list[Any] | None] = {}
        self._read: list[int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": None, "_notes": None, "_news": {}, "_read": None}

    def get(self, key: str, of: Sequence[int] | None) -> Any:
        """The note of files that have these stamps; None when there is none, or they have changed."""
        note = self._known().get(key)
        return note[1] if note is not None and note[0] == of else None

    def put(self, key: str, of: Sequence[int] | None, note: Any) -> None:
        """Notes plain data of files with these stamps, taken before they were read."""
        if of is not None and self.path is not None:
            self._change(key, [of, note])

    def drop(self, key: str) -> None:
        """Forgets a note: its files are read again."""
        if key in self._known():
            self._change(key, None)

    def save(self) -> None:
        """Writes what is new, beside what others have noted in the meantime."""
        if not self._news or self.path is None:
            return
        if stamps(self.path) != self._read:
            self._load()
        body = canonical_json({"version": VERSION, "notes": self._notes}).encode()
        seal = hashlib.sha256(body).hexdigest().encode()
        with suppress(OSError):  # on a full or read-only disk the files are read again, and nothing else is lost
            write_atomic(self.path, lambda handle: handle.writelines([seal, b"\n", body]))
            self._news, self._read = {}, stamps(self.path)

    def _change(self, key: str, note: list[Any] | None) -> None:
        self._news[key] = note
        if self._notes is not None:
            _apply({key: note}, self._notes)

    def _known(self) -> dict[str, list[Any]]:
        return self._load() if self._notes is None else self._notes

    def _load(self) -> dict[str, list[Any]]:
        """What is in the file, and on top what is new here; an index that is damaged or of another version is empty."""
        notes: dict[str, list[Any]] = {}
        if self.path is not None:
            self._read = stamps(self.path)
            try:
                seal, _, body = self.path.read_bytes().partition(b"\n")
                if hashlib.sha256(body).hexdigest().encode() == seal:
                    found = json.loads(body)
                    notes = dict(found["notes"]) if found["version"] == VERSION else {}
            except (OSError, ValueError, KeyError, TypeError):  # not there, or of another layout
                pass
        _apply(self._news, notes)
        self._notes = notes
        return notes


def _apply(news: Mapping[str, list[Any] | None], notes: dict[str, list[Any]]) -> None:
    for key, note in news.items():
        if note is None:
            notes.pop(key, None)
        else:
            notes[key] = note
