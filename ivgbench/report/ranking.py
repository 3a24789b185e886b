"""Which numbers of a table are marked as best and second best: in every output the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from ivgbench.report import paper

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


def ranks(frame: pd.DataFrame, key: str, better: int, decimals: int, by: Sequence[str] = ("split",)) -> pd.Series:
    """The `places` of a column's methods within each split, by the frame's index; 0 for rows that are not ranked.

    Args:
        key: the column. better: 0 where no side is, and nothing is marked. by: columns that tell apart what is ranked.
    """
    marks = pd.Series(0, index=frame.index)
    if not better:
        return marks
    rivals = frame[~frame["method"].isin(REFERENCES) & frame[key].notna()]
    for _, group in rivals.groupby(list(by)):
        marks[group.index] = places(group[key].tolist(), better, decimals)
    return marks


def few_videos(frame: pd.DataFrame) -> dict[str, int]:
    """Of Table 2, "method" and "reference" with their number of videos where it is below `MIN_VIDEOS`: no row is best.

    A reference of statistics has no videos to count.
    """
    rivals = frame[~frame["method"].isin(REFERENCES)]
    columns = {"method": rivals["n_videos"], "reference": frame["reference_videos"]}
    least = {whose: min(column.dropna().tolist(), default=MIN_VIDEOS) for whose, column in columns.items()}
    return {whose: int(count) for whose, count in least.items() if count < MIN_VIDEOS}
