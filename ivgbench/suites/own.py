"""Suites from a user's own prompts and keyframes.

A CSV file has a row per keyframe; an empty prompt or subject is that of the case's row before, and any other column
travels along as metadata (`split` names the block of a table that the case stands in):

    case,prompt,subject,frame,x0,y0,x1,y1
    fox-1,A red fox crosses a snowy field,red fox,0,0.05,0.4,0.35,0.8
    fox-1,,,23,0.65,0.4,0.95,0.8

JSON and YAML are a list of cases, or a mapping of `frames`, `name`, `description` and `cases`; JSONL is a case a line.
A case's own `subject` and `keyframes` stand for a list of one subject:

    frames: 24
    cases:
    - case: fox-1
      prompt: A red fox crosses a snowy field
      subject: red fox
      keyframes: {0: [0.05, 0.4, 0.35, 0.8], 23: [0.65, 0.4, 0.95, 0.8]}
    - case: two
      prompt: A cat beside a dog
      subjects:
      - {subject: cat, keyframes: {0: [0.1, 0.3, 0.4, 0.8]}}
      - {subject: dog, keyframes: [{frame: 0, box: [0.6, 0.3, 0.9, 0.8]}]}

`boxes` in the place of `keyframes` is one box per frame. Boxes are x0, y0, x1, y1 as fractions of width and height, y
downwards. Between keyframes they move in a straight line; before the first and after the last they stand still.
`id` may be written for `case`, and `phrase` for `subject`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ivgbench import boxes
from ivgbench.cases import ID_PATTERN, Case, Subject, Suite, check_case
from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.suites.records import FORMATS, Record, number, read, text_of, whole

#: More frames than this are a slip of the hand.
MAX_FRAMES = 10_000
_CORNERS = ("x0", "y0", "x1", "y1")
_COLUMNS = ("case", "prompt", "subject", "frame", *_CORNERS)
_ALIASES = {"id": "case", "phrase": "subject"}
_FIELDS = {
    "file": ("frames", "name", "description"),
    "case": ("case", "prompt", "subject", "keyframes", "boxes", "subjects", "split", "metadata"),
    "subject": ("subject", "keyframes", "boxes"),
    "keyframe": ("frame", "box"),
}


def make(file: Path, name: str | None = None, frames: int | None = None) -> Suite:
    """The suite of a file of prompts and keyframes (formats: see above).

    Args:
        name: the suite's; by default the file's `name`, or what the file is called.
        frames: of a clip; by default the file's `frames`, or one more than its last keyframe.
    Raises:
        UserError: with file, line or record, field, and what to change.
    """
    file = Path(file)
    about, records = read(file)
    _known(about, "file", f"{file}")
    if not records:
        raise UserError(f"{file}: there is no case in it")
    if FORMATS[file.suffix.lower()] == "csv":
        records = _cases_of_rows(records)
    tracks = [_case(record) for record in records]
    name = check_name(name if name is not None else text_of(about.get("name", file.stem), f"{file}: name"), f"{file}")
    frames = _frames(frames, about, tracks, f"{file}")
    description = text_of(about.get("description", f"made from {file.name}"), f"{file}: description")
    return Suite(name, frames, _cases(tracks, frames), description)


def _cases(tracks: list[Any], frames: int) -> tuple[Case, ...]:
    """The cases of what `_case` gives."""
    cases: dict[str, Case] = {}
    for where, case, subjects in tracks:
        made = tuple(Subject(phrase, _track(keys, frames, f"{where}: {phrase!r}")) for phrase, keys in subjects)
        case = check_case(Case(case.id, case.prompt, made, case.metadata), where, frames)
        if case.id in cases:
            raise UserError(f"{where}: the case {case.id!r} stands twice; give one of them another name")
        cases[case.id] = case
    return tuple(cases.values())


def check_name(name: str, where: str) -> str:
    """A suite's name, which becomes a file's; UserError when it cannot."""
    if not ID_PATTERN.fullmatch(name) or ".." in name:
        raise UserError(f"{where}: a suite cannot be called {name!r}: letters, digits, '.', '_', '-' only; give --name")
    return name


def _frames(frames: int | None, about: Mapping[str, Any], tracks: list[Any], where: str) -> int:
    """Frames of a clip: as asked, as the file says, or one more than the last keyframe."""
    if frames is None and "frames" in about:
        frames = whole(about["frames"], f"{where}: frames")
    if frames is None:
        frames = 1 + max(max(keys) for _, _, subjects in tracks for _, keys in subjects)
    if not 1 <= frames <= MAX_FRAMES:
        raise UserError(f"{where}: a clip has 1 to {MAX_FRAMES} frames, not {frames}; check the keyframes, or --frames")
    return frames


def _track(keys: Mapping[int, list[float]], frames: int, where: str) -> np.ndarray:
    if max(keys) >= frames:
        raise UserError(
            f"{where}: keyframe {max(keys)} is beyond the clip's frames 0 to {frames - 1}; change it, or --frames"
        )
    return np.round(boxes.interpolate(keys, frames), 6)


# ---- one case


def _case(record: Record) -> tuple[str, Case, list[tuple[str, dict[int, list[float]]]]]:
    """(where, the case without boxes, its subjects' phrases and keyframes)."""
    if not isinstance(record.value, dict):
        raise UserError(f"{record.where}: a case is a mapping with case, prompt, subject and keyframes")
    value = {_ALIASES.get(key, key): item for key, item in record.value.items()}
    if "case" not in value:
        raise UserError(f"{record.where}: field 'case' is missing: a name for the case, such as fox-1")
    name = value["case"]
    name = str(name) if isinstance(name, int) and not isinstance(name, bool) else name
    name = text_of(name, f"{record.where}: field 'case'")
    where = f"{record.where}, case {name}"
    _known(value, "case", where)
    prompt = text_of(value.get("prompt", ""), f"{where}: field 'prompt'")
    metadata = value.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise UserError(f"{where}: field 'metadata' must be a mapping")
    if "split" in value:
        metadata = {**metadata, "split": text_of(value["split"], f"{where}: field 'split'")}
    try:
        metadata = json.loads(canonical_json(metadata).encode())  # as it will be read again
    except (TypeError, ValueError) as fault:
        raise UserError(f"{where}: field 'metadata' must be plain texts and finite numbers: {fault}") from None
    subjects = value.get("subjects")
    if subjects is None:
        subjects = [{key: item for key, item in value.items() if key in _FIELDS["subject"]}]
    elif not isinstance(subjects, list) or not subjects or {"subject", "keyframes", "boxes"} & value.keys():
        raise UserError(f"{where}: give 'subjects' as a list, or 'subject' with 'keyframes'")
    return where, Case(name, prompt, (), metadata), [_subject(one, where) for one in subjects]


def _subject(value: Any, where: str) -> tuple[str, dict[int, list[float]]]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: a subject is a mapping with subject and keyframes")
    value = {_ALIASES.get(key, key): item for key, item in value.items()}
    _known(value, "subject", where)
    phrase = text_of(value.get("subject", ""), f"{where}: field 'subject'")
    where = f"{where}, subject {phrase!r}"
    if ("keyframes" in value) == ("boxes" in value):
        raise UserError(f"{where}: give either 'keyframes' or 'boxes'")
    if "boxes" in value:
        if not isinstance(value["boxes"], list):
            raise UserError(f"{where}: 'boxes' must be a list with a box for every frame")
        pairs: Iterable[tuple[Any, Any]] = enumerate(value["boxes"])
    else:
        pairs = _pairs(value["keyframes"], where)
    keys: dict[int, list[float]] = {}
    for frame, box in pairs:
        frame = whole(frame, f"{where}: a keyframe's frame")
        if frame in keys:
            raise UserError(f"{where}: frame {frame} has a box already")
        keys[frame] = _box(box, f"{where}, frame {frame}")
    if not keys:
        raise UserError(f"{where}: no box; give at least one keyframe")
    return phrase, keys


def _pairs(keyframes: Any, where: str) -> list[tuple[Any, Any]]:
    if isinstance(keyframes, dict):
        return list(keyframes.items())
    if not isinstance(keyframes, list):
        raise UserError(f"{where}: 'keyframes' must be a mapping of frame: box, or a list of frame and box")
    pairs = []
    for one in keyframes:
        if not isinstance(one, dict):
            raise UserError(f"{where}: a keyframe is written {{frame: 0, box: [x0, y0, x1, y1]}}, got {one!r}")
        _known(one, "keyframe", where)
        if missing := [key for key in _FIELDS["keyframe"] if key not in one]:
            raise UserError(f"{where}: a keyframe has no {missing[0]!r}")
        pairs.append((one["frame"], one["box"]))
    return pairs


def _box(value: Any, where: str) -> list[float]:
    """Four fractions; UserError names what is wrong, and how to mend it."""
    if not isinstance(value, list) or len(value) != 4:
        raise UserError(f"{where}: a box is four numbers x0, y0, x1, y1, got {value!r}")
    x0, y0, x1, y1 = box = [number(one, f"{where}: {name}") for one, name in zip(value, _CORNERS, strict=True)]
    spelled = ", ".join(f"{one:g}" for one in box)
    if max(box) > 1 or min(box) < 0:
        raise UserError(
            f"{where}: the box [{spelled}] is not within 0 to 1; write fractions: divide pixels by the frame's width "
            f"(x) and height (y), percent by 100, and cut what lies outside"
        )
    if x1 <= x0 or y1 <= y0:
        raise UserError(f"{where}: the box [{spelled}] is empty; x0 < x1 and y0 < y1, the upper left corner first")
    return box


def _known(value: Mapping[Any, Any], what: str, where: str) -> None:
    for key in value:
        if key not in _FIELDS[what]:
            near = difflib.get_close_matches(str(key), _FIELDS[what], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_FIELDS[what])}"
            raise UserError(f"{where}: unknown field {key!r}; {hint}")


