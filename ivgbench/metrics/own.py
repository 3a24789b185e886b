"""Metrics of one clip that other packages offer: what such a metric is, and what it is given.

A package offers one in its pyproject.toml with

    [project.entry-points."ivgbench.metrics"]
    jumps = "my_package.my_module:Jumps"

One that is broken is told in one line, and costs its own column and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from ivgbench.metrics.catalogue import KNOWN, Metric
from ivgbench.plugins import PluginFault, broken
from ivgbench.registry import Registry
from ivgbench.texts import short

#: What there is to be had of one clip, of `catalogue.NEEDS`.
OF_ONE_CLIP = ("video", "asked boxes", "detections", "frame features", "text features")
#: Endings of the columns that stand beside a metric's own.
ENDS = ("_low", "_high", "_n")
#: What else stands in rows and tables under a name of its own.
TAKEN = (
    "split", "method", "label", "settings", "job", "suite", "case", "seed", "metric", "value", "status", "failed",
    "missing", "run", "partial", "covered_clips", "captions_cut", "clip_sim_attained", "n_scored", "n_expected",
    "paper_clip_sim", "paper_coverage", "paper_miou",
)  # fmt: skip
METRICS = Registry(
    "metric", {}, reserved=(*KNOWN, *(one for metric in KNOWN.values() for one in metric.columns() if one), *TAKEN)
)


@dataclass(frozen=True, eq=False)
class Seen:
    """What a metric is given of one clip with K subjects and F frames; None for what its `needs` do not name.

    prompt: the case's; phrases: those of the K subjects. video: uint8 [F,H,W,3].
    asked: float64 [K,F,4] xyxy, fractions of the frame; detected: the same as the run's detector found them, a row of
    NaN where it found nothing. frame_features: [F,D] of the run's CLIP, unit length; text_features: [D] of the prompt.
    The arrays are read-only.
    """

    prompt: str
    phrases: tuple[str, ...]
    video: np.ndarray | None = None
    asked: np.ndarray | None = None
    detected: np.ndarray | None = None
    frame_features: np.ndarray | None = None
    text_features: np.ndarray | None = None

    def __post_init__(self) -> None:
        for array in (self.video, self.asked, self.detected, self.frame_features, self.text_features):
            if array is not None:
                array.setflags(write=False)


class ClipMetric(Protocol):
    """A metric of one clip. Its class is what the entry point names; each worker makes one, without arguments.

    about: its row of the catalogue. `name` is the entry point's; `needs` are of `OF_ONE_CLIP`; column, weight, interval
    and spread are not for it to say: its column is the mean over clips, with an interval over cases.
    """

    about: ClassVar[Metric]

    def measure(self, seen: Seen) -> float | None:
        """The clip's value in the stored unit (a fraction where `about.unit` is "%"), None where it has none."""
        ...


class Found(NamedTuple):
    """rows: of the metrics that can be used. faults: name -> the line that says why one cannot."""

    rows: tuple[Metric, ...]
    faults: dict[str, str]


def find() -> Found:
    """What installed packages offer, each looked at alone. Their modules are imported."""
    rows, faults = [], {}
    for name in METRICS.plugins():
        try:
            rows.append(row(name))
        except PluginFault as fault:
            faults[name] = str(fault)
    return Found(tuple(rows), faults)


def row(name: str) -> Metric:
    """The row of a package's metric, with its column.

    Raises:
        PluginFault: it cannot be imported, or is no metric.
    """
    offer, what = METRICS.get(name), METRICS.called(name)
    about = getattr(offer, "about", None)
    if not isinstance(about, Metric) or not callable(getattr(offer, "measure", None)) or not callable(offer):
        raise PluginFault(
            f"{what} is no metric: it must be a class with `about`, a {Metric.__module__}.Metric, and `measure`"
        )
    if about.name != name:
        raise PluginFault(f"{what} says that its name is {about.name!r}; the entry point's must be the same")
    if name.endswith(ENDS):
        raise PluginFault(f"{what}: a name that ends in {', '.join(ENDS)} is another column's")
    if strange := [one for one in about.needs if one not in OF_ONE_CLIP]:
        raise PluginFault(f"{what} needs {strange[0]!r}; of one clip there are: {', '.join(OF_ONE_CLIP)}")
    title = about.title or name
    return replace(about, title=title, column=name, weight=(), interval=True, spread=(), note=about.note or about.what)


def make(name: str) -> ClipMetric:
    """A package's metric, ready to measure; PluginFault when it cannot be made."""
    row(name)
    try:
        return METRICS.get(name)()
    except (Exception, SystemExit) as fault:  # a stranger's code can raise anything
        raise broken(METRICS.called(name), "cannot be made", fault) from fault


def measured(name: str, metric: ClipMetric, seen: Seen) -> float:
    """A metric's value of a clip; NaN where it says that there is none.

    Raises:
        PluginFault: it fails, or what it returns is no finite number.
    """
    try:
        value = metric.measure(seen)
    except (Exception, SystemExit) as fault:
        raise broken(METRICS.called(name), "failed", fault) from fault
    if value is None:
        return math.nan
    if not isinstance(value, Real | np.bool_) or math.isinf(value):
        raise PluginFault(f"{METRICS.called(name)} returned {short(value)}; it must return a finite number or None")
    return float(value)
