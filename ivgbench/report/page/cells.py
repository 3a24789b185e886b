"""The cells of a table as a page has them: what to sort by, and where an interval lies in its column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ivgbench.metrics.catalogue import Metric
from ivgbench.report.layout import Block, Cell

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Whisker(NamedTuple):
    """An interval on the column's range, in percent of its width."""

    low: float
    value: float
    high: float


class Shown(NamedTuple):
    """A cell; value: its number as printed, "" where it has none."""

    cell: Cell
    value: str
    whisker: Whisker | None


def shown(block: Block) -> list[list[Shown]]:
    """The rows of a block. Intervals of one column are drawn on one scale."""
    columns = [_column([row[at] for row in block.rows], at < block.lead) for at in range(len(block.header))]
    return [[column[row] for column in columns] for row in range(len(block.rows))]


def what(head: str, metrics: Sequence[Metric]) -> str:
    """What a column is, in one line, by its heading; "" where no metric is in it.

    The encoder may stand after the metric's name: "FID clip ↓".
    """
    name = head.rstrip(" ↑↓")
    found = [one for one in metrics if one.title and f"{name} ".startswith(f"{one.head} ")]
    return max(found, key=lambda one: len(one.head)).what if found else ""


def _column(cells: list[Cell], text: bool) -> list[Shown]:
    values = ["" if text else (found[0] if (found := _NUMBER.match(cell.text)) else "") for cell in cells]
    ends = [[float(end) for end in cell.interval] for cell in cells if cell.interval]
    numbers = [float(value) for cell, value in zip(cells, values, strict=True) if cell.interval and value]
    numbers += [end for pair in ends for end in pair]
    low, span = (min(numbers), max(numbers) - min(numbers)) if numbers else (0.0, 0.0)

    def place(value: str) -> float:
        return round((float(value) - low) / span * 100, 1) if span else 50.0

    return [
        Shown(cell, value, Whisker(*map(place, (cell.interval[0], value, cell.interval[1]))))
        if cell.interval and value
        else Shown(cell, value, None)
        for cell, value in zip(cells, values, strict=True)
    ]
