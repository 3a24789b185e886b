"""What is known of each metric, in one place: a row per metric that tables, gate, claims and reports read.

A metric of one clip stands in its score under its name; one of a set of clips in a row of FID, KID and JEDi. `Metric`
says what becomes of it in print. Metrics of other packages are such rows as well (`ivgbench.metrics.own`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

#: What a metric can be made of. "time": of no two runs the same.
NEEDS = (
    "video", "asked boxes", "detections", "frame features", "text features", "clip features", "references", "cost",
    "time",
)  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """One metric.

    name: in scores, rows and files. what: in one line. needs: what it is made of, of `NEEDS`.
    title: at the head of its column in print; empty where it has none. unit: in print; "%" of what is stored as a
    fraction. better: +1 if higher is better, -1 if lower is, 0 if neither. decimals: in print.
    version: raised whenever the same clip gets another value; a score counts for the versions that it was made by.
    column: its key in a table's frame; empty where it stands in none. weight: metrics whose product weighs each clip
    (empty: all alike): the column is then sum(value x weight) / sum(weight). interval: whether the column has ends
    `_low` and `_high`; spread: endings of other columns that say how sure it is, in its unit.
    note: what the column is, below the table.

    Raises:
        ValueError: a field that cannot be.
    """

    name: str
    what: str
    needs: tuple[str, ...]
    title: str = ""
    unit: str = ""
    better: int = 0
    decimals: int = 2
    version: int = 1
    column: str = ""
    weight: tuple[str, ...] = ()
    interval: bool = False
    spread: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", (self.needs,) if isinstance(self.needs, str) else tuple(self.needs))
        for field in ("name", "what", "title", "unit", "column", "note"):
            text = getattr(self, field)
            if not isinstance(text, str) or not text.isprintable() or (not text and field in ("name", "what")):
                raise ValueError(f"metric {self.name!r}: {field} must be a text on one line, got {text!r}")
        if strange := [one for one in self.needs if one not in NEEDS]:
            raise ValueError(f"metric {self.name!r}: it needs {strange[0]!r}; known: {', '.join(NEEDS)}")
        for field, known in (("better", (-1, 0, 1)), ("decimals", range(10))):
            if type(getattr(self, field)) is not int or getattr(self, field) not in known:
                words = "-1, 0 or 1" if field == "better" else "a whole number from 0 to 9"
                raise ValueError(f"metric {self.name!r}: {field} must be {words}, got {getattr(self, field)!r}")
        if type(self.version) is not int or self.version < 1:
            raise ValueError(f"metric {self.name!r}: version must be a whole number from 1, got {self.version!r}")

    @property
    def scale(self) -> int:
        """From the stored value to the printed one."""
        return 100 if self.unit == "%" else 1

    @property
    def head(self) -> str:
        """The title, with the sign of a percentage."""
        return f"{self.title} %" if self.unit == "%" else self.title

    @property
    def arrow(self) -> str:
        """Which way is better, in print; empty where neither is."""
        return {1: "↑", -1: "↓", 0: ""}[self.better]

    def columns(self) -> list[str]:
        """Keys of the frame's columns in the metric's own unit: its value, and how sure it is."""
        ends = ("", *(("_low", "_high") if self.interval else ()), *self.spread)
        return [f"{self.column}{end}" for end in ends]

    def record(self) -> dict[str, Any]:
        """The row as plain data, as `from_record` reads it."""
        return asdict(self)


def from_record(data: Mapping[str, Any]) -> Metric:
    """A row that was kept as plain data, perhaps by another version: what that one knew besides is left out."""
    known = {one.name for one in fields(Metric)}
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key in known
    }
    return Metric(**plain)


_CLIP, _BOXES = ("frame features", "text features"), ("asked boxes", "detections")
_FRAMES, _FILMS = ("frame features", "references"), ("clip features", "references")

#: Of one clip. ivgbench.metrics.clip_sim and .control define them; the mean over clips is what stands in a table. mIoU
#: is Peekaboo's published number (volume IoU over covered clips); mIoU all has no filter. Those with an interval are
#: columns in print, in this order.
OF_CLIPS: tuple[Metric, ...] = (
    Metric("clip_sim", "100 x mean cosine of the frames with the prompt", _CLIP,
           "CLIP-SIM", better=1, column="clip_sim", interval=True),
    Metric("clip_sim_squash",
           "the same with whole frames squeezed to the model's input, where clip_sim crops their middle", _CLIP,
           better=1, column="clip_sim_squash"),
    Metric("clip_sim_shuffled", "clip_sim with the prompts of other cases: its chance level", _CLIP,
           column="clip_sim_shuffled"),
    Metric("caption_cut",
           "1 when CLIP reads only the beginning of the prompt: the CLIP-SIMs are then of that beginning",
           ("text features",), decimals=0),
    Metric("covered", "1 when the subject is found in more than half of the frames", _BOXES,
           "CoV", "%", 1, 0, column="coverage", interval=True,
           note="clips with the subject detected in more than half of the frames"),
    Metric("miou_volume", "IoU of the boxes' pixels stacked over time (Peekaboo's)", _BOXES,
           "mIoU", "%", 1, 1, column="miou", weight=("covered",), interval=True,
           note="volume IoU over covered clips (Peekaboo's number)"),
    Metric("miou", "mean IoU of asked and detected box over all frames, 0 where nothing is found", _BOXES,
           "mIoU all", "%", 1, 1, column="miou_all", interval=True,
           note="mean per-frame IoU over all clips, missed frames 0"),
    Metric("miou_det", "the same over frames with a detection", _BOXES, unit="%", better=1, decimals=1),
    Metric("ap50", "share of detected frames with IoU of at least 0.5", _BOXES,
           "AP50", "%", 1, 1, column="ap50", weight=("n_detected",), interval=True,
           note="detected frames with IoU >= 0.5, pooled"),
    Metric("ap50_strict", "the same hits over all frames", _BOXES, unit="%", better=1, decimals=1),
    Metric("centroid_distance", "mean distance of box centres, in frame diagonals", _BOXES,
           "CD", "diagonals", -1, 3, column="centroid_distance", weight=("covered", "n_detected"), interval=True,
           note="centre distance in frame diagonals, detected frames of covered clips"),
    Metric("n_detected", "frames with a detection", ("detections",), unit="frames", decimals=0),
    Metric("n_frames", "frames that count", ("asked boxes",), unit="frames", decimals=0),
    Metric("nfe", "guided network evaluations", ("cost",), "NFE", better=-1, decimals=1, column="nfe"),
    Metric("backward", "backward passes through the network", ("cost",), "Backward", better=-1, decimals=0,
           column="backward"),
    Metric("seconds", "time it took to make the clip", ("cost", "time"), "s", "s", -1, column="seconds"),
)  # fmt: skip

#: Of a method's clips as a set, against references; ivgbench.metrics defines them too. A run has those of JEDi that
#: go with its encoder of videos.
OF_SETS: tuple[Metric, ...] = (
    Metric("fid", "Frechet distance of the features of all frames to the reference's", _FRAMES,
           "FID", better=-1, column="fid", interval=True),
    Metric("kid", "mean over random subsets of frames of the squared MMD to the reference; kid_std its deviation",
           _FRAMES, "KID", "%", -1, 3, column="kid", spread=("_std",)),
    Metric("kid_xvideo", "the same over all pairs of frames of different videos", _FRAMES,
           "KID×", "%", -1, 3, column="kid_xvideo", interval=True),
    Metric("jedi", "100 x squared MMD of clip features to the reference's, as released (biased)", _FILMS,
           "JEDi", better=-1, column="jedi"),
    Metric("jedi_unbiased", "the same without bias", _FILMS,
           "JEDi u.", better=-1, column="jedi_unbiased", interval=True),
    Metric("jedi_v2", "as jedi with the features of V-JEPA 2: another scale, never to be compared with jedi", _FILMS,
           "JEDi v2", better=-1, column="jedi_v2"),
    Metric("jedi_v2_unbiased", "the same without bias", _FILMS,
           "JEDi v2 u.", better=-1, column="jedi_v2_unbiased", interval=True),
)  # fmt: skip

#: The columns of Table 1 that are measured, and those of Table 2 by what looks at the videos.
MEASURED = tuple(one for one in OF_CLIPS if one.interval)
BY_FRAMES = tuple(one for one in OF_SETS if "frame features" in one.needs)
BY_CLIPS = tuple(one for one in OF_SETS if "clip features" in one.needs)
#: Name -> metric; and the key of a table's column -> metric.
KNOWN: dict[str, Metric] = {one.name: one for one in (*OF_CLIPS, *OF_SETS)}
COLUMN: dict[str, Metric] = {one.column: one for one in KNOWN.values() if one.column}


def raised() -> dict[str, int]:
    """Name -> version of the metrics of clips that have another than their first.

    What a score is made by is told by these alone, so that it is today what it was before metrics had versions.
    """
    return {one.name: one.version for one in OF_CLIPS if one.version > 1}
