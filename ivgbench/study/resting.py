"""Claims on a calibrated lab: where a fact known of real models fails, what rests on it cannot be tested there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ivgbench import calibration
from ivgbench.calibration import FAILS, NOT_APPLICABLE, Calibration
from ivgbench.errors import UserError
from ivgbench.report import paper
from ivgbench.study import variants
from ivgbench.study.claims import Claim, Judged, Rest
from ivgbench.study.variants import Variant

#: The verdict on a claim that rests on a fact that fails or does not apply, or is about a row that cannot be made.
NOT_TESTABLE = "not testable here"


def of_weights(path: Path, weights: str) -> tuple[Calibration | None, str]:
    """The calibration in a file if it is of these weights, and else, in a line, why there is none ("": no file)."""
    if not path.is_file():
        return None, ""
    found = calibration.load(path)
    if found.weights == weights:
        return found, ""
    return None, f"{path} is of other weights ({found.weights[:12]}, not {weights[:12]}): no claim rests on it"


def without(judged: Sequence[Judged], lacking: Collection[str]) -> list[Judged]:
    """Claims on a backbone that cannot make these rows. Numbers stay, of what there is."""
    found = []
    for one in judged:
        gone = next((str(row) for row in (one.claim.row, *one.claim.than) if row in lacking), None)
        lost: dict[str, Any] = {} if gone is None else {"lacks": paper.print_name(gone), "verdict": NOT_TESTABLE}
        found.append(one._replace(**lost))
    return found


def rested(judged: Sequence[Judged], found: Calibration, variant: Variant = variants.ALL) -> list[Judged]:
    """A variant's claims with the facts that they rest on. Numbers stay; a verdict gives way where a fact fails.

    Raises:
        UserError: a claim rests on a fact that was not calibrated.
    """
    return [_rested(one, found, variant) for one in judged]


def rests_on(claim: Claim, variant: Variant = variants.ALL) -> list[int | str]:
    """The facts that a claim rests on in a variant, by number or id."""
    keys = [(key, variants.ALL) if isinstance(key, int) else variants.split(key) for key in claim.rests_on]
    return [key for key, bound in keys if variant.has(bound)]


def _rested(one: Judged, found: Calibration, variant: Variant) -> Judged:
    try:
        rests = tuple(Rest(key, found.text(key), found.verdict(key)) for key in rests_on(one.claim, variant))
    except UserError as fault:
        raise UserError(f"claim {one.claim.id!r}, rests_on: {fault}") from None
    gone = any(rest.verdict in (FAILS, NOT_APPLICABLE) for rest in rests)
    return one._replace(rests=rests, verdict=NOT_TESTABLE if gone else one.verdict)
