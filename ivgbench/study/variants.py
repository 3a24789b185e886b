"""Rows of one run under several settings and readings of a formula, told apart by their labels.

`mask-norm@paper+multiplicative` is the row `mask-norm` at the settings called `paper`, with masks that multiply;
`peekaboo@paper` is the same in every reading, and `plain` in every variant. So a row that a variant does not change
stands in the run once, and its clips are made once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ivgbench.errors import UserError
from ivgbench.runs.planning import Plan

#: How a masked method reads softmax((QK^T/sqrt(d)) o M) V: values of its option `mask`.
READINGS = ("additive", "multiplicative")


class Variant(NamedTuple):
    """One column of a study; empty where the run does not vary it."""

    settings: str = ""
    reading: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, self))

    def __bool__(self) -> bool:
        return any(self)

    @property
    def folder(self) -> str:
        """Where its figures go, below the run's."""
        return "-".join(filter(None, self))

    def has(self, one: Variant) -> bool:
        """Whether something of the variant `one`, whose empty fields leave it open, belongs here."""
        return all(not asked or asked == mine for asked, mine in zip(one, self, strict=True))


#: Of a run that varies neither.
ALL = Variant()


def split(label: str) -> tuple[str, Variant]:
    """A label's row, and what it is bound to.

    Raises:
        UserError: more than settings and a reading follow the "@", or nothing does.
    """
    row, at, rest = label.partition("@")
    words = rest.split("+") if at else []
    reading = words[-1] if words and words[-1] in READINGS else ""
    settings = words[: len(words) - bool(reading)]
    if not row or len(settings) > 1 or "" in words:
        near = difflib.get_close_matches(words[-1], READINGS, n=1) if words else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"label {label!r}: write ROW, ROW@SETTINGS, ROW@READING or ROW@SETTINGS+READING, with a reading of "
            f"{', '.join(READINGS)}{hint}"
        )
    return row, Variant(settings[0] if settings else "", reading)


def of_labels(labels: Iterable[str]) -> list[Variant]:
    """Every settings with every reading that labels name, in their order; one empty variant where they name none."""
    bound = [ALL, *(split(label)[1] for label in labels)]
    settings, readings = ([*dict.fromkeys(filter(None, words))] or [""] for words in zip(*bound, strict=True))
    return [Variant(one, reading) for one in settings for reading in readings]


def rows(labels: Iterable[str], variant: Variant) -> dict[str, str]:
    """The rows of a variant: label -> row.

    Raises:
        UserError: two labels are the same row of it.
    """
    found: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        row, bound = split(label)
        if not variant.has(bound):
            continue
        if row in found.values():
            other = next(one for one, name in found.items() if name == row)
            raise UserError(f"rows {other!r} and {label!r} are both {row!r} of {variant or 'this run'}; drop one")
        found[label] = row
    return found


def view(plan: Plan, variant: Variant) -> Plan:
    """The plan of a variant alone, its rows called as they are without it."""
    names = rows((entry.label for entry in plan.entries), variant)
    entries = (replace(entry, label=names[entry.label]) for entry in plan.entries if entry.label in names)
    return plan._replace(entries=tuple(entries))
