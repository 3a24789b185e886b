"""Which numbers of a table are marked as best and second best."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ivgbench.report import paper

#: Rows that are no method: they are not ranked.
REFERENCES = (paper.GROUND_TRUTH, paper.FLOOR)


def ranks(frame: pd.DataFrame, key: str, better: int, by: Sequence[str] = ("split",)) -> pd.Series:
    """1 for the best and 2 for the second best method of each split, 0 otherwise; reference rows have no rank.

    Equal values share a rank. Nothing is marked in a split with fewer than two methods.

    Args:
        key: the column. better: +1 if higher is better, -1 if lower is. by: columns that tell apart what is ranked.
    """
    marks = pd.Series(0, index=frame.index)
    rivals = frame[~frame["method"].isin(REFERENCES) & frame[key].notna()]
    for _, group in rivals.groupby(list(by)):
        if len(group) > 1:
            place = (-better * group[key]).rank(method="dense")
            marks[place.index] = place.where(place <= 2, 0).astype(int)
    return marks
