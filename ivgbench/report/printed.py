"""A table ready to print, and what its rows are called in print."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ivgbench.metrics.catalogue import Metric
from ivgbench.registry import AROUND
from ivgbench.report import paper


@dataclass(frozen=True, eq=False)
class Table:
    """A table ready to print.

    frame: one row per split and method, see `table`. floors: split -> mean CLIP-SIM of the methods' clips with
    captions of other cases. notes: what a reader must know. partial: what is missing, None for a complete run.
    own: metrics of other packages, whose columns follow ours.
    """

    number: int
    title: str
    run: str
    frame: pd.DataFrame
    floors: dict[str, float]
    notes: tuple[str, ...]
    partial: str | None
    own: tuple[Metric, ...] = ()


def print_label(method: str, label: str) -> str:
    """The name in print; a label of the user's own stays as it is, even if it is another method's name."""
    ours = label == method or label in paper.BESIDE or (method in AROUND and label.startswith(f"{method}+"))
    return paper.print_name(label) if ours else label
