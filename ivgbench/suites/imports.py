"""What every importer of released boxes shares: tracks brought into a suite's form, and a report of what that took.

The rules, in this order, for a record's track of L boxes and a suite of F frames:

1. The four numbers are put in the order x0, y0, x1, y1 (*reordered*).
2. A box that reaches over the edge of the frame is cut there (*clipped*).
3. A frame whose box has no area then, or is not finite, has no box (*dropped*). Its box is interpolated linearly
   between the neighbours that have one, and held at both ends; where fewer than two have, the record is *rejected*.
4. If L is not F, the track is *resampled* linearly in time, both ends kept: frame k lies at k (L - 1) / (F - 1).

A record is also *rejected*, with its reason, when it is no such record, a box is turned inside out or far outside (its
numbers mean something else then), or its case is none (the subject's words are not in the prompt, an id stands twice).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ivgbench import boxes
from ivgbench.cases import Case, Suite, check_case
from ivgbench.errors import UserError
from ivgbench.files import write_text
from ivgbench.texts import spreadsheet

#: A box that reaches further out than a frame's width or height is not in fractions.
FURTHEST = 1.0
_KINDS = ("reordered", "clipped", "dropped", "cut", "resampled", "rejected")


_ORDER = ["x0", "y0", "x1", "y1"]


class Rejected(Exception):
    """Why a record becomes no case."""


class Note(NamedTuple):
    """A change of a record, or why it was rejected. frames: how many of its frames it concerns, 0 for all or none."""

    record: str
    case: str
    what: str
    frames: int
    detail: str


@dataclass
class Import:
    """Cases as they are made, and notes of what was changed or rejected. records: how many were read."""

    records: int = 0
    cases: dict[str, Case] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def take(self, record: str, case: Case, frames: int, changes: Iterable[tuple[str, int, str]]) -> None:
        """Adds a case with what was changed for it. Raises Rejected when it is none, or its id is taken."""
        if case.id in self.cases:
            raise Rejected(f"the id {case.id!r} stands twice; the first one is kept")
        try:
            self.cases[case.id] = check_case(case, record, frames)
        except UserError as fault:
            raise Rejected(str(fault).removeprefix(f"{record}: ").removeprefix(f"case {case.id}: ")) from None
        self.notes += [Note(record, case.id, *change) for change in changes]

    def reject(self, record: str, case: str, reason: Any) -> None:
        self.notes.append(Note(record, case, "rejected", 0, " ".join(str(reason).split())))

    def suite(self, name: str, frames: int, description: str) -> Suite:
        """The cases as a suite. UserError when there is none."""
        if not self.cases:
            first = f"; first: {self.rejected[0].record}: {self.rejected[0].detail}" if self.rejected else ""
            raise UserError(f"no case could be made of {self.records} records{first}")
        return Suite(name, frames, tuple(self.cases.values()), description)

    @property
    def rejected(self) -> list[Note]:
        return [note for note in self.notes if note.what == "rejected"]

    def counts(self) -> str:
        """On one line: records, cases, and how many records (and frames) each kind of change concerns."""
        parts = [f"{self.records} records, {len(self.cases)} cases"]
        for kind in _KINDS:
            mine = [note for note in self.notes if note.what == kind]
            frames = sum(note.frames for note in mine)
            parts.append(f"{kind} {len({note.record for note in mine})}{f' ({frames} frames)' if frames else ''}")
        return ", ".join(parts)

    def write(self, path: Path) -> None:
        """The report as CSV: a row per change and rejection, in the order of the records."""
        made = io.StringIO()
        writer = csv.writer(made, lineterminator="\n")
        writer.writerow(Note._fields)
        writer.writerows([spreadsheet(one) if isinstance(one, str) else one for one in note] for note in self.notes)
        write_text(path, made.getvalue().encode("utf-8", "backslashreplace").decode())


def check_order(order: str) -> str:
    """An order of a box's numbers, spelled with commas only; UserError when it is none."""
    names = [name.strip() for name in order.split(",")]
    if sorted(names) != sorted(_ORDER):
        raise UserError(f"order {order!r}: write x0, y0, x1 and y1 as the file has them, such as x0,x1,y0,y1")
    return ",".join(names)


def mend(
    track: list[list[float]], frames: int, order: str = "x0,y0,x1,y1"
) -> tuple[np.ndarray, list[tuple[str, int, str]]]:
    """A track [L,4] as [F,4] by the rules above, and what that changed: (what, number of frames, detail).

    Raises:
        Rejected: it cannot be brought into that form.
    """
    if not track:
        raise Rejected("it has no boxes")
    changes: list[tuple[str, int, str]] = []
    names = check_order(order).split(",")
    made = np.array(track, dtype=np.float64)[:, [names.index(name) for name in _ORDER]]
    if names != _ORDER:
        changes.append(("reordered", len(made), f"from {order}"))
    finite = np.asarray(np.isfinite(made).all(1))
    for frame, box in enumerate(made):
        if finite[frame] and (box.min() < -FURTHEST or box.max() > 1 + FURTHEST):
            raise Rejected(f"box of frame {frame} is not in fractions of the frame: {_spell(box)}")
        if finite[frame] and (box[2] < box[0] or box[3] < box[1]):
            raise Rejected(f"box of frame {frame} is turned inside out, or in another order: {_spell(box)}")
    clipped = np.clip(made, 0, 1)
    outside = np.flatnonzero(finite & (clipped != made).any(1))
    there = finite & (boxes.area(np.where(finite[:, None], clipped, 0)) > 0)
    if cut := [int(frame) for frame in outside if there[frame]]:
        changes.append(("clipped", len(cut), f"frames {_ranges(cut)}"))
    absent = [int(frame) for frame in np.flatnonzero(~there)]
    if len(made) - len(absent) < min(2, len(made)):
        raise Rejected(f"{len(made) - len(absent)} of its {len(made)} boxes have an area; a track needs two")
    if absent:
        changes.append(("dropped", len(absent), f"no box in frames {_ranges(absent)}: interpolated"))
        steps, at = np.arange(len(made)), np.flatnonzero(there)
        clipped = np.stack([np.interp(steps, at, clipped[at, axis]) for axis in range(4)], axis=1)
    if len(clipped) != frames:
        changes.append(("resampled", 0, f"{len(clipped)} to {frames} frames"))
        clipped = boxes.resample(clipped, frames)
    return np.round(clipped, 6), changes


def _spell(box: np.ndarray) -> str:
    return f"[{', '.join(f'{value:g}' for value in box)}]"


def _ranges(frames: list[int]) -> str:
    """0-3, 7, 9-10."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
