"""Cost against quality as a small drawing: NFE of each row against its mIoU all, with the interval."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ivgbench.report.leaderboard.board import FIRST, Line

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 20, 40
#: Pixels between dots of one NFE, which stand side by side.
APART = 13


class Dot(NamedTuple):
    """A row, in pixels. low, high: ends of its interval."""

    number: int
    name: str
    told: str
    x: float
    y: float
    low: float
    high: float


class Plot(NamedTuple):
    """What the page draws. ticks: (place in pixels, text). left_out: rows whose cost nobody knows."""

    dots: tuple[Dot, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    left_out: int


def plot(lines: Sequence[Line]) -> Plot:
    """Of the ranked lines of a scope."""
    ranked = [line for line in lines if line.ranks]
    known = [line for line in ranked if line.costs["nfe"].sort and line.cells[FIRST].sort]
    costs, ends = [line.costs["nfe"].value for line in known], [_ends(line) for line in known]
    across = _ticks(min(costs, default=0), max(costs, default=1))
    up = _ticks(min(0, *(low for low, _ in ends), 0), max((high for _, high in ends), default=1))
    x, y = _scale(across, LEFT + 24, WIDTH - RIGHT - 24), _scale(up, HEIGHT - BOTTOM, TOP)
    beside: dict[float, list[Line]] = defaultdict(list)
    for line in sorted(known, key=lambda line: line.number):
        beside[round(line.costs["nfe"].value, 1)].append(line)
    dots = []
    for cost, group in beside.items():
        # They stay inside the frame, however many they are.
        gap = min(APART, (WIDTH - LEFT - RIGHT) / len(group))
        middle = min(max(x(cost), LEFT + gap * len(group) / 2), WIDTH - RIGHT - gap * len(group) / 2)
        for at, line in enumerate(group):
            low, high = _ends(line)
            told = f"NFE {line.costs['nfe'].text}, mIoU all {line.cells[FIRST].text} %"
            place = round(middle + gap * (at - (len(group) - 1) / 2), 1)
            middle_, bottom, top = (round(y(value), 1) for value in (line.cells[FIRST].value, low, high))
            dots.append(Dot(line.number, line.row.name, told, place, middle_, bottom, top))
    below, beside_it = (
        tuple((round(scale(value), 1), f"{value:g}") for value in values) for scale, values in ((x, across), (y, up))
    )
    return Plot(tuple(dots), below, beside_it, len(ranked) - len(known))


def _ends(line: Line) -> tuple[float, float]:
    cell = line.cells[FIRST]
    return (float(cell.ends[0]), float(cell.ends[1])) if cell.ends else (cell.value, cell.value)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that hold a range between them."""
    if high <= low:
        low, high = low - 1, high + 1
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * at, 10) for at in range(first, last + 1)]


def _scale(ticks: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = ticks[0], ticks[-1]
    return lambda value: start + (value - low) / (high - low) * (end - start)
