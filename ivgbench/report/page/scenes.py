"""What a run has to look at: its rows, its cases, and every clip with what was asked, found and scored."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivgbench import boxes
from ivgbench.report import settings_notes
from ivgbench.report.printed import print_label
from ivgbench.report.ranking import REFERENCES
from ivgbench.runs.scoring import detection_key
from ivgbench.store.runs import Store

#: What tells scenes apart: two suites may use one id, and ask for the same pixels.
SCENE = ("suite", "split", "case", "seed")


@dataclass(frozen=True)
class Row:
    """A row of the run's tables. reference: it is no method. about: its settings in one line, "" for none."""

    label: str
    name: str
    settings: str
    about: str
    reference: bool


@dataclass(frozen=True)
class Shot:
    """A clip of a scene, or why there is none.

    fault: "", or why there is no clip or no score of it. facts: shape and hashes from its sidecar; None without a clip.
    values: its metrics by name.
    """

    job: str
    fault: str
    facts: Mapping[str, Any] | None
    values: Mapping[str, float | None]


@dataclass
class Scene:
    """A case at a seed under all rows. asked: [K,F,4], a track for each phrase; shots: by the row's number."""

    suite: str
    split: str
    case: str
    seed: int
    prompt: str = ""
    phrases: tuple[str, ...] = ()
    asked: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 4)))
    shots: dict[int, Shot] = field(default_factory=dict)


def collect(
    store: Store, manifest: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> tuple[list[Row], list[Scene]]:
    """The rows (references last) and the scenes of a run, in the manifest's order.

    results: as `Store.load_rows` gives them.
    """
    jobs, told = manifest["jobs"], settings_notes.by_label(manifest["jobs"])
    rows: dict[str, Row] = {}
    for job in jobs:
        label, method = job["label"], job["method"]
        settings, about = told[label]
        name = print_label(method, label)
        rows.setdefault(label, Row(label, name, settings if about else "", about, method in REFERENCES))
    rows = {row.label: row for row in sorted(rows.values(), key=lambda row: row.reference)}  # as in the tables
    numbers = {label: number for number, label in enumerate(rows)}
    scored: dict[tuple, dict[str, float | None]] = {}
    faults: dict[tuple, str] = {}
    for one in results:
        key = (one["label"], *map(one.get, SCENE))
        if one["metric"] in ("failed", "missing"):
            faults[key] = one["status"]
        else:
            scored.setdefault(key, {})[one["metric"]] = one["value"]
    scenes: dict[tuple, Scene] = {}
    for job in jobs:
        key = tuple(map(job.get, SCENE))
        scene = scenes.setdefault(key, Scene(*key))
        facts = store.intact_sidecar(job["job"])
        if not scene.prompt:
            spec = store.attempted(job["job"]) if facts is None else facts.get("spec", {})
            _ask(scene, spec.get("case", {}))
        fault = faults.get((job["label"], *key), "")
        if facts is None and not fault.startswith("failed"):
            there = store.video_path(job["job"]).exists()
            fault = "damaged: the clip's file is not as it was written" if there else "missing: not made yet"
        elif facts is not None and fault == "missing":
            fault = "missing: this clip is not scored yet"
        kept = None if facts is None else {name: facts[name] for name in ("shape", "pixel_sha256", "video_sha256")}
        shot = Shot(job["job"], fault, kept, scored.get((job["label"], *key), {}))
        scene.shots.setdefault(numbers[job["label"]], shot)
    return list(rows.values()), list(scenes.values())


def _ask(scene: Scene, case: Mapping[str, Any]) -> None:
    """Fills in what was asked, as any of the scene's jobs has it: one that failed, too."""
    subjects = [one for one in case.get("subjects", ()) if one.get("boxes")]
    scene.prompt = case.get("prompt", "")
    scene.phrases = tuple(one.get("phrase") or "" for one in subjects)
    if subjects:
        scene.asked = np.array([one["boxes"] for one in subjects], float)


def found(store: Store, detector: str, scene: Scene, shot: Shot) -> list[np.ndarray | None]:
    """The detected boxes of each phrase in a clip, [F,4] with NaN where there is none; None where none looked."""
    tracks: list[np.ndarray | None] = []
    facts = shot.facts
    if facts is None:  # there is no clip
        return [None for _ in scene.phrases]
    for phrase in scene.phrases:
        # A job keeps its phrases composed; they were looked for as they were given.
        spellings = dict.fromkeys((phrase, unicodedata.normalize("NFD", phrase)))
        seen = (store.arrays(detector, detection_key(facts["pixel_sha256"], one)) for one in spellings)
        track = next((one["boxes"] for one in seen if one is not None and "boxes" in one), None)
        fits = track is not None and np.shape(track) == (facts["shape"][0], 4)
        tracks.append(np.asarray(track, float) if fits else None)
    return tracks


def overlap(asked: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """IoU of each frame, [F] of boxes [F,4]: 0 where nothing was found, NaN where nothing was asked."""
    each = np.where(np.isnan(detected).any(1), 0.0, boxes.iou(asked, np.nan_to_num(detected)))
    return np.where(boxes.area(asked) > 0, each, np.nan)
