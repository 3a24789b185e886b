"""Peekaboo's released tracks of real videos as suites: LaSOT, DAVIS-16 and Something-Something v2 (ssv2).

All are JSON lists of records with id, caption, subject and bboxes, fractions of the frame. They differ in the order of
a box's numbers and in length; where nothing was found, LaSOT and ssv2 have a box without area. `imports` says how they
are brought into a suite's form. Its report names every record that was changed or rejected.

DAVIS and ssv2 are read with x first, as the release's README says and its own evaluation does. Read so, many of their
people come out wider than tall: the rows may stand first, as they do in imc_inputs.json. `order` reads them that way.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ivgbench.cases import Case, Subject, Suite
from ivgbench.errors import UserError
from ivgbench.suites.imports import Import, Rejected, check_order, mend
from ivgbench.suites.records import read as read_records
from ivgbench.suites.records import text_of

#: Set -> the order of a box's numbers.
ORDERS = {"lasot": "x0,x1,y0,y1", "davis": "x0,y0,x1,y1", "ssv2": "x0,y0,x1,y1"}
ABOUT = {"lasot": "LaSOT", "davis": "DAVIS-16", "ssv2": "Something-Something v2"}


def read(kind: str, file: Path, frames: int, name: str | None = None, order: str | None = None) -> tuple[Suite, Import]:
    """The suite of a released file, and the report of what was changed or rejected.

    Args:
        kind: lasot, davis or ssv2. frames: of the suite's clips. name: the suite's, by default the kind.
        order: of a box's numbers, if not that of `ORDERS`.
    Raises:
        UserError: not such a file, or no record of it can be used.
    """
    order = check_order(order or ORDERS[kind])
    made = Import()
    for where, record in read_records(file)[1]:
        made.records += 1
        case = ""
        try:
            case = f"{kind}-{_id(record)}"
            track, changes = mend(_boxes(record), frames, order)
            prompt, phrase = (text_of(record.get(key, ""), key) for key in ("caption", "subject"))
            metadata = {"rule": kind, "order": order}
            made.take(where, Case(case, prompt, (Subject(phrase.lower(), track),), metadata), frames, changes)
        except (Rejected, UserError) as reason:
            made.reject(where, case, reason)
    about = f"{ABOUT[kind]} boxes released with Peekaboo, read as {order}, resampled to {frames} frames"
    return made.suite(name or kind, frames, about), made


def _id(record: Any) -> str:
    if not isinstance(record, dict):
        raise Rejected("it is no mapping with id, caption, subject and bboxes")
    found = record.get("id")
    if isinstance(found, bool) or not isinstance(found, int | str) or (isinstance(found, int) and abs(found) > 10**18):
        raise Rejected(f"id must be a text or a whole number, got {type(found).__name__}")
    return text_of(str(found), "id")


def _boxes(record: dict[str, Any]) -> list[list[float]]:
    """The boxes as numbers; what is none (null) becomes NaN."""
    found = record.get("bboxes")
    if not isinstance(found, list):
        raise Rejected(f"bboxes must be a list of boxes, got {type(found).__name__}")
    return [_box(box, frame) for frame, box in enumerate(found)]


def _box(box: Any, frame: int) -> list[float]:
    if box is None or box == []:
        return [math.nan] * 4
    if not isinstance(box, list) or len(box) != 4:
        raise Rejected(f"box of frame {frame} is not four numbers: {str(box)[:60]}")
    made = []
    for value in box:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise Rejected(f"box of frame {frame} is not four numbers: {str(box)[:60]}")
        try:
            made.append(math.nan if value is None else float(value))
        except OverflowError:
            made.append(math.inf)
    return made
