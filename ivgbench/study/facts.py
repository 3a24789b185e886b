"""Facts known of real models, written down before any run with source, direction and margin, and their verdicts.

A fact is judged as a claim is, all of them in one family (`study.claims.judge`); what no table of a run has is
measured by probes, whose values are samples like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ivgbench.calibration import NOT_APPLICABLE, NOT_USED, Finding
from ivgbench.errors import UserError
from ivgbench.reading import ruled
from ivgbench.report import paper
from ivgbench.study.claims import METRICS, Claim, ClaimsSpec, Comparison, Judged, Metric, Sample, is_text, judge
from ivgbench.study.claims_file import load_listed

#: Metrics that facts can be about besides those of claims. Where they are measured on plain clips of both splits
#: together, "both" stands for the split.
PROBES: dict[str, Metric] = {
    "map_ap": Metric("average precision of word maps against the drawn sprite, %", "AP", 1),
    "sink_mass": Metric("text attention on tokens without content, %", "share", 1),
    "words_right": Metric("frames that draw what the caption says, %", "frames", 1),
    "layout_iou": Metric("IoU of the box seen after a fifth of the steps with the final one, %", "IoU", 1),
}
#: And those that are made of a run's scores.
DERIVED: dict[str, Metric] = {
    "miou_dynamic_over_static": Metric("mIoU on dynamic boxes less that on static ones, points", "mIoU", 1),
    "clip_sim_attained": Metric("CLIP-SIM, % of the way from shuffled captions to the ground truth", "CLIP-SIM", 1),
}
KNOWN = METRICS | PROBES | DERIVED
#: Rows in print that no table of the paper has.
NAMES = {
    "trailblazer-words": "TrailBlazer, words only",
    "padding-only": "TrailBlazer, padding only",
    "masks-alone-literal": "Mask Norm's masks alone, to the letter",
    "mask-norm-literal": "Mask Norm, to the letter",
    "words": "the subject's words",
    "constant": "a constant map",
    "content-free": "tokens without content",
    "bos": "BOS alone",
    "swapped": "Plain with another caption's padding",
}


@dataclass(frozen=True)
class Fact:
    """One comparison; a fact that takes several repeats its number.

    number: of the fact; id: of the comparison. source: who found it on real models, and what they print. why: where
    the margin is from. metric, row, than, direction, splits, margin: as in `study.claims.Claim`, metrics also of
    `PROBES` and `DERIVED`. bar: whether a pocket model must reach it to ship. unused: why it is not judged.
    """

    number: int
    id: str = ruled("a text, not an empty one", is_text)
    text: str = ruled("a text, not an empty one", is_text)
    source: str = ruled("a text, not an empty one", is_text)
    why: str = ""
    metric: str = ""
    row: str = ""
    than: tuple[str | float, ...] = ()
    direction: str = ""
    splits: tuple[str, ...] = ("static", "dynamic")
    margin: float = 0.0
    bar: bool = False
    unused: str = ""

    def claim(self) -> Claim:
        return Claim(
            self.id, self.text, self.source, self.metric, self.row, self.than, self.direction, self.splits, self.margin
        )

    def about(self, rows: Collection[str]) -> str:
        """The first of these rows that it is about; "" if it is about none."""
        return next((str(one) for one in (self.row, *self.than) if one in rows), "")

    def asked(self) -> str:
        """What must be so, in print."""
        if self.unused:
            return ""
        word = {"higher": "above", "lower": "below"}[self.direction]
        limit = self.margin if self.direction == "higher" else -self.margin
        rivals = " and ".join(name(one) for one in self.than)
        if self.margin:
            return f"{KNOWN[self.metric].short}: {name(self.row)} less {rivals} {word} {limit:+g}"
        return f"{KNOWN[self.metric].short}: {name(self.row)} {word} {rivals}"


@dataclass(frozen=True)
class FactsSpec:
    """The file. run: the run spec that the facts are judged on; cases: at least so many, or a fact stays open;
    level: chance of a wrong verdict among all of them."""

    run: Path = ruled("the file name of a run spec", lambda value: is_text(str(value)))
    facts: tuple[Fact, ...] = ruled("[[facts]] tables", lambda value: isinstance(value, tuple))
    cases: int = ruled("a whole number from 1", lambda value: value >= 1, default=48)
    level: float = ruled("a number between 0 and 1", lambda value: 0 < value < 1, default=0.05)

    def claims(self, lacking: Collection[str] = ()) -> ClaimsSpec:
        """What is judged, all of it one family: without facts about rows that a backbone lacks."""
        judged = tuple(one.claim() for one in self.used() if not one.about(lacking))
        return ClaimsSpec(self.run, judged, self.cases, self.level)

    def used(self) -> list[Fact]:
        return [one for one in self.facts if not one.unused]


def load_facts(path: Path) -> FactsSpec:
    """Reads a file of facts. UserError for an unreadable file, or a fact that cannot be judged."""
    spec: FactsSpec = load_listed(path, FactsSpec, "facts", Fact)
    for fact in spec.facts:
        _check(fact, f"{path}, fact {fact.id!r}")
    return spec


def _check(fact: Fact, where: str) -> None:
    if fact.unused:
        if fact.metric or fact.bar:
            raise UserError(f"{where}: it is unused, so leave out metric and bar")
        return
    if fact.metric not in KNOWN:
        raise UserError(f"{where}: no metric {fact.metric!r}; known: {', '.join(KNOWN)}")
    if fact.direction not in ("higher", "lower") or not (fact.row and fact.than and fact.splits):
        raise UserError(f'{where}: give direction "higher" or "lower", row, than and splits')


def findings(
    spec: FactsSpec, samples: Mapping[tuple[str, str], Sample], lacking: Mapping[str, str] | None = None
) -> list[Finding]:
    """Every fact with its verdict, in the file's order.

    Args:
        samples: (metric, split) -> Sample. lacking: rows that the backbone cannot make -> why; facts about one of them
            have no meaning there.
    """
    lacking = lacking or {}
    judged = {one.claim.id: one for one in judge(spec.claims(lacking), samples)}
    return [_found(fact, judged.get(fact.id), lacking.get(fact.about(lacking), "")) for fact in spec.facts]


def _found(fact: Fact, judged: Judged | None, lacks: str) -> Finding:
    about = (fact.number, fact.id, fact.text, fact.source, fact.asked())
    if judged is None:
        if fact.unused:
            return Finding(*about, fact.unused, NOT_USED)
        return Finding(*about, lacks, NOT_APPLICABLE, bar=fact.bar)
    compared = judged.comparisons
    measured = "; ".join(_measured(fact, one) for one in compared)
    return Finding(
        *about,
        f"{measured} ({judged.why})" if judged.why and any(one.cases for one in compared) else measured,
        judged.verdict,
        min(one.cases for one in compared),
        judged.p,
        fact.bar,
        _met(fact, compared) if fact.bar and not judged.why else None,
        tuple(_numbers(one) for one in compared),
    )


def _met(fact: Fact, compared: Sequence[Comparison]) -> bool:
    """Whether what was measured reaches the margin everywhere; that it is no chance is the verdict's to say."""
    sign = 1 if fact.direction == "higher" else -1
    return all(sign * one.value >= fact.margin for one in compared)


def _measured(fact: Fact, one: Comparison) -> str:
    if not one.cases:
        return one.missing
    decimals = KNOWN[fact.metric].decimals
    # Against a number the value itself says more than its distance.
    value, low, high = (
        f"{x:+.{decimals}f}" if isinstance(one.rival, str) else f"{x + one.rival:.{decimals}f}"
        for x in (one.value, one.low, one.high)
    )
    against = f" against {name(one.rival)}" if len(fact.than) > 1 and isinstance(one.rival, str) else ""
    return f"{one.split}{against} {value} ({f'{low} to {high}' if one.cases > 1 else 'one case'})"


def _numbers(one: Comparison) -> dict[str, object]:
    if not one.cases:
        return {"split": one.split, "against": one.rival, "missing": one.missing}
    low, high = (one.low, one.high) if one.cases > 1 else (None, None)
    return {
        "split": one.split, "against": one.rival, "difference": one.value, "low": low, "high": high, "cases": one.cases,
    }  # fmt: skip


def name(row: str | float) -> str:
    """A row in print; a number as it is."""
    return NAMES.get(row, paper.print_name(row)) if isinstance(row, str) else f"{row:g}"
