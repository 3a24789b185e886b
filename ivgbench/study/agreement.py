"""Which variant of a run agrees with the paper: its claims counted, and the order of the rows of its Table 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ivgbench.metrics import stats
from ivgbench.report import paper
from ivgbench.study.claims import Judged, Sample
from ivgbench.study.variants import Variant

#: Columns of the paper's Table 1 -> what is compared with them. Every clip counts in ours, found or not.
COLUMNS = {"clip_sim": "clip_sim", "coverage": "coverage", "miou": "miou_all"}
TITLES = {"clip_sim": "CLIP-SIM", "coverage": "coverage", "miou": "mIoU"}


class Order(NamedTuple):
    """Two rows on one split in a column of the paper's Table 1, and the same two here.

    agrees: whether they stand in the paper's order. p: two-sided, of their difference, corrected over all that are
    compared.
    """

    column: str
    split: str
    rows: tuple[str, str]
    agrees: bool
    p: float


class Count(NamedTuple):
    """Of `pairs` that the paper orders: how many agree, and how many agree and disagree for sure."""

    pairs: int
    agree: int
    sure: int
    sure_against: int


def orders(samples: Mapping[Variant, Mapping[tuple[str, str], Sample]]) -> dict[Variant, list[Order]]:
    """Every pair of rows that Table 1 orders and that a variant has, with Holm's correction over all variants' pairs.

    Args:
        samples: as `claims.judge_variants` takes them.
    """
    found = {variant: [*_pairs(here)] for variant, here in samples.items()}
    every = np.array([one.p for mine in found.values() for one in mine])
    corrected = iter(stats.holm(every))
    return {variant: [one._replace(p=float(next(corrected))) for one in mine] for variant, mine in found.items()}


def _pairs(samples: Mapping[tuple[str, str], Sample]) -> Iterator[Order]:
    for column, metric in COLUMNS.items():
        for split in dict.fromkeys(split for split, _ in paper.TABLE1):
            sample = samples.get((metric, split))
            printed = {row: getattr(line, column) for (where, row), line in paper.TABLE1.items() if where == split}
            for a, b in combinations(printed, 2):
                claimed = np.sign(printed[a] - printed[b])
                if sample is None or claimed == 0 or not {a, b} <= sample.values.keys():
                    continue
                value, error = sample.difference(a, b)
                p = min(1.0, 2 * min(stats.tails(value, error, sample.cases, 0.0)))
                yield Order(column, split, (a, b), bool(np.sign(value) == claimed), p)


def count(found: Sequence[Order], level: float, column: str | None = None) -> Count:
    """The pairs of a column, or of all."""
    mine = [one for one in found if column in (None, one.column)]
    sure = [one.agrees for one in mine if one.p <= level]
    return Count(len(mine), sum(one.agrees for one in mine), sum(sure), len(sure) - sum(sure))


def verdict(judged: Mapping[Variant, Sequence[Judged]], found: Mapping[Variant, Sequence[Order]], level: float) -> str:
    """In a sentence for each settings, which reading agrees with more; "" where there is only one."""
    told = []
    for settings in dict.fromkeys(variant.settings for variant in judged):
        mine = [variant for variant in judged if variant.settings == settings]
        if len(mine) < 2:
            continue
        where = f"At the settings `{settings}`" if settings else "Here"
        holds = {one.reading: sum(claim.verdict == "holds" for claim in judged[one]) for one in mine}
        parts = [_more(holds, "claims", len(judged[mine[0]]))]
        if pairs := len(found.get(mine[0], ())):
            agree = {one.reading: count(found[one], level).agree for one in mine}
            parts.append(_more(agree, "ordered pairs", pairs))
        told.append(f"{where} {', and '.join(parts)}.")
    return " ".join(told)


def _more(counts: Mapping[str, int], what: str, of: int) -> str:
    """Who has more of something, and how much each has."""
    best = [name for name, value in counts.items() if value == max(counts.values())]
    numbers = " against ".join(str(value) for value in sorted(counts.values(), reverse=True))
    if len(best) > 1:
        return f"the readings agree with equally many {what} ({numbers} of {of})"
    return f"the {best[0]} reading agrees with more {what} ({numbers} of {of})"