# ---- rows


def _cases_of_rows(rows: list[Record]) -> list[Record]:
    """Rows of keyframes, brought together by case: the records that JSON would have."""
    rows = [Record(row.where, {_ALIASES.get(key, key): item for key, item in row.value.items()}) for row in rows]
    if missing := [name for name in _COLUMNS if name not in rows[0].value]:
        near = difflib.get_close_matches(missing[0], rows[0].value, n=1)
        hint = f" (is it {near[0]!r}?)" if near else ""
        raise UserError(f"{rows[0].where}: the first row names no column {missing[0]!r}{hint}: {','.join(_COLUMNS)}")
    cases: dict[str, Record] = {}
    for where, row in rows:
        if not row["case"]:
            raise UserError(f"{where}: field 'case' is empty: which case is this keyframe of?")
        begun = {"case": row["case"], "subjects": [], "metadata": {}}
        first, case = cases.setdefault(row["case"], Record(where, begun))
        extra = {key: item for key, item in row.items() if key and key not in _COLUMNS and item}
        for fields, told in ((case, {"prompt": row["prompt"]} if row["prompt"] else {}), (case["metadata"], extra)):
            for key, item in told.items():
                if fields.setdefault(key, item) != item:
                    raise UserError(f"{where}: case {row['case']!r} has another {key} here than in {first}")
        subjects = case["subjects"]
        if not row["subject"] and not subjects:
            raise UserError(f"{where}: field 'subject' is empty: which words of the prompt are to be placed?")
        if row["subject"] and row["subject"] not in [one["subject"] for one in subjects]:
            subjects.append({"subject": row["subject"], "keyframes": []})
        phrase = row["subject"] or case["last"]
        case["last"] = phrase
        mine = next(one for one in subjects if one["subject"] == phrase)
        frame = whole(row["frame"], f"{where}: field 'frame'")
        if frame in [one["frame"] for one in mine["keyframes"]]:
            raise UserError(f"{where}: case {row['case']!r}: frame {frame} of {phrase!r} has a box already")
        box = _box([number(row[name], f"{where}: field {name!r}") for name in _CORNERS], where)
        mine["keyframes"].append({"frame": frame, "box": box})
    for _, case in cases.values():
        del case["last"]
    return list(cases.values())
