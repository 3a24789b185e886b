"""A request as a case of a suite. Suites are files in the studio's folder, and no name leads out of it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from ivgbench.cases import ID_PATTERN, Suite, load_suite_file
from ivgbench.errors import UserError
from ivgbench.studio.requests import Asked, FieldError
from ivgbench.suites import is_taken

#: Of one suite that is drawn by hand, and of the folder.
MAX_CASES, MAX_SUITES = 10_000, 1000


class Suites:
    """The suites of a folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Those that a case can be added to."""
        return sorted(path.stem for path in self.folder.glob("*.jsonl") if _is_name(path.stem))

    def save(self, asked: Asked, suite: Any, case: Any) -> tuple[Path, Suite]:
        """Adds a case to a suite, which is made where there is none; returns the file, and what is in it now.

        Raises:
            FieldError: a name that no file can have, a case that is there already, or another number of frames.
        """
        # Who types the file's name means the file.
        suite = suite.removesuffix(".jsonl") if isinstance(suite, str) else suite
        name, id = _name(suite, "suite", "the suite"), _name(case, "case", "the case")
        if is_taken(name):
            raise FieldError("suite", f"the name {name!r} is taken: it is a suite that ships; choose another one")
        frames = len(asked.case.subjects[0].track)
        # The very boxes that clips were made of: what is saved asks for the same pixels.
        made = replace(asked.case, id=id)
        path = self.folder / f"{name}.jsonl"
        with self._lock:
            old = self._read(path, name, frames)
            if id in [one.id for one in old.cases]:
                raise FieldError("case", f"the suite {name!r} has a case {id!r} already; call this one otherwise")
            if len(old.cases) >= MAX_CASES:
                raise FieldError("suite", f"the suite {name!r} is full: {MAX_CASES} cases; begin another one")
            whole = Suite(name, old.frames, (*old.cases, made), old.description)
            whole.save(path)
        return path, whole

    def _read(self, path: Path, name: str, frames: int) -> Suite:
        """What is there, or an empty suite."""
        if path.is_symlink():  # what it leads to is not the studio's
            raise FieldError("suite", f"{name}.jsonl is a link; choose another name")
        if not path.exists():
            if len(self.names()) >= MAX_SUITES:
                raise FieldError("suite", f"there are {MAX_SUITES} suites already; add the case to one of them")
            return Suite(name, frames, (), "drawn in the studio")
        try:
            old = load_suite_file(path)
        except UserError as fault:
            raise FieldError("suite", str(fault)) from None
        if old.frames != frames:
            raise FieldError("suite", f"the suite {name!r} has {old.frames} frames, this case {frames}: choose another")
        return old


def _is_name(name: str) -> bool:
    return ID_PATTERN.fullmatch(name) is not None and ".." not in name


def _name(value: Any, field: str, what: str) -> str:
    """A name that becomes a file's, or stands in one."""
    if value == "" or value is None:
        raise FieldError(field, f"give {what} a name")
    if not isinstance(value, str) or not _is_name(value):
        raise FieldError(field, f"{what} cannot be called so: letters, digits, '.', '_' and '-' only, 120 at most")
    return value
