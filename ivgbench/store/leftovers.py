"""What writers that were killed leave behind: files ".NAME.xxxxxxxx.part" that were never renamed to NAME.

They are read by nobody, and cost room alone. A writer at work has such a file too, for seconds; in a folder that many
machines share nobody can ask whose it is. Its time tells: one that nothing was written to for a day has no writer.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: Seconds without a change after which no writer is alive.
ABANDONED = 24 * 3600
#: Where a store writes, and what `ivgbench.files.write_atomic` calls its files meanwhile.
_FOLDERS = (".", "manifests", "scores", "sets", "jobs/*", "cache/*")
_NAME = re.compile(r"\..+\.[a-z0-9_]{8}\.part")


class Leftovers(NamedTuple):
    """removed: files that are gone now; size: bytes that they held. left: those that may be a writer's, or cannot be
    removed."""

    removed: tuple[Path, ...]
    size: int
    left: tuple[Path, ...]


def sweep(root: Path) -> Leftovers:
    """Removes the unfinished files of a folder of runs that no living writer can own."""
    found = sorted(path for folder in _FOLDERS for path in root.glob(f"{folder}/.*.part") if _NAME.fullmatch(path.name))
    now = _now(root) if found else None
    if now is None:
        return Leftovers((), 0, tuple(found))
    removed, left, size = [], [], 0
    for path in found:
        with suppress(FileNotFoundError):  # its writer renamed it just now
            about = path.lstat()
            if now - about.st_mtime > ABANDONED and _unlinked(path):
                removed.append(path)
                size += about.st_size
            else:
                left.append(path)
    return Leftovers(tuple(removed), size, tuple(left))


def _now(folder: Path) -> float | None:
    """The time by the clock that the files of a folder have theirs from; None where nothing can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return None


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except PermissionError:
        return False
    return True
