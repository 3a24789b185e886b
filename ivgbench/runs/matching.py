"""Which video of another system is of which case, by what its file is called or by a manifest. Nothing is guessed.

A file is named after a case's id (ID.mp4) or its prompt (PROMPT.mp4, as VBench does), and may count samples: ID-0.mp4,
PROMPT-3.mp4. A name without a number is sample 0; the number becomes the row's seed. What a name can mean is tried in
this order, and the first that fits counts:

* Ids: the whole name, then the name without its number; letter for letter, then both again in any letter case.
* Prompts: likewise letter for letter (in composed Unicode form); in any letter case and with any spaces; by letters and
  digits alone (file systems and tools drop or replace the rest); and as the beginning of a prompt, for a name of at
  least 100 characters (long names are cut).

A name that fits two cases in one of these ways (two cases of one prompt), or one case by its id and another by its
prompt, is ambiguous: it is used for neither, and both say so unless they have a file of their own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ivgbench.cases import Suite
from ivgbench.errors import UserError
from ivgbench.store import video as videos
from ivgbench.texts import printable

#: A name this long may be a prompt that was cut.
CUT = 100
#: A sample is often called by the seed it was made from.
MAX_SAMPLE = 2**64 - 1
_NUMBERED = re.compile(r"(.+)-(\d{1,4})", re.DOTALL)
Place = tuple[str, int]


class Matches(NamedTuple):
    """What belongs where.

    source: the folder or manifest. files: (case id, sample) -> its files; more than one is one too many. faults:
    (case id, sample) -> why it has none, where more is known. unused: (file, why) of every file that is not used.
    """

    source: Path
    files: dict[Place, list[Path]]
    faults: dict[Place, str]
    unused: list[tuple[str, str]]

    def samples(self) -> list[int]:
        """The samples of a case, ascending: all that any case has. [0] where there is no file."""
        return sorted({sample for _, sample in [*self.files, *self.faults]}) or [0]

    def notes(self) -> list[str]:
        """A line per reason: how many files were not used, and which."""
        by_reason: dict[str, list[str]] = {}
        for name, why in self.unused:
            by_reason.setdefault(why, []).append(name)
        return [f"not used, {why}: {len(names)}: {', '.join(names)}" for why, names in by_reason.items()]


def by_name(folder: Path, suite: Suite) -> Matches:
    """The files of a folder (not of folders within) by their names. UserError: no such folder."""
    if not folder.is_dir():
        raise UserError(f"--videos {folder}: there is no such folder")
    names, found = _Names(suite), Matches(folder, {}, {}, [])
    for path in sorted(folder.iterdir()):
        video = path.suffix.lower() in videos.SUFFIXES
        places = names.places(path.name[: -len(path.suffix)]) if video else set()
        if path.name.startswith("."):
            found.unused.extend([(shown(path), "hidden")] if video else [])
        elif path.is_dir():
            found.unused.append((shown(path), "a folder: only a manifest can name the files in it"))
        elif not videos.is_video(path):
            found.unused.append((shown(path), _no_file(path) if video else "no video by its ending"))
        elif not places:
            found.unused.append((shown(path), f"no case of {suite.name} is called so"))
        elif len(places) > 1:
            ids = ", ".join(sorted({case for case, _ in places}))
            found.unused.append((shown(path), f"ambiguous, it could be of {ids}: name it after an id"))
            found.faults.update({place: f"{shown(path)} is ambiguous: it could be of {ids}" for place in places})
        else:
            found.files.setdefault(places.pop(), []).append(path)
    _name_doubles(found)
    # A sample that only ambiguous names have is no sample that every case should have.
    expected = {sample for _, sample in found.files}
    return found._replace(faults={place: why for place, why in found.faults.items() if place[1] in expected})


def by_manifest(manifest: Path, suite: Suite, folder: Path | None = None) -> Matches:
    """The files that a CSV or JSONL file names: `case` (its id), `file`, and `sample` (or `seed`) where it has several.

    A path is relative to the manifest, or to `folder` where it is not there, and stays within it. Videos of `folder`
    that the manifest does not name are told as not used.

    Raises:
        UserError: an unreadable manifest, a record without case or file, or a path that leaves the folder.
    """
    from ivgbench.suites import records

    if folder is not None and not folder.is_dir():
        raise UserError(f"--videos {folder}: there is no such folder")
    found, ids = Matches(manifest, {}, {}, []), {case.id for case in suite.cases}
    named: set[Path] = set()
    for where, record in records.read(manifest)[1]:
        if not isinstance(record, dict):
            raise UserError(f"{where}: a record has case and file, got {record!r}")
        case, file = record.get("case", record.get("id")), record.get("file")
        if case in (None, "") or not isinstance(file, str) or not file.strip():
            raise UserError(f"{where}: a record has case and file (and sample, if a case has several)")
        case = str(case).strip()
        number = record.get("sample", record.get("seed"))
        sample = 0 if number in (None, "") else records.whole(number, f"{where}: sample")
        if sample > MAX_SAMPLE:
            raise UserError(f"{where}: sample must be at most {MAX_SAMPLE}")
        path = _inside(file.strip(), [manifest.parent, *([] if folder is None else [folder])], where)
        named.add(path.resolve())
        if case not in ids:
            found.unused.append((file.strip(), f"{suite.name} has no case {case!r}"))
        elif not path.is_file():
            found.faults[case, sample] = f"{where}: there is no file {file.strip()}"
        else:
            found.files.setdefault((case, sample), []).append(path)
    for path in sorted(folder.iterdir()) if folder is not None else ():
        if videos.is_video(path) and not path.name.startswith(".") and path.resolve() not in named:
            found.unused.append((shown(path), "the manifest does not name it"))
    _name_doubles(found)
    return found


def _inside(file: str, bases: list[Path], where: str) -> Path:
    """A data file's path below the first of some folders that has it; it cannot leave them."""
    parts = file.replace("\\", "/").split("/")
    if any("\ud800" <= letter <= "\udfff" for letter in file):
        raise UserError(f"{where}: {file!a} is no file's name")
    if parts[0] == "" or re.match(r"[A-Za-z]:/", "/".join(parts)) or ".." in parts or "\0" in file:
        raise UserError(f"{where}: the path {file!r} leaves the folder; name it from the manifest on, without '..'")
    paths = [base.joinpath(*parts) for base in bases]
    return next((path for path in paths if path.is_file()), paths[0])


