"""Made-up runs in the store's row format."""

from __future__ import annotations

import numpy as np
import pytest

from ivgbench.report import paper
from ivgbench.store.runs import Store


def complete_run(methods=None, splits=("static", "dynamic"), cases=6, seeds=(0,), name="table1", truth=True):
    """(rows, manifest) of a complete run with plausible values that depend on method and case only."""
    methods = list(paper.LABELS) if methods is None else methods
    jobs, rows = [], []
    for split in splits:
        for place, method in enumerate([*methods, *([paper.GROUND_TRUTH] if truth else [])]):
            for case in range(cases):
                for seed in seeds:
                    entry = {
                        "job": f"{split}-{method}-{case}-{seed}",
                        "method": method,
                        "label": method,
                        "options": {},
                        "suite": f"pocket-{split}",
                        "split": split,
                        "case": f"case-{case:02d}",
                        "seed": seed,
                    }
                    jobs.append(entry)
                    rng = np.random.default_rng([place, case, seed, len(split)])
                    best = method == paper.GROUND_TRUTH
                    detected = 8 if best else int(rng.integers(0, 9))
                    overlap = 0.97 if best else float(rng.uniform(0.1, 0.8))
                    values = {
                        "clip_sim": 60.0 if best else 30 + place + float(rng.normal()),
                        "clip_sim_shuffled": 10.0 + float(rng.normal()) * 0.1,
                        "covered": float(detected > 4),
                        "miou": overlap * detected / 8,
                        "miou_volume": overlap * 0.9,
                        "ap50": float(overlap > 0.5) if detected else None,
                        "centroid_distance": (1 - overlap) * 0.3 if detected else None,
                        "n_detected": float(detected),
                        "nfe": 0.0 if best else 20.0 + place,
                        "backward": 0.0,
                        "seconds": 0.01 if best else 1.5 + place,
                    }
                    rows += [row_of(entry, metric, value) for metric, value in values.items()]
    manifest = {
        "run": name,
        "jobs": jobs,
        "backbone": "pocket",
        "detector": "pocket-yolo-0123",
        "clip": "clip-pocket-4567",
    }
    return rows, manifest


def row_of(entry, metric, value, status=None):
    about = {key: entry[key] for key in ("job", "method", "label", "suite", "split", "case", "seed")}
    return {**about, "metric": metric, "value": value, "status": status or ("undefined" if value is None else "ok")}


@pytest.fixture(scope="session")
def make_run():
    return complete_run


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """A store with a whole run: 2 methods and the reference, 2 splits, 4 cases, 2 seeds; its rows and features."""
    store, rng = Store(tmp_path_factory.mktemp("runs")), np.random.default_rng(0)
    rows, manifest = complete_run(["plain", "mask-norm"], cases=4, seeds=(0, 1))
    features = {}
    for entry in manifest["jobs"]:
        job = entry["job"]
        entry["score"] = f"{job}-score"
        video = rng.integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
        pixels = store.save_clip(job, video, {})["pixel_sha256"]
        features[job] = rng.normal(size=(8, 3)) + (entry["label"] == "plain")
        store.save_arrays(manifest["clip"], pixels, {"frames": features[job]})
        values = {row["metric"]: row["value"] for row in rows if row["job"] == job}
        store.save_score(entry["score"], pixels, values, {})
    store.save_manifest("table1", manifest)
    return store, rows, manifest, features
