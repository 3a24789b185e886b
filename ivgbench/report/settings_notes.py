"""What the rows of a run were set to, from its manifest: a cell of every table, and a line beneath it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ivgbench.report import paper
from ivgbench.runs.identity import EXTERNAL
from ivgbench.runs.settings_text import NOTHING

#: Of rows of runs that were made before settings were recorded.
UNKNOWN = "not recorded"
#: What the names mean, below every table.
NAMES = (
    "Settings are named by a row's options, + says what was changed on top. tuned: chosen by a search on other cases. "
    "paper: the comparison of the paper's Table 1, what it leaves open at documented defaults. released: the method's "
    "own repository. defaults: the method's here."
)


def by_label(jobs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Label -> (settings, what they are in one line), of the entries of a manifest."""
    found: dict[str, tuple[str, str]] = {}
    for job in jobs:
        nobodys = job.get("method") in (paper.GROUND_TRUTH, EXTERNAL)
        name = job.get("settings", NOTHING if nobodys else UNKNOWN) or NOTHING
        found.setdefault(job.get("label", ""), (name, job.get("about", "")))
    return found


def beside(name: str, told: tuple[str, str]) -> str:
    """A row's name in print with its settings, where it has any: for what has no column of them."""
    return f"{name} ({told[0]})" if told[1] else name


def lines(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each row that has anything to set, below what the names mean; none where no row has."""
    found = by_label(jobs)
    rows = [f"{paper.print_name(label)}: {name}: {about}." for label, (name, about) in found.items() if about]
    return [NAMES, *rows] if rows else []
