"""How many pairs stand as in the paper's Table 1, on made-up rows."""

import numpy as np
import pytest

from ivgbench.report import paper
from ivgbench.study import agreement
from ivgbench.study.claims import Claim, Judged, Sample
from ivgbench.study.variants import ALL, Variant

ADDED, MULTIPLIED = Variant("paper", "additive"), Variant("paper", "multiplicative")


def sample(values, spread=1e-3):
    """Rows with a given error of their own."""
    rng = np.random.default_rng(0)
    draws = {row: value + spread * rng.normal(size=1000) for row, value in values.items()}
    return Sample(values, draws, 20)


def printed(column, split, sign=1):
    return {row: sign * float(getattr(line, column)) for (where, row), line in paper.TABLE1.items() if where == split}


def every(sign=1, spread=1e-3):
    return {
        (metric, split): sample(printed(column, split, sign), spread)
        for column, metric in agreement.COLUMNS.items()
        for split in ("static", "dynamic")
    }


def test_the_papers_own_numbers_agree_with_all_pairs_but_ties():
    found = agreement.orders({ALL: every()})[ALL]
    # 10 pairs of 5 rows, 3 columns, 2 splits; static coverage of Mask Norm and Mask Norm + ID is 38 twice.
    assert agreement.count(found, 0.05) == (59, 59, 59, 0)
    assert agreement.count(found, 0.05, "coverage") == (19, 19, 19, 0)
    assert agreement.count(agreement.orders({ALL: every(-1)})[ALL], 0.05) == (59, 0, 0, 59)


def test_what_may_be_chance_agrees_but_is_not_sure():
    found = agreement.orders({ALL: every(spread=1e6)})[ALL]
    assert agreement.count(found, 0.05) == (59, 59, 0, 0)


def test_the_correction_runs_over_the_pairs_of_all_variants():
    rows = {("miou_all", "static"): sample({"peekaboo": 2.0, "trailblazer": 0.0}, 1.0)}
    alone, both = agreement.orders({ADDED: rows}), agreement.orders({ADDED: rows, MULTIPLIED: rows})
    assert [len(mine) for mine in both.values()] == [1, 1]  # only rows and columns that are there
    assert both[ADDED][0].p == pytest.approx(2 * alone[ADDED][0].p)
    assert alone[ADDED][0][:4] == ("miou", "static", ("peekaboo", "trailblazer"), True)


@pytest.mark.parametrize(
    ("holds", "signs", "told"),
    [
        ((1, 2), (-1, 1), "the multiplicative reading agrees with more claims (2 against 1 of 2), and the "
                          "multiplicative reading agrees with more ordered pairs (59 against 0 of 59)."),
        ((1, 1), (1, -1), "the readings agree with equally many claims (1 against 1 of 2), and the additive reading "
                          "agrees with more ordered pairs (59 against 0 of 59)."),
    ],
)  # fmt: skip
def test_which_reading_agrees_with_more(holds, signs, told):
    claim = Claim("x", "t", "", "miou_all", "a", ("b",), "higher")
    judged = {
        one: [Judged(claim, "holds" if k < count else "fails", 0.01, ()) for k in range(2)]
        for one, count in zip((ADDED, MULTIPLIED), holds, strict=True)
    }
    orders = agreement.orders(dict(zip((ADDED, MULTIPLIED), map(every, signs), strict=True)))
    assert agreement.verdict(judged, orders, 0.05) == f"At the settings `paper` {told}"
    assert agreement.verdict({ADDED: judged[ADDED]}, orders, 0.05) == ""
