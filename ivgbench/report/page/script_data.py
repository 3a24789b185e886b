"""What the page's scripts read: the run in short, and each case in full, as plain data that no markup can leave."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ivgbench.metrics.catalogue import KNOWN, Metric
from ivgbench.report.figures import BOX_COLOURS
from ivgbench.report.layout import evaluations, number
from ivgbench.report.page import previews
from ivgbench.report.page.scenes import Row, Scene, Shot, found, overlap
from ivgbench.store.runs import Store

#: Frames in a second, at normal speed: what stored clips are written with.
FRAMES_PER_SECOND = 8
#: Text, and where it could end a script, a comment or a line of JavaScript: ASCII takes care of U+2028.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def plain(value: Any) -> str:
    """JSON in ASCII that can stand in a script of any kind."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign, escape in _ESCAPED.items():
        text = text.replace(sign, escape)
    return text


def overview(run: str, rows: Sequence[Row], scenes: Sequence[Scene]) -> dict[str, Any]:
    """The run in short: what lists, filters and orders need of every clip: [mIoU or null, why it has none or ""]."""
    return {
        "run": run,
        "fps": FRAMES_PER_SECOND,
        "colours": BOX_COLOURS,
        "rows": [asdict(row) for row in rows],
        "cases": [
            {
                "suite": scene.suite, "split": scene.split, "case": scene.case, "seed": scene.seed,
                "prompt": scene.prompt, "subjects": scene.phrases,
                "clips": [_short(scene.shots.get(row)) for row in range(len(rows))],
            }
            for scene in scenes
        ],
    }  # fmt: skip


def _short(shot: Shot | None) -> list[Any] | None:
    return None if shot is None else [_rounded(shot.values.get("miou")), shot.fault]


def detail(
    store: Store, detector: str, scene: Scene, rows: int, sources: Mapping[str, str], own: Sequence[Metric]
) -> dict[str, Any]:
    """A case in full.

    Args:
        rows: how many the run has. sources: job -> where its preview is; none for a clip that could not be read.
        own: metrics of other packages.
    """
    shots = [scene.shots.get(row) for row in range(rows)]
    asked = [_track(track) for track in scene.asked]
    return {"asked": asked, "clips": [_clip(store, detector, scene, shot, sources, own) for shot in shots]}


def _clip(
    store: Store, detector: str, scene: Scene, shot: Shot | None, sources: Mapping[str, str], own: Sequence[Metric]
) -> dict[str, Any] | None:
    if shot is None:
        return None
    if shot.facts is None or shot.job not in sources:
        return {"fault": shot.fault or "damaged: the clip cannot be read"}
    place = previews.grid(shot.facts["shape"])
    told = {
        "fault": shot.fault, "source": sources[shot.job], "frames": place.frames, "width": place.width,
        "height": place.height, "columns": place.columns, "size": list(shot.facts["shape"][:3]),
        "scores": scores(shot.values, own), "found": [], "iou": [],
    }  # fmt: skip
    # A clip of another system may have another length than its boxes, and has failed for that: none fits it.
    if scene.asked.shape[1] == place.frames:
        tracks = found(store, detector, scene, shot)
        told["found"] = [None if track is None else _track(track) for track in tracks]
        told["iou"] = [
            None if track is None else [_rounded(one) for one in overlap(asked, track)]
            for asked, track in zip(scene.asked, tracks, strict=True)
        ]
    return told


def scores(values: Mapping[str, float | None], own: Sequence[Metric]) -> list[list[str]]:
    """A clip's scores in print: name and text of each."""
    if not values:
        return []
    sim, miou = KNOWN["clip_sim"], KNOWN["miou"]
    shown = [["mIoU", _printed(values, miou)], [sim.title, _printed(values, sim)]]
    if (seen := values.get("n_detected")) is not None:
        words: dict[float | None, str] = {0.0: "no", 1.0: "yes"}
        covered = words.get(values.get("covered"), "in part")
        of = "" if values.get("n_frames") is None else f" of {values['n_frames']:g}"
        shown.append(["covered", f"{covered}, {seen:g}{of}"])
    if (count := values.get("nfe")) is not None:
        shown.append([KNOWN["nfe"].title, evaluations(count)])
    return shown + [[metric.title or metric.name, _printed(values, metric)] for metric in own]


def _printed(values: Mapping[str, float | None], metric: Metric) -> str:
    value = values.get(metric.name)
    text = number(math.nan if value is None else value * metric.scale, metric.decimals)
    return f"{text} {metric.unit}".strip() if value is not None else text


def _track(track: np.ndarray) -> list[list[float | None] | None]:
    """Boxes [F,4] as plain data; null for a frame without one."""
    return [None if np.isnan(box).any() else [_rounded(edge) for edge in box] for box in track]


def _rounded(value: float | None) -> float | None:
    """Four decimals: a quarter of a pixel of the largest frames."""
    return None if value is None or not math.isfinite(value) else round(float(value), 4)
