"""What is asked: a Case is a prompt with box tracks for its subjects; a Suite is a checked list of cases."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ivgbench import boxes
from ivgbench.errors import UserError
from ivgbench.files import canonical_json, digest, write_text
from ivgbench.phrases import contains_phrase
from ivgbench.phrases import spelling as spelling  # what knows a fixed set of phrases asks for it here
from ivgbench.texts import check_unicode, from_json, numbered_lines, read_text, short

#: What an id, a split or a suite's name may look like. They become file names, so nothing that could leave a folder.
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True, eq=False)
class Subject:
    """A thing to place.

    phrase: its words in the prompt, or None (research use only: see `generator.generate`).
    boxes: float64 [F,4] xyxy in 0..1, one row per frame, or None where masks are given to `generate` instead.
    """

    phrase: str | None
    boxes: np.ndarray | None

    def __post_init__(self) -> None:
        if self.boxes is not None:
            object.__setattr__(self, "boxes", np.asarray(self.boxes, dtype=np.float64))

    @property
    def words(self) -> str:
        """The phrase of a subject that has one, as those of a checked case do. ValueError for another."""
        if self.phrase is None:
            raise ValueError("a subject has no phrase")
        return self.phrase

    @property
    def track(self) -> np.ndarray:
        """The boxes [F,4] of a subject that has some, as those of a checked case do. ValueError for another."""
        if self.boxes is None:
            raise ValueError("a subject has no boxes")
        return self.boxes


@dataclass(frozen=True, eq=False)
class Case:
    """One request: a prompt and its subjects. `metadata` travels along and changes no pixel.

    Texts are kept as they were given. One text in two normal forms of Unicode (an accent apart from its letter, or
    not) is one request, because every text encoder here reads it as one: `content` has it composed (NFC).
    """

    id: str
    prompt: str
    subjects: tuple[Subject, ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", tuple(self.subjects))

    @property
    def frames(self) -> int | None:
        """Number of frames the boxes are for; None without boxes."""
        return next((len(subject.boxes) for subject in self.subjects if subject.boxes is not None), None)

    def content(self) -> dict[str, Any]:
        """What of the case changes pixels, as plain data: its part of a job's identity."""
        return self._told(lambda text: unicodedata.normalize("NFC", text))

    @cached_property
    def canonical(self) -> str:
        """The content as canonical JSON: spelled once, hashed in the id of every job of the case."""
        return canonical_json(self.content())

    def to_json(self) -> dict[str, Any]:
        """The case as a suite file has it: every text as it was given."""
        return {"id": self.id, **self._told(lambda text: text), "metadata": self.metadata}

    def _told(self, spelled: Callable[[str], str]) -> dict[str, Any]:
        subjects = [
            {
                "phrase": None if subject.phrase is None else spelled(subject.phrase),
                "boxes": None if subject.boxes is None else subject.boxes.tolist(),
            }
            for subject in self.subjects
        ]
        return {"prompt": spelled(self.prompt), "subjects": subjects}


def _check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not ID_PATTERN.fullmatch(name) or ".." in name:
        raise UserError(
            f"{what} {short(name)} is not allowed; use letters, digits, '.', '_', '-' (it becomes a file name)"
        )


def check_case(case: Case, where: str, frames: int | None = None) -> Case:
    """Refuses what a user's typo would break: bad ids or splits, phrases not in the prompt, bad or missing boxes; and
    metadata that no file could hold.

    Raises:
        UserError: with `where` (file and line, or the command's option) and what to change.
    """
    _check_name(case.id, f"{where}: id")
    if "split" in case.metadata:
        _check_name(case.metadata["split"], f"{where}: case {case.id}: split")
    try:
        canonical_json(case.metadata).encode()
    except (TypeError, ValueError, RecursionError) as fault:
        raise UserError(f"{where}: case {case.id}: metadata must be texts and finite numbers: {fault}") from None
    if not isinstance(case.prompt, str) or not spelling(case.prompt):
        raise UserError(f"{where}: case {case.id}: the prompt is empty")
    check_unicode(case.prompt, f"{where}: case {case.id}: the prompt")
    if not case.subjects:
        raise UserError(f"{where}: case {case.id}: no subject; give at least one phrase with boxes")
    expected = frames
    for subject in case.subjects:
        if not isinstance(subject.phrase, str) or not spelling(subject.phrase):
            raise UserError(f"{where}: case {case.id}: a subject has no phrase; name its words in the prompt")
        check_unicode(subject.phrase, f"{where}: case {case.id}: a subject's phrase")
        if not contains_phrase(case.prompt, subject.phrase):
            raise UserError(
                f"{where}: case {case.id}: the phrase {subject.phrase!r} is not in the prompt {case.prompt!r}"
            )
        if subject.boxes is None:
            raise UserError(f"{where}: case {case.id}: subject {subject.phrase!r} has no boxes")
        boxes.check(subject.boxes, f"{where}: case {case.id}, subject {subject.phrase!r}")
        expected = len(subject.boxes) if expected is None else expected
        if len(subject.boxes) != expected:
            raise UserError(
                f"{where}: case {case.id}: subject {subject.phrase!r} has {len(subject.boxes)} boxes "
                f"for {short(expected)} frames; give one box per frame"
            )
    return case


