"""The model card's chapter on a model's calibration: which facts known of real models hold on these weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ivgbench import calibration
from ivgbench.calibration import Calibration, Finding


def read(path: Path, weights: str, kept: dict[str, Any] | None) -> dict[str, Any] | None:
    """A calibration as plain data, if it is of these weights: from its file, else as it was kept; None without either.

    Args:
        path: the calibration of the model that the study is on; those of others lie beside it, with more in their
            names.
        weights: the beginning of the hash of a model's weights. kept: what the card's record has of before.
    """
    files = (path, *sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")))
    found = [asdict(calibration.load(file)) for file in files if file.is_file()]
    mine = [one for one in (*found, kept) if one is not None and one["weights"].startswith(weights)]
    return mine[0] if mine else None


def render(facts: dict[str, Any] | None) -> str:
    """The chapter in Markdown; nothing for weights that were not calibrated."""
    if facts is None:
        return ""
    found = Calibration(**{**facts, "findings": tuple(Finding(**one) for one in facts["findings"])})
    met = sum(one.met is True for one in found.bars())
    return f"""#### Calibration

Facts known of real models, each with the comparison that it comes down to (`{found.command}`, at least {found.cases}
cases; margins were written down before the run).
{met} of {len(found.bars())} bars that a pocket model must meet are met.

{calibration.table(found.findings)}
"""
