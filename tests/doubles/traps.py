"""What an attacker puts into files: objects that make a folder when they are unpickled, and words that do when run."""

from __future__ import annotations

import os
from pathlib import Path


class Trap:
    """Unpickling it makes the folder `place`."""

    def __init__(self, place: Path):
        self.place = str(place)

    def __reduce__(self):
        return os.mkdir, (self.place,)


class Called:
    """Unpickling it calls `cls` with the arguments."""

    def __init__(self, cls: type, *arguments: object):
        self.cls, self.arguments = cls, arguments

    def __reduce__(self):
        return self.cls, self.arguments


def words(place: Path) -> str:
    """A Python expression that makes the folder `place`."""
    return f"__import__('os').mkdir({str(place)!r})"


def program(place: Path) -> str:
    """A module that makes the folder `place` when it is imported, with any class that is asked of it."""
    made = f"import os\nos.makedirs({str(place)!r}, exist_ok=True)\n"
    return f"{made}\ndef __getattr__(name):\n    return type(name, (), {{}})\n"