def _no_file(path: Path) -> str:
    return "no file" if path.exists() else "a broken link"


def _name_doubles(found: Matches) -> None:
    for (case, sample), paths in found.files.items():
        if len(paths) > 1:
            which = f"{case}, sample {sample}" if sample else case
            found.unused.extend((shown(path), f"several files for {which}") for path in paths)


def shown(path: Path) -> str:
    return printable(path.name)


# ---- names


class _Names:
    """The ids and prompts of a suite, to be found by what a file is called."""

    def __init__(self, suite: Suite):
        ids = [(case.id, case.id) for case in suite.cases]
        prompts = [(case.prompt, case.id) for case in suite.cases]
        self.ids = [_table(ids, key) for key in (_exact, _folded)]
        self.prompts = [_table(prompts, key) for key in (_exact, _folded, _bare)]
        self.bare = [(_bare(prompt), case) for prompt, case in prompts]

    def places(self, stem: str) -> set[Place]:
        """All that a name can mean, after the order above: one place, several (ambiguous), or none."""
        numbered = _NUMBERED.fullmatch(stem)
        ways = [(stem, 0)] + ([(numbered[1], int(numbered[2]))] if numbered else [])
        by_id = _first((table.get(key(text), ()), n) for key, table in self.ids for text, n in ways)
        by_prompt = _first((table.get(key(text), ()), n) for key, table in self.prompts for text, n in ways)
        return by_id | (by_prompt or _first((self._beginning(text), n) for text, n in ways))

    def _beginning(self, text: str) -> list[str]:
        if len(text) < CUT:
            return []
        start = _bare(text)
        return [case for prompt, case in self.bare if prompt.startswith(start)]


def _first(tried: Iterable[tuple[Iterable[str], int]]) -> set[Place]:
    for cases, number in tried:
        if cases:
            return {(case, number) for case in cases}
    return set()


def _table(
    names: list[tuple[str, str]], key: Callable[[str], str]
) -> tuple[Callable[[str], str], dict[str, list[str]]]:
    table: dict[str, list[str]] = {}
    for name, case in names:
        if key(name):
            table.setdefault(key(name), []).append(case)
    return key, table


def _exact(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _folded(text: str) -> str:
    return " ".join(_exact(text).casefold().split()).rstrip(". ")


def _bare(text: str) -> str:
    """Letters, digits and the marks on them."""
    return "".join(letter for letter in _folded(text) if unicodedata.category(letter)[0] in "LNM")
