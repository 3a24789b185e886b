"""A made-up run to look at: clips of a white box that moves, found where it is; its prompts are markup."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_runs import complete_run

from ivgbench.boxes import rasterise
from ivgbench.runs.scoring import detection_key
from ivgbench.store.runs import Store

EVIL = "</script><img src=x onerror=\"document.title='owned'\"> & <!-- \u2028"
HEIGHT, WIDTH, FRAMES = 48, 80, 8
DETECTOR = "pocket-yolo-0123"


def track(case: int, late: float = 0.0) -> np.ndarray:
    """Boxes [F,4] of a subject that crosses the frame; late: how far behind it stays at the end."""
    start = np.linspace(0.05, 0.55 - late, FRAMES)
    high = 0.1 + 0.05 * (case % 6)
    return np.stack([start, np.full(FRAMES, high), start + 0.3, np.full(FRAMES, high + 0.4)], 1).round(4)


def shown_run(root: Path, cases: int = 4, methods: tuple[str, ...] = ("plain", "mask-norm")) -> Store:
    """A whole run "table1" of two splits in a new store. Case 1 has two subjects; every prompt ends in markup."""
    store = Store(root)
    rows, manifest = complete_run(list(methods), cases=cases)
    values: dict[str, dict] = {}
    for row in rows:
        values.setdefault(row["job"], {})[row["metric"]] = row["value"]
    for place, entry in enumerate(manifest["jobs"]):
        number = int(entry["case"][-2:])
        phrases = ["red star", "blue ring"] if number == 1 else ["red star"]
        asked = [track(number + 3 * subject) for subject in range(len(phrases))]
        late = 0.0 if entry["method"] == "ground-truth" else 0.05 * (1 + place % 5)
        found = [track(number + 3 * subject, late) for subject in range(len(phrases))]
        video = np.full((FRAMES, HEIGHT, WIDTH, 3), 20 + 25 * (place % 4), np.uint8)
        for boxes in found:
            video[rasterise(boxes, HEIGHT, WIDTH)] = (250, 250, 250)
        case = {
            "prompt": f"a red star and a blue ring, case {number} {EVIL}",
            "subjects": [{"phrase": one, "boxes": boxes.tolist()} for one, boxes in zip(phrases, asked, strict=True)],
        }
        facts = store.save_clip(entry["job"], video, {"spec": {"case": case}})
        for phrase, boxes in zip(phrases, found, strict=True):
            seen = boxes.copy()
            if late > 0.2:
                seen[-1] = np.nan  # lost in the last frame
            key = detection_key(facts["pixel_sha256"], phrase)
            store.save_arrays(DETECTOR, key, {"boxes": seen, "scores": np.ones(FRAMES)})
        entry["score"] = f"{entry['job']}-score"
        store.save_score(entry["score"], facts["pixel_sha256"], values[entry["job"]] | {"n_frames": 8.0}, {})
    manifest |= {"suites": {"s": "ab" * 32}, "environment": {"torch": "9.9", "ray": None}, "detector": DETECTOR}
    store.save_manifest("table1", manifest)
    return store
