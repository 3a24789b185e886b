"""Claims put to the test: what is claimed is written down before the run, and code says what came of it.

A claim compares one row with rivals on some metrics' scale and splits. It holds if every difference is beyond the
margin in the claimed direction, fails if one is beyond it the other way, each after Holm's correction over all claims
of the file in all variants of its run; anything else is open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ivgbench.calibration import FAILS, NOT_APPLICABLE
from ivgbench.metrics import stats
from ivgbench.metrics.catalogue import COLUMN
from ivgbench.reading import ruled
from ivgbench.study.variants import ALL, Variant


class Metric(NamedTuple):
    """What a metric is in print, in full and in a word; decimals of its values."""

    title: str
    short: str
    decimals: int


def of_table(column: str, short: str, title: str = "") -> Metric:
    """A column of a table as claims call it. Differences have a decimal, even of what is printed without."""
    known = COLUMN[column]
    return Metric((title or short) + (f", {known.unit}" if known.unit else ""), short, max(known.decimals, 1))


#: Variances of the recorded tensors, in their order: the transformer's output, and its attentions' before projection.
VARIANCES = {"variance": "activation", "self_variance": "self-attention's", "text_variance": "text attention's"}
#: Metrics that a claim can be about. Variances are in percent of the unmasked model's on the same case and step.
METRICS: dict[str, Metric] = {
    "miou_all": of_table("miou_all", "mIoU", "mIoU over all clips"),
    "coverage": of_table("coverage", "coverage"),
    "clip_sim": of_table("clip_sim", "CLIP-SIM"),
    "fid": of_table("fid", "FID"),
    "kid": of_table("kid_xvideo", "KID", "KID (pairs of different videos)"),
}
for _name, _of in VARIANCES.items():
    METRICS |= {
        f"{_name}_masked": Metric(f"{_of} variance while masks are on, % of the baseline's", "variance", 2),
        f"{_name}_after": Metric(
            f"{_of} variance at the first step after the masks, % of the baseline's", "variance", 2
        ),
        f"{_name}_error": Metric(
            f"error of the {_of} variance while masks are on, % of the baseline's", "variance error", 2
        ),
    }


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _no_blank(values: Sequence[Any]) -> bool:
    return all(is_text(one) or not isinstance(one, str) for one in values)


def _filled(values: Sequence[Any]) -> bool:
    return bool(values) and _no_blank(values)


@dataclass(frozen=True)
class Claim:
    """One claim.

    text: in words; paper: what the paper prints for it. metric: one of `METRICS`. row: the label that it is about;
    than: labels, or numbers in the metric's unit: all of them must be beaten. splits: on each of which it must hold;
    for FID and KID, which take both splits together, the frame encoders. direction: whether the row is to be "higher"
    or "lower"; margin: by more than so much, in the metric's unit (negative: at most so much worse).
    rests_on: what of `benchmarks/calibration.toml` must be so on a backbone for the claim to be tested there: numbers
    of facts, or ids of single comparisons; ID@READING of one that the claim rests on in this reading alone.
    """

    id: str = ruled("a text, not an empty one", is_text)
    text: str = ruled("a text, not an empty one", is_text)
    paper: str = ruled("a text", lambda value: isinstance(value, str))
    metric: str = ruled(f"one of {', '.join(METRICS)}", METRICS.__contains__)
    row: str = ruled("the label of a row", is_text)
    than: tuple[str | float, ...] = ruled("a list of rows' labels or numbers, at least one", _filled)
    direction: str = ruled('"higher" or "lower"', ("higher", "lower").__contains__)
    splits: tuple[str, ...] = ruled("a list of texts, at least one", _filled, default=("static", "dynamic"))
    margin: float = 0.0
    rests_on: tuple[int | str, ...] = ruled("a list of facts' numbers or ids", _no_blank, default=())


def _is_row(rival: str | float) -> bool:
    """Whether a rival is a row's label; otherwise it is a number to be above or below."""
    return isinstance(rival, str)


@dataclass(frozen=True)
class ClaimsSpec:
    """The file. run: the run spec that the claims are judged on; cases: at least so many a split, or a claim stays
    open; level: chance of a wrong verdict among all of them; contradictions: where the paper contradicts itself."""

    run: Path = ruled("the file name of a run spec", lambda value: is_text(str(value)))
    claims: tuple[Claim, ...] = ruled("[[claims]] tables", lambda value: isinstance(value, tuple))
    cases: int = ruled("a whole number from 1", lambda value: value >= 1, default=96)
    level: float = ruled("a number between 0 and 1", lambda value: 0 < value < 1, default=0.05)
    contradictions: tuple[str, ...] = ruled("a list of texts", _no_blank, default=())


class Sample(NamedTuple):
    """One metric on one split: rows' values, the same in every resample of the cases [R], and the number of cases.

    Only the spread of the resamples counts: where cases repeat, FID rises.
    """

    values: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    cases: int

    def difference(self, row: str, rival: str | float) -> tuple[float, float]:
        """row - rival, and its standard error; a number as rival does not vary."""
        value = self.values[row] - (self.values[rival] if isinstance(rival, str) else rival)
        draws = self.draws[row] - (self.draws[rival] if isinstance(rival, str) else rival)
        return float(value), stats.standard_error(draws, self.cases)


