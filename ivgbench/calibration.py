"""What a calibration found, as a file: facts known of real models, and whether a pocket model has them too.

`ivgbench study calibrate` writes it; claims and the pocket lab's model card read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
from ivgbench.files import write_json

HOLDS, FAILS, OPEN, NOT_USED = "holds", "fails", "open", "not used"
#: The verdict on what has no meaning on a backbone.
NOT_APPLICABLE = "not applicable"
#: Raised when the fields of the file change.
CALIBRATION_VERSION = 1


@dataclass(frozen=True)
class Finding:
    """One comparison that a fact comes down to; several may share a number.

    verdict: one of those above. measured: in print; of what is not applicable, why. cases, p: how many cases, and
    Holm's corrected p-value; None where nothing was compared. comparisons: the numbers behind `measured`, one mapping
    for each rival and split.
    bar: whether a pocket model must reach it to ship; met: whether it does, None without a bar or where that is not
    measured.
    """

    number: int
    id: str
    text: str
    source: str
    asked: str
    measured: str
    verdict: str
    cases: int | None = None
    p: float | None = None
    bar: bool = False
    met: bool | None = None
    comparisons: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Calibration:
    """A whole calibration. weights: hash of the backbone's files; cases: how many a split a verdict needs."""

    backbone: str
    weights: str
    run: str
    cases: int
    seeds: tuple[int, ...]
    command: str
    environment: Mapping[str, Any]
    findings: tuple[Finding, ...]

    def verdict(self, key: int | str) -> str:
        """The verdict on a fact by its number, or on one comparison by its id. A fact fails where a part of it fails.

        Raises:
            UserError: nothing has this number or id.
        """
        mine = [one.verdict for one in self.findings if key in (one.number, one.id)]
        if not mine:
            raise UserError(f"the calibration has no fact {key!r}; it has {', '.join(map(str, self.numbers()))}")
        return next(word for word in (FAILS, OPEN, HOLDS, NOT_APPLICABLE, NOT_USED) if word in mine)

    def text(self, key: int | str) -> str:
        """A fact in words: of its parts the first that has its verdict."""
        verdict = self.verdict(key)
        return next(one.text for one in self.findings if key in (one.number, one.id) and one.verdict == verdict)

    def numbers(self) -> list[int]:
        return list(dict.fromkeys(one.number for one in self.findings))

    def bars(self) -> tuple[Finding, ...]:
        """Those that can be met or missed here."""
        return tuple(one for one in self.findings if one.bar and one.verdict != NOT_APPLICABLE)


def save(path: Path, calibration: Calibration) -> None:
    write_json(path, {**asdict(calibration), "calibration_version": CALIBRATION_VERSION})


def load(path: Path) -> Calibration:
    """Reads the file. UserError when it is damaged or of another version."""
    try:
        return _calibration(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UserError(f"{path}: not a calibration ({fault}); make it again: ivgbench study calibrate") from None


def _calibration(record: dict[str, Any]) -> Calibration:
    if record.pop("calibration_version") != CALIBRATION_VERSION:
        raise ValueError("of another version")
    findings = tuple(_finding(one) for one in record.pop("findings"))
    return Calibration(**{**record, "seeds": tuple(record["seeds"])}, findings=findings)


def _finding(record: dict[str, Any]) -> Finding:
    known = {one.name for one in fields(Finding)}
    if set(record) != known:
        raise ValueError(f"a finding has the fields {', '.join(sorted(known))}")
    return Finding(**{**record, "comparisons": tuple(record["comparisons"])})


def table(findings: Sequence[Finding]) -> str:
    """Findings as a Markdown table: what is asked, what was measured, the verdict, and whether the bar is met."""
    lines = [
        "| # | Fact, and its source | Asked | Measured, with 95 % interval | n | p (Holm) | Verdict | Bar |",
        "| ---: | --- | --- | --- | ---: | ---: | --- | --- |",
    ]
    for one in findings:
        p = "–" if one.p is None else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"
        told = (one.number, f"{one.text} ({one.source})", one.asked or "–", one.measured, one.cases or "–", p)
        lines.append(f"| {' | '.join(map(str, told))} | **{one.verdict}** | {bar(one)} |")
    return "\n".join(lines)


def bar(one: Finding) -> str:
    """What came of a finding's bar, in a word."""
    if not one.bar:
        return "–"
    if one.verdict == NOT_APPLICABLE:
        return NOT_APPLICABLE
    return {True: "met", False: "**missed**", None: "not measured"}[one.met]
