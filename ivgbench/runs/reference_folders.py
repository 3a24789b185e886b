"""Folders of videos as references: which of their files count, which cannot be read, and which are copies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ivgbench.engines.base import Failure
from ivgbench.errors import UserError
from ivgbench.files import file_sha256
from ivgbench.runs.environment import installed
from ivgbench.runs.progress import progress
from ivgbench.store import video as videos
from ivgbench.store.index import stamps
from ivgbench.store.runs import Store
from ivgbench.texts import printable

#: Folders that systems put beside a user's own: archives of a Mac, indices of a network drive, what was thrown away.
NO_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")
#: Raised when the same file gives other pixels, or is refused.
DECODED = "decoded-2"


@dataclass(frozen=True)
class FileVideo:
    """A video file that can be read. `key`: hash of its pixels."""

    path: Path
    key: str

    def load(self) -> np.ndarray:
        """uint8 [F,H,W,3]. UserError when it cannot be read, or is another video by now."""
        video = videos.decode(self.path)
        if videos.pixel_sha256(video) != self.key:
            raise UserError(f"{self.path}: the file was changed while it was read")
        return video


class Found(NamedTuple):
    """Different videos of a folder, and by their paths in it what does not count: `unreadable` with the reason,
    `copies` with the path of the first one of their kind."""

    videos: tuple[FileVideo, ...]
    unreadable: dict[str, str]
    copies: dict[str, str]


def files(folder: Path) -> list[Path]:
    """Files of a folder and all folders in it that are called like videos, sorted by path, readable or not.

    Links are followed, each folder and file once. What begins with a dot is hidden, and counts as little as the
    folders of `NO_FOLDERS`.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        what = "a file; give its folder, or statistics as .npz" if folder.is_file() else "no such folder"
        raise UserError(f"--reference {folder}: {what}")
    root = Path(os.path.realpath(folder))
    seen, found = {root}, {}

    def closed(fault: OSError) -> None:
        found[fault.filename] = [Path(fault.filename)]

    for here, folders, names in os.walk(folder, onerror=closed, followlinks=True):
        deeper = []
        for name in sorted(folders):
            real = Path(os.path.realpath(os.path.join(here, name)))
            # A link upward is a loop: what is above the folder is not in it.
            if not (name.startswith(".") or name in NO_FOLDERS or real in seen or real in root.parents):
                seen.add(real)
                deeper.append(name)
        folders[:] = deeper
        for name in names:
            path = Path(here, name)
            if videos.is_named_video(path):
                found.setdefault(os.path.realpath(path), []).append(path)
    return sorted(min(same) for same in found.values())


class Reader:
    """What a worker holds that looks at a folder's files."""

    def __init__(self, store: Store, lab: Any):
        lab.start_worker()
        self.store = store

    def read(self, path: Path) -> str:
        """The hash of a video's pixels; cached by the file's own. UserError where it cannot be read."""
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UserError("it is no file that could be read")
        try:
            content = file_sha256(path)
        except OSError as fault:
            raise UserError(f"cannot be opened: {fault.strerror}") from None
        kind = _kind()
        known = self.store.arrays(kind, content)
        if known is None:
            known = {"pixels": np.array(videos.pixel_sha256(videos.decode(path)))}
            self.store.save_arrays(kind, content, known)
        return str(known["pixels"])


def find(folder: Path, order: Callable[[int], Sequence[int]], count: int, store: Store, lab: Any, engine: Any) -> Found:
    """Up to `count` different, readable videos of a folder, in an `order` of its files (number of them -> places)."""
    listed = files(folder)
    waiting = [listed[place] for place in order(len(listed))]
    found: dict[str, Path] = {}
    unreadable, copies = {}, {}
    while waiting and len(found) < count:
        step = count - len(found)
        for path, outcome in _read(waiting[:step], store, lab, engine):
            name = printable(str(path.relative_to(folder)))
            if isinstance(outcome, Failure):
                unreadable[name] = outcome.reason.removeprefix(str(UserError(f"{path}:"))).lstrip()
            elif outcome in found:
                copies[name] = printable(str(found[outcome].relative_to(folder)))
            else:
                found[outcome] = path
        waiting = waiting[step:]
    return Found(tuple(FileVideo(path, key) for key, path in found.items()), unreadable, copies)


def _read(paths: Sequence[Path], store: Store, lab: Any, engine: Any) -> Iterator[tuple[Path, Any]]:
    """(path, hash of the pixels or `Failure`) in the order of the paths. What was read before is not read again."""
    kind = _kind()
    found = {path: stamps(path) for path in paths}
    outcomes = {path: store.index.get(f"{kind} {os.path.abspath(path)}", found[path]) for path in paths}
    new = [path for path, known in outcomes.items() if known is None]
    with progress("read references", len(new)) as advance:
        for index, outcome in engine.run(partial(Reader, store, lab), Reader.read, new):
            path = new[index]
            outcomes[path] = outcome
            if not isinstance(outcome, Failure):
                store.index.put(f"{kind} {os.path.abspath(path)}", found[path], outcome)
            advance()
    yield from ((path, outcomes[path]) for path in paths)


def _kind() -> str:
    """What tells the pixels of a file that is decoded here: the rules, and the decoder's version."""
    return f"{DECODED}-av-{installed('av')}"