class Comparison(NamedTuple):
    """A claim's row against one rival on one split: difference row - rival with its own 95 % interval, and one-sided
    p-values for the claim and against it, none of them corrected. `missing`: why there is none."""

    split: str
    rival: str | float
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    cases: int = 0
    p_for: float = 1.0
    p_against: float = 1.0
    missing: str = ""


class Rest(NamedTuple):
    """A fact that a claim rests on, by number or id, in words, and the calibration's verdict on it."""

    key: int | str
    text: str
    verdict: str


class Judged(NamedTuple):
    """A claim with its verdict "holds", "fails" or "open", its Holm-adjusted p-value, and what it was compared with.

    rests: the calibrated facts that it rests on. lacks: what it is about and the backbone cannot make. With a fact that
    fails or is not applicable, or with a lack, the verdict is `resting.NOT_TESTABLE`.
    """

    claim: Claim
    verdict: str
    p: float
    comparisons: tuple[Comparison, ...]
    rests: tuple[Rest, ...] = ()
    lacks: str = ""

    @property
    def why(self) -> str:
        """Why a claim could not be tested; empty where it was."""
        if self.lacks:
            return f"{self.lacks} cannot be made on this backbone"
        gone = next((one for one in self.rests if one.verdict in (FAILS, NOT_APPLICABLE)), None)
        if gone is not None:
            return f"fact {gone.key} {'fails' if gone.verdict == FAILS else 'is not applicable'} here: {gone.text}"
        return next((one.missing for one in self.comparisons if one.missing), "")

    @property
    def deciding(self) -> Comparison | None:
        """What the verdict hangs on: of a claim that fails the strongest comparison against it, else the weakest for
        it, and among equals the smallest difference in the claimed direction; None where nothing was compared."""
        made = [one for one in self.comparisons if one.cases]
        sign = 1 if self.claim.direction == "higher" else -1
        return min(
            made,
            key=lambda one: (one.p_against if self.verdict == "fails" else -one.p_for, sign * one.value),
            default=None,
        )


def judge(spec: ClaimsSpec, samples: Mapping[tuple[str, str], Sample]) -> list[Judged]:
    """Verdicts on all claims. samples: (metric, split) -> Sample."""
    return judge_variants(spec, {ALL: samples})[ALL]


def judge_variants(
    spec: ClaimsSpec, samples: Mapping[Variant, Mapping[tuple[str, str], Sample]]
) -> dict[Variant, list[Judged]]:
    """Verdicts on all claims in every variant, all of them in one family.

    Args:
        samples: variant -> (metric, split) -> Sample, with the rows as claims call them.

    All rivals and splits of a claim must be beaten, so its evidence is the weakest comparison's, with no correction
    (intersection-union test); against it speaks the strongest, with Bonferroni's. Claims that cannot be tested stay
    in the family that Holm corrects for.
    """
    family = [(variant, claim) for variant in samples for claim in spec.claims]
    compared = [tuple(_compare(claim, samples[variant], spec.cases)) for variant, claim in family]
    raw, favoured = [], []
    for comparisons in compared:
        p_for = max(one.p_for for one in comparisons)
        p_against = min(1.0, len(comparisons) * min(one.p_against for one in comparisons))
        testable = not any(one.missing for one in comparisons)
        raw.append(min(1.0, 2 * min(p_for, p_against)) if testable else 1.0)
        favoured.append(p_for < p_against)
    judged: dict[Variant, list[Judged]] = {variant: [] for variant in samples}
    corrected = stats.holm(np.array(raw))
    for (variant, claim), comparisons, p, favour in zip(family, compared, corrected, favoured, strict=True):
        verdict = "open" if p > spec.level else ("holds" if favour else "fails")
        judged[variant].append(Judged(claim, verdict, float(p), comparisons))
    return judged


def _compare(claim: Claim, samples: Mapping[tuple[str, str], Sample], enough: int) -> list[Comparison]:
    sign = 1 if claim.direction == "higher" else -1
    found = []
    for split in claim.splits:
        sample = samples.get((claim.metric, split))
        for rival in claim.than:
            if sample is None:
                found.append(Comparison(split, rival, missing=f"{claim.metric} is not measured on {split}"))
                continue
            if lacking := [one for one in (claim.row, rival) if _is_row(one) and one not in sample.values]:
                found.append(Comparison(split, rival, missing=f"no row {lacking[0]!r}"))
                continue
            value, error = sample.difference(claim.row, rival)
            low, high = stats.interval(value, error, sample.cases)
            p_for, p_against = stats.tails(sign * value, error, sample.cases, claim.margin)
            few = f"{sample.cases} cases on {split}, {enough} are needed" if sample.cases < enough else ""
            found.append(Comparison(split, rival, value, low, high, sample.cases, p_for, p_against, few))
    return found
