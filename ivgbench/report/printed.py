"""A table ready to print, and what its rows are called in print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ivgbench.metrics.catalogue import Metric
from ivgbench.registry import AROUND
from ivgbench.report import paper

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """A table ready to print.

    rows: one per split and method, see `tables.table`; a column that a row lacks is undefined (NaN).
    floors: split -> mean CLIP-SIM of the methods' clips with captions of other cases. notes: what a reader must know.
    partial: what is missing, None for a complete run. own: metrics of other packages, whose columns follow ours.
    whole: columns of whole numbers, also where some are undefined.
    """

    number: int
    title: str
    run: str
    rows: list[dict[str, Any]]
    floors: dict[str, float]
    notes: tuple[str, ...]
    partial: str | None
    own: tuple[Metric, ...] = ()
    whole: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All that any row has, in the order in which they come."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def frame(self) -> pd.DataFrame:
        """The rows for further work. Nothing that is printed or written needs it: pandas is loaded here."""
        import pandas as pd

        made = pd.DataFrame(self.rows)
        for name in self.whole:
            if made[name].isna().any():
                made[name] = made[name].astype("Int64")
        return made


def print_label(method: str, label: str) -> str:
    """The name in print; a label of the user's own stays as it is, even if it is another method's name."""
    ours = label == method or label in paper.BESIDE or (method in AROUND and label.startswith(f"{method}+"))
    return paper.print_name(label) if ours else label
