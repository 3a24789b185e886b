"""A run on one page to send around: its tables, and clips of every method side by side. Nothing is loaded from outside.

Everything that comes from a user (prompts, labels, reasons of failures) is escaped by the template.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ivgbench import boxes
from ivgbench.files import write_text
from ivgbench.metrics.catalogue import KNOWN
from ivgbench.report import layout, notes, settings_notes, tables
from ivgbench.report.figures import BOX_COLOURS
from ivgbench.runs.identity import row_name
from ivgbench.store import video as videos
from ivgbench.store.runs import Store

#: Cases of each suite and split whose clips are shown: the first ones, not the best ones.
CASES = 3
#: Pixels that the short side of a clip has at least.
SHORT_SIDE = 160
LINE = 2
#: What tells scenes apart: two suites may use one id, and ask for the same pixels.
SCENE = ("suite", "split", "case", "seed")


def report(runs: str | Path, run: str | None, out: Path, allow_partial: bool = False, cases: int = CASES) -> Path:
    """Writes the page of a run. It carries no date: the same results give the same bytes.

    Args:
        run: its name; None: as `Store.choose` says, with table1 as the default.
        cases: how many of each suite and split to show.
    Raises:
        UserError: no such run, or a partial one without allow_partial.
    """
    store = Store(runs)
    run = store.choose(run, "table1")
    rows, manifest = store.load_rows(run)
    built = [tables.build(1, runs, run, allow_partial)]
    if store.set_rows(run):
        built.append(tables.build(2, runs, run, allow_partial))
    environment = Environment(
        loader=PackageLoader("ivgbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("report.html").render(
        run=run,
        pocket=notes.is_pocket(manifest),
        tables=[(table, layout.blocks(table)) for table in built],
        scenes=_scenes(store, manifest["jobs"], rows, cases),
        failures=_failures(rows),
        facts=_facts(manifest),
    )
    write_text(out, page)
    return out


def _scenes(
    store: Store, jobs: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], cases: int
) -> list[dict[str, Any]]:
    """The first cases of each suite's splits, each with the clips of its methods; a clip that is not there says so."""
    scores = {(row["label"], *map(row.get, SCENE), row["metric"]): row["value"] for row in rows}
    found: dict[tuple, dict[str, Any]] = {}
    told = settings_notes.by_label(jobs)
    for job in jobs:
        key = tuple(map(job.get, SCENE))
        if key not in found:
            if sum(scene[:2] == key[:2] for scene in found) == cases:
                continue
            found[key] = {**dict(zip(SCENE, key, strict=True)), "prompt": "", "clips": []}
        label = settings_notes.beside(tables.print_label(job["method"], job["label"]), told[job["label"]])
        clip: dict[str, Any] = {"label": label, "video": None, "scores": ""}
        if (facts := store.intact_sidecar(job["job"])) is not None:
            asked = facts["spec"]["case"]
            found[key]["prompt"] = asked["prompt"]
            tracks = [np.array(subject["boxes"]) for subject in asked["subjects"]]
            clip["video"] = _playable(store.clip(job["job"]), tracks)
            miou, sim = (scores.get((job["label"], *key, name)) for name in ("miou", "clip_sim"))
            if miou is not None and sim is not None:
                clip["scores"] = f"mIoU {KNOWN['miou'].scale * miou:.1f} %, {KNOWN['clip_sim'].title} {sim:.1f}"
        found[key]["clips"].append(clip)
    return list(found.values())


def _playable(video: np.ndarray, tracks: Sequence[np.ndarray]) -> str:
    """A clip uint8 [F,H,W,3] with its boxes drawn in, as the base64 of an MP4 file.

    A clip of another length than its boxes (another system's, failed for that) is shown without them.
    """
    large = videos.enlarged(video, SHORT_SIDE)
    for number, track in enumerate(tracks):
        if len(track) != len(video):
            continue
        colour = BOX_COLOURS[number % len(BOX_COLOURS)].removeprefix("#")
        large[outlines(track, *large.shape[1:3])] = list(bytes.fromhex(colour))
    return base64.b64encode(videos.encode(large, lossless=False)).decode()


def outlines(track: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels of the lines of boxes [F,4] in a frame of a size: bool [F,H,W], lines inside the boxes."""
    inset = np.array([LINE / width, LINE / height, -LINE / width, -LINE / height])
    inner = track + inset
    # A box that is thinner than its lines is filled.
    inner[(inner[:, 2] <= inner[:, 0]) | (inner[:, 3] <= inner[:, 1])] = 0
    return boxes.rasterise(track, height, width) & ~boxes.rasterise(inner, height, width)


def _failures(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{row_name(row['label'])}, suite {row['suite']}, case {row['case']}, seed {row['seed']}: {row['status']}"
        for row in rows
        if row["metric"] in ("failed", "missing")
    ]


def _facts(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """What the run was made with, a line each."""
    named = [(name, notes.spell(manifest[name])) for name in ("backbone", "detector", "clip")]
    suites = [(f"suite {name}", sha256[:12]) for name, sha256 in manifest["suites"].items()]
    made = [(name, str(value)) for name, value in manifest["environment"].items() if value is not None]
    return [*named, *suites, *made]
