"""What is asked: a Case is a prompt with box tracks for its subjects; a Suite is a checked list of cases."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ivgbench import boxes
from ivgbench.errors import UserError
from ivgbench.files import canonical_json, digest, write_text

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


@dataclass(frozen=True, eq=False)
class Case:
    """One request: a prompt and its subjects. `metadata` travels along and changes no pixel."""

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
        return {
            "prompt": self.prompt,
            "subjects": [
                {"phrase": s.phrase, "boxes": None if s.boxes is None else s.boxes.tolist()} for s in self.subjects
            ],
        }

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, **self.content(), "metadata": self.metadata}


def spelling(phrase: str) -> str:
    """One spelling per phrase, for what knows a fixed set of them: lower case, single spaces."""
    return " ".join(phrase.lower().split())


def contains_phrase(prompt: str, phrase: str) -> bool:
    """Whether a phrase stands in a prompt as whole words, in any letter case."""
    return re.search(rf"(?<!\w){re.escape(phrase.strip())}(?!\w)", prompt, re.IGNORECASE) is not None


def _check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not ID_PATTERN.fullmatch(name) or ".." in name:
        raise UserError(f"{what} {name!r} is not allowed; use letters, digits, '.', '_', '-' (it becomes a file name)")


def check_case(case: Case, where: str, frames: int | None = None) -> Case:
    """Refuses what a user's typo would break: bad ids or splits, phrases not in the prompt, bad or missing boxes.

    Raises:
        UserError: with `where` (file and line, or the command's option) and what to change.
    """
    _check_name(case.id, f"{where}: id")
    if "split" in case.metadata:
        _check_name(case.metadata["split"], f"{where}: case {case.id}: split")
    if not isinstance(case.prompt, str) or not case.prompt.strip():
        raise UserError(f"{where}: case {case.id}: the prompt is empty")
    if not case.subjects:
        raise UserError(f"{where}: case {case.id}: no subject; give at least one phrase with boxes")
    expected = frames
    for subject in case.subjects:
        if not isinstance(subject.phrase, str) or not subject.phrase.strip():
            raise UserError(f"{where}: case {case.id}: a subject has no phrase; name its words in the prompt")
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
                f"for {expected} frames; give one box per frame"
            )
    return case


def case_from_json(record: Any, where: str) -> Case:
    """A Case from one decoded suite line; UserError when a field is missing or of the wrong kind."""
    try:
        subjects = tuple(
            Subject(item["phrase"], None if item["boxes"] is None else np.asarray(item["boxes"], dtype=np.float64))
            for item in record["subjects"]
        )
        metadata = dict(record.get("metadata", {}))
        canonical_json(metadata)  # what cannot be hashed (NaN) is refused here
        return Case(record["id"], record["prompt"], subjects, metadata)
    except (KeyError, TypeError, ValueError) as fault:
        raise UserError(
            f"{where}: not a case: {type(fault).__name__}: {fault}; see `ivgbench suites show static`"
        ) from None


@dataclass(frozen=True, eq=False)
class Suite:
    """A named list of cases, all of `frames` frames."""

    name: str
    frames: int
    cases: tuple[Case, ...]
    description: str = ""

    @property
    def sha256(self) -> str:
        """Checksum over the cases in order: the suite's identity."""
        return digest([case.to_json() for case in self.cases])

    def save(self, path: Path) -> None:
        """JSONL: a header line with name, frames and checksum, then a line per case."""
        header = {
            "suite": self.name,
            "frames": self.frames,
            "cases": len(self.cases),
            "sha256": self.sha256,
            "description": self.description,
        }
        lines = [canonical_json(header), *(canonical_json(case.to_json()) for case in self.cases)]
        write_text(path, "\n".join(lines) + "\n")


def load_suite_file(path: Path) -> Suite:
    """Reads and checks a suite file: every case, unique ids, the count and the checksum of the header.

    Raises:
        UserError: missing, damaged or inconsistent file, with the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"{path}: cannot read the suite: {fault}") from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as fault:
            raise UserError(
                f"{path}:{number}: damaged suite file: not JSON ({fault.msg}, column {fault.colno})"
            ) from None
    header = records[0] if records else None
    if not isinstance(header, dict) or not {"suite", "frames", "cases", "sha256"} <= header.keys():
        raise UserError(f"{path}:1: damaged suite file: the first line must be the suite's header")
    _check_name(header["suite"], f"{path}:1: suite")  # stands in for the split of a case that has none
    cases = []
    for number, record in enumerate(records[1:], 2):
        where = f"{path}:{number}"
        cases.append(check_case(case_from_json(record, where), where, header["frames"]))
    ids = [case.id for case in cases]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise UserError(f"{path}: the id {twice[0]!r} is used twice; ids must be unique")
    suite = Suite(header["suite"], header["frames"], tuple(cases), header.get("description", ""))
    if len(cases) != header["cases"] or suite.sha256 != header["sha256"]:
        raise UserError(
            f"{path}: damaged suite file: {len(cases)} cases with checksum {suite.sha256[:12]}, the header says "
            f"{header['cases']} with {str(header['sha256'])[:12]}; restore it, or remake it: `ivgbench suites make`"
        )
    return suite
