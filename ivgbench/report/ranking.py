"""Which numbers of a table are marked as best and second best: in every output the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ivgbench.report import paper

Rows = Sequence[Mapping[str, Any]]

#: Rows that are no method: they are not ranked.
REFERENCES = (paper.GROUND_TRUTH, paper.FLOOR)
#: As many rows that share a mark say nothing; so do more than half of all that are ranked.
CROWD = 3
#: Below this many videos the biased values (FID, JEDi, KID over frames) say more about the number than the method.
MIN_VIDEOS = 100
#: What a note says of the rule.
RULE = (
    f"Best and second best are marked, as printed; a mark that {CROWD} rows or more, or more than half of them, would "
    "share is left out, and the second with the best."
)


def places(values: Sequence[float], better: int, decimals: int) -> list[int]:
    """1 for the best and 2 for the second best of some defined numbers as they are printed, 0 otherwise.

    Numbers that are equal in print share a place. Nothing is marked among fewer than two, nor where a crowd shares the
    best place; where it shares the second, only the best is.

    Args:
        better: +1 if higher is better, -1 if lower is. decimals: printed ones.
    """
    printed = [float(f"{value:.{decimals}f}") for value in values]
    counts, found = Counter(printed), dict.fromkeys(printed, 0)
    if len(printed) > 1:
        for place, value in enumerate(sorted(counts, reverse=better > 0)[:2], start=1):
            if counts[value] >= CROWD or 2 * counts[value] > len(printed):
                break
            found[value] = place
    return [found[value] for value in printed]


def ranks(rows: Rows, key: str, better: int, decimals: int, by: Sequence[str] = ("split",)) -> list[int]:
    """The `places` of a column's methods within each split, a number for each row; 0 for rows that are not ranked.

    Args:
        key: the column. better: 0 where no side is, and nothing is marked. by: columns that tell apart what is ranked.
    """
    marks: list[int] = [0] * len(rows)
    rivals: dict[tuple, list[int]] = {}
    for at, row in enumerate(rows):
        if better and row["method"] not in REFERENCES and not math.isnan(row.get(key, math.nan)):
            rivals.setdefault(tuple(row[name] for name in by), []).append(at)
    for group in rivals.values():
        for at, place in zip(group, places([rows[at][key] for at in group], better, decimals), strict=True):
            marks[at] = place
    return marks


def few_videos(rows: Rows) -> dict[str, int]:
    """Of Table 2, "method" and "reference" with their number of videos where it is below `MIN_VIDEOS`: no row is best.

    A reference of statistics has no videos to count.
    """
    counts = {
        "method": [row["n_videos"] for row in rows if row["method"] not in REFERENCES],
        "reference": [row["reference_videos"] for row in rows],
    }
    least = {whose: min((one for one in of if one == one), default=MIN_VIDEOS) for whose, of in counts.items()}
    return {whose: int(count) for whose, count in least.items() if count < MIN_VIDEOS}
