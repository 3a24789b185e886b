"""Peekaboo's released Interactive Motion Control records (imc_inputs.json) as suites.

Two readings, since the papers and the file disagree on what the set is:

* imc-static, imc-dynamic: 34 of the file's 42 prompts, three boxes each in both splits, 102 + 102 cases. The boxes are
  drawn here by the set's rule, with the size, shape and direction the file gives for the prompt.
* imc-json-static, imc-json-dynamic: the file's own 51 stationary and 75 moving boxes, resampled from 16 frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ivgbench import boxes, hub
from ivgbench.cases import Case, Subject, Suite, check_case
from ivgbench.errors import UserError
from ivgbench.suites import scenes
from ivgbench.suites.tracks import IMC_FRAMES, Kind
from ivgbench.texts import read_json

URL = (
    "https://raw.githubusercontent.com/microsoft/Peekaboo/0aa5a86a5bd166ee6f54dfe810840e90b2313ea8/eval/imc_inputs.json"
)
SHA256 = "6d584fcb61e6207e495c575a401b7f018262462065de80e49e8209d7b6b9c162"
NAMES = ("imc-static", "imc-dynamic", "imc-json-static", "imc-json-dynamic")
#: Left out of the 34 (12 that stand still and 22 that move), as in the release's own analysis notebook.
LEFT_OUT = {"telephone box", "spider", "steam train", "vintage car", "grand piano", "sailboat", "street lamp"}
_SIDES = {"Small": 0.25, "Medium": 0.3, "Large": 0.3}
_ASPECTS = {"Square": 0, "Rectangle Horizontal": 1, "Rectangle Vertical": 2}
_AXES = {"Stationary": None, "Left to right": 0, "Up to down": 1}


def fetch() -> Path:
    """Downloads the released file, unless it is here already, and returns where it is."""
    return hub.fetch_file(URL, SHA256, hub.home() / "imc_inputs.json")


def read(file: Path) -> list[Suite]:
    """The four suites of a released file.

    Raises:
        UserError: not such a file; the record and field are named.
    """
    records = read_json(file, "the IMC records")
    if not isinstance(records, list) or not records:
        raise UserError(f"{file}: no list of IMC records")
    found: dict[str, scenes.Scene] = {}
    released: dict[str, list[Case]] = {"static": [], "dynamic": []}
    for number, record in enumerate(records):
        where = f"{file}, record {number}"
        scene, track = _parse(record, where)
        found.setdefault(scene.prompt, scene)
        split = "static" if scene.kind.axis is None else "dynamic"
        metadata = {"split": split, "rule": "imc-json"}
        case = Case(f"imc-{record['id']}", scene.prompt, (Subject(scene.phrase, track),), metadata)
        released[split].append(check_case(case, where, scenes.FRAMES))
    chosen = [scene for scene in found.values() if scene.phrase not in LEFT_OUT]
    about = f"{len(chosen)} IMC prompts, {scenes.TRACKS} boxes each drawn by the imc rule"
    drawn = [scenes.draw(f"imc-{split}", chosen, split, f"{about}, {split}") for split in released]
    about = f"the boxes released with IMC, {IMC_FRAMES} frames resampled to {scenes.FRAMES}"
    return drawn + [
        Suite(f"imc-json-{split}", scenes.FRAMES, tuple(cases), f"{about}, {split}")
        for split, cases in released.items()
        if cases
    ]


def _parse(record: Any, where: str) -> tuple[scenes.Scene, np.ndarray]:
    """A record's scene, and its boxes as xyxy [F,4].

    The file's README says x first, but the file has rows first: what is labelled "Up to down" moves in the first
    coordinate, and what is labelled horizontal is longer in the second. So the axes are swapped here.
    """
    try:
        about = record["metadata"]
        kind = Kind(_SIDES[about["bounding_box_size"]], _ASPECTS[about["aspect_ratio"]], _AXES[about["motion"]])
        track = np.asarray(record["bboxes"], dtype=np.float64)
        scene = scenes.Scene(record["caption"], record["subject"].strip().lower(), kind)
        if not isinstance(record["id"], int) or track.ndim != 2 or track.shape[1] != 4 or not len(track):
            raise ValueError("an id or boxes of another kind")
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise UserError(f"{where}: not an IMC record ({type(fault).__name__}: {fault})") from None
    return scene, np.round(boxes.resample(track[:, [1, 0, 3, 2]], scenes.FRAMES), 6)
