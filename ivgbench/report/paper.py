"""The paper's Tables 1 and 2 as data, with the names its rows have here.

Source: "Test-Time Domain Adaptation for Interactive Video Generation". The numbers are ZeroScope's (24 frames,
320x576); on another backbone only the order of methods and the sign of differences can be compared with them.
"""

from __future__ import annotations

from typing import NamedTuple

from ivgbench.registry import AROUND
from ivgbench.runs.identity import FLOOR as FLOOR
from ivgbench.runs.identity import GROUND_TRUTH as GROUND_TRUTH
from ivgbench.runs.identity import ROW_NAMES

#: Rows of the tables, in the paper's order after the unguided model: canonical name -> name in print.
LABELS: dict[str, str] = {
    "plain": "Plain",
    "peekaboo": "Peekaboo",
    "trailblazer": "TrailBlazer",
    "mask-norm": "Mask Norm",
    "mask-norm-id": "Mask Norm + ID",
    "mask-norm-tid": "Mask Norm + TID",
}
#: Rows of the claims' run beside the paper's: what the masks do in the paper's scope, and where Mask Norm acts.
BESIDE: dict[str, str] = {"peekaboo-paper-scope": "Peekaboo, paper's scope", "masks-alone": "Mask Norm's masks alone"}


#: Rows of the field's other methods, after the paper's.
FIELD: dict[str, str] = {
    "freeinit": "FreeInit",
    "freetraj": "FreeTraj",
    "direct-a-video": "Direct-a-Video",
    "lvd": "LVD",
    "ditraj": "DiTraj",
}


def print_name(label: str) -> str:
    """A row's name in print: that of a known row, else the label that the run gave it.

    Of a method around another one, both: "freeinit+peekaboo" is FreeInit + Peekaboo.
    """
    outer, plus, inner = label.partition("+")
    if plus and outer in AROUND:
        return f"{FIELD[outer]} + {print_name(inner)}"
    return {**LABELS, **FIELD, **BESIDE, **ROW_NAMES}.get(label, label)


SOURCE = "The paper, on ZeroScope (not comparable in absolute value)"


class Table1Row(NamedTuple):
    """One method on one split. clip_sim: 100 x cosine. coverage: no unit in print, read as percent. miou: percent."""

    clip_sim: float
    coverage: int
    miou: float


class Table2Row(NamedTuple):
    """One method, both splits. kid and kid_std: percent (100 x the usual value)."""

    fid: float
    kid: float
    kid_std: float
    jedi: float


#: (split, canonical name) -> numbers. The paper has no row for the plain model.
TABLE1: dict[tuple[str, str], Table1Row] = {
    ("static", "peekaboo"): Table1Row(31.47, 40, 29.92),
    ("static", "trailblazer"): Table1Row(31.50, 35, 21.18),
    ("static", "mask-norm"): Table1Row(31.66, 38, 22.09),
    ("static", "mask-norm-id"): Table1Row(32.06, 38, 25.97),
    ("static", "mask-norm-tid"): Table1Row(31.48, 41, 33.82),
    ("dynamic", "peekaboo"): Table1Row(31.55, 45, 29.76),
    ("dynamic", "trailblazer"): Table1Row(30.03, 42, 36.01),
    ("dynamic", "mask-norm"): Table1Row(30.64, 32, 16.27),
    ("dynamic", "mask-norm-id"): Table1Row(32.17, 49, 22.32),
    ("dynamic", "mask-norm-tid"): Table1Row(31.80, 46, 34.73),
}
TABLE2: dict[str, Table2Row] = {
    "peekaboo": Table2Row(134.30, 2.03, 0.07, 1.40),
    "trailblazer": Table2Row(140.07, 2.18, 0.07, 1.65),
    "mask-norm": Table2Row(151.99, 2.77, 0.07, 1.46),
    "mask-norm-id": Table2Row(133.74, 1.81, 0.06, 1.34),
    "mask-norm-tid": Table2Row(131.19, 1.92, 0.06, 1.86),
}
