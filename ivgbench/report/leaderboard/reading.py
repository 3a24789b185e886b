"""What was sent: each file is a record that verifies, or has a reason why it does not. Nothing is dropped in silence.

Records are strangers' data: JSON alone, regular files of a limited size, texts without control characters.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.report import record
from ivgbench.report.leaderboard.verifying import fault_of
from ivgbench.report.record import Record
from ivgbench.store.records import SEAL, seal
from ivgbench.texts import printable, read_json

#: Of a file. A record takes about a kilobyte a clip.
MAX_BYTES = 32_000_000
#: Letters of one text; what is longer is cut.
MAX_TEXT = 400


class Sent(NamedTuple):
    """A file that was sent.

    name: its path below the folder that was given. seal: hash of its content, empty where there is none.
    record: None where it cannot be read. reason: why it is not ranked, empty where it is.
    """

    name: str
    seal: str
    record: Record | None
    reason: str

    @property
    def counts(self) -> tuple[int, int]:
        """Clips scored, and expected."""
        clips = self.record.clips if self.record else ()
        return sum(clip.status == "ok" for clip in clips), len(clips)


def read_all(places: Sequence[Path]) -> list[Sent]:
    """Every record in some folders (and files), ordered by name. A content that was sent twice stands there once more
    with the reason that it is the same.

    Raises:
        UserError: no such folder, or no JSON file in any of them.
    """
    found = {path.absolute(): name for place in places for name, path in _files(place)}
    if not found:
        raise UserError(f"there is no record (*.json) in {', '.join(map(str, places))}; `ivgbench record` writes one")
    sent, first, names = [], dict[str, str](), Counter[str]()
    for path, name in sorted(found.items(), key=lambda one: (one[1], one[0])):
        names[name] += 1
        one = _read(path, name if names[name] == 1 else f"{name} ({names[name]})")
        if one.seal and not one.reason and (same := first.setdefault(one.seal, one.name)) != one.name:
            one = one._replace(reason=f"the same record as {same}")
        sent.append(one)
    return sent


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of the JSON files at a place. Folders that are links are not entered."""
    if place.is_file():
        yield printable(place.name), place
    elif place.is_dir():
        for folder, _, names in os.walk(place):
            for path in (Path(folder, name) for name in names if name.lower().endswith(".json")):
                yield printable(path.relative_to(place).as_posix()), path
    else:
        raise UserError(f"there is no folder {place}; name one with records (`ivgbench record` writes one)")


def _read(path: Path, name: str) -> Sent:
    """A record, verified."""
    try:
        _check_file(path)
        data = read_json(path, "the record")
        if not isinstance(data, dict) or SEAL not in data:
            raise UserError(f"not a record of a run; {record.AGAIN}")
        told = data.pop(SEAL)
    except UserError as fault:
        return Sent(name, "", None, _told(fault, path))
    if told != seal(data):
        return Sent(name, "", None, f"broken seal: it was changed after it was written; {record.AGAIN}")
    try:
        made = record.from_data(_clean(data), name)
    except UserError as fault:
        return Sent(name, told, None, _told(fault, path, name))
    return Sent(name, told, made, fault_of(made))


def _check_file(path: Path) -> None:
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        raise UserError("a link to a file; send the file itself")
    if not stat.S_ISREG(facts.st_mode):
        raise UserError("not a file")
    if facts.st_size > MAX_BYTES:
        raise UserError(f"{facts.st_size / 1e6:.0f} MB; a record may have {MAX_BYTES / 1e6:.0f} MB")


def _told(fault: UserError, *prefixes: object) -> str:
    """A message without the place that it begins with: the list of records has that already."""
    text = " ".join(str(fault).split())
    for prefix in prefixes:
        text = text.removeprefix(f"{prefix}:").removeprefix(f"{prefix},").strip()
    return _text(text.removeprefix("cannot read the record:").strip())


def _clean(value: Any) -> Any:
    """The same plain data with texts that are safe to print on one line, and of a limited length."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(name): _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value


def _text(text: str) -> str:
    text = printable(text)
    # The hash keeps apart what the cut would confuse.
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 9]}…{digest(text)[:8]}"