def case_from_json(record: Any, where: str) -> Case:
    """A Case from one decoded suite line; UserError when a field is missing or of the wrong kind."""
    where = f"{where}: not a case"
    _check_kind(record, dict, "a line", where)
    for name in ("id", "prompt", "subjects"):
        if name not in record:
            raise UserError(f"{where}: it has no {name!r}; see `ivgbench suites show static`")
    _check_kind(record["prompt"], str, "prompt", where)
    _check_kind(record["subjects"], list, "subjects", where)
    metadata = record.get("metadata", {})
    _check_kind(metadata, dict, "metadata", where)
    subjects = tuple(_subject(one, f"subjects[{index}]", where) for index, one in enumerate(record["subjects"]))
    return Case(record["id"], record["prompt"], subjects, metadata)


def _subject(record: Any, name: str, where: str) -> Subject:
    _check_kind(record, dict, name, where)
    if lacking := [key for key in ("phrase", "boxes") if key not in record]:
        raise UserError(f"{where}: {name} has no {lacking[0]!r}; see `ivgbench suites show static`")
    phrase, track = record["phrase"], record["boxes"]
    if phrase is not None:
        _check_kind(phrase, str, f"{name}.phrase", where)
    if track is None:
        return Subject(phrase, None)
    _check_kind(track, list, f"{name}.boxes", where)
    for frame, box in enumerate(track):
        if not isinstance(box, list) or len(box) != 4 or any(type(value) not in (int, float) for value in box):
            raise UserError(f"{where}: {name}.boxes[{frame}] is {short(box)}; write four numbers, [x0, y0, x1, y1]")
    try:
        return Subject(phrase, np.array(track, dtype=np.float64).reshape(-1, 4))
    except OverflowError:
        raise UserError(f"{where}: {name}.boxes: a number is too large; write fractions of width and height") from None


_CALLED = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


def _check_kind(value: Any, kind: type, name: str, where: str) -> None:
    if type(value) is not kind:  # true and false are no numbers
        raise UserError(f"{where}: {name} must be {_CALLED[kind]}, got {short(value)}")


@dataclass(frozen=True, eq=False)
class Suite:
    """A named list of cases, all of `frames` frames."""

    name: str
    frames: int
    cases: tuple[Case, ...]
    description: str = ""

    @cached_property
    def sha256(self) -> str:
        """Checksum over the cases in order: the suite's identity."""
        return digest([case.to_json() for case in self.cases])

    def save(self, path: Path) -> None:
        """JSONL: a header line with name, frames and checksum, then a line per case.

        UserError for a header that could not be read again.
        """
        header = {
            "suite": self.name,
            "frames": self.frames,
            "cases": len(self.cases),
            "sha256": self.sha256,
            "description": self.description,
        }
        _check_header(header, f"suite {self.name!r}")
        check_unicode(self.description, f"suite {self.name!r}: the description")
        lines = [canonical_json(header), *(canonical_json(case.to_json()) for case in self.cases)]
        write_text(path, "\n".join(lines) + "\n")


def load_suite_file(path: Path) -> Suite:
    """Reads and checks a suite file: every case, unique ids, the count and the checksum of the header.

    Raises:
        UserError: missing, damaged or inconsistent file, with the line.
    """
    lines = numbered_lines(read_text(path, "the suite"))
    records = [(f"{path}:{number}", from_json(line, f"{path}:{number}: damaged suite file")) for number, line in lines]
    where: str
    header: Any  # `_check_header` refuses what it must not be
    where, header = records[0] if records else (f"{path}:1", None)
    _check_header(header, where)
    cases = [check_case(case_from_json(record, at), at, header["frames"]) for at, record in records[1:]]
    first: dict[str, str] = {}
    for case, (at, _) in zip(cases, records[1:], strict=True):
        if first.setdefault(case.id, at) != at:
            raise UserError(f"{at}: the id {case.id!r} is used twice (first in {first[case.id]}); ids must be unique")
    suite = Suite(header["suite"], header["frames"], tuple(cases), header.get("description", ""))
    if len(cases) != header["cases"] or suite.sha256 != header["sha256"]:
        raise UserError(
            f"{where}: damaged suite file: {len(cases)} cases with checksum {suite.sha256[:12]}, the header says "
            f"{short(header['cases'])} with {header['sha256'][:12]}; restore it, or remake it: `ivgbench suites make`"
        )
    return suite


def _check_header(header: Any, where: str) -> None:
    """Refuses a first line that is not a suite's header, or one with a field of the wrong kind."""
    if not isinstance(header, dict) or not {"suite", "frames", "cases", "sha256"} <= header.keys():
        raise UserError(f"{where}: damaged suite file: the first line must be the suite's header")
    _check_name(header["suite"], f"{where}: suite")  # stands in for the split of a case that has none
    for name, kind in {"frames": int, "cases": int, "sha256": str, "description": str}.items():
        _check_kind(header.get(name, ""), kind, f"the header's {name}", where)
    for name, least in (("frames", 1), ("cases", 0)):
        if header[name] < least:
            raise UserError(f"{where}: the header's {name} must be at least {least}, got {short(header[name])}")
