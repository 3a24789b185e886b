"""What clips are compared with, for FID, KID and JEDi: sets of real videos, or of videos that the pocket world draws.

A source is "world" (the pocket world's own clips), "suite" (the cases of the run's suites, drawn), or a folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ivgbench.cases import Case, Suite
from ivgbench.errors import UserError
from ivgbench.files import digest, file_sha256
from ivgbench.runs import video as videos

if TYPE_CHECKING:
    from ivgbench.runs.spec import RunSpec

DRAWN = ("world", "suite")


@dataclass(frozen=True)
class FileVideo:
    """A video file. `key`: hash of its bytes."""

    path: Path
    key: str

    def load(self) -> np.ndarray:
        """uint8 [F,H,W,3]. UserError when it cannot be read."""
        return videos.decode(self.path)


@dataclass(frozen=True)
class DrawnVideo:
    """A clip that the pocket world draws: its own number `index`, or a `case` with a texture of that number."""

    index: int
    case: Case | None
    key: str

    def load(self) -> np.ndarray:
        from ivgbench.pocket import reference, world

        if self.case is None:
            return world.sample_clip("reference", self.index).video
        return reference.render_case(self.case, self.index, "reference")


Video = FileVideo | DrawnVideo


class ReferenceSet(NamedTuple):
    """Videos in no particular order, and their `floor`: as many others of the same source as a method has.

    What the floor scores against the set is what no method can be expected to beat. It is empty where the source has
    no more videos.
    """

    name: str
    videos: tuple[Video, ...]
    floor: tuple[Video, ...]


def gather(source: str, floor: int, spec: RunSpec, suites: Iterable[Suite], lab: Any) -> ReferenceSet:
    """Picks a spec's `reference_videos` of a source, and `floor` others. The same choice every time.

    Raises:
        UserError: no such folder, or fewer than two videos in it.
    """
    if source not in DRAWN:
        return _from_folder(Path(source), floor, spec)
    drawn, total, first = lab.ground_truth_hash(), spec.reference_videos + floor, spec.reference_seed * 10**6
    cases = [None] if source == "world" else [case for suite in suites for case in suite.cases]
    order = np.random.default_rng(spec.reference_seed).permutation(len(cases))
    made = []
    for number in range(total):
        case, index = cases[order[number % len(cases)]], first + number // len(cases)
        made.append(DrawnVideo(index, case, digest([drawn, index, case and case.content()])))
    return ReferenceSet(source, tuple(made[: spec.reference_videos]), tuple(made[spec.reference_videos :]))


def check(sources: Iterable[str]) -> None:
    """UserError when a source has no videos to give: to be asked before hours of work."""
    for source in sources:
        if source not in DRAWN:
            _files(Path(source))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"--reference {folder}: no such folder (or one of {', '.join(DRAWN)})")
    files = sorted(path for path in folder.rglob("*") if videos.is_video(path))
    if len(files) < 2:
        raise UserError(
            f"--reference {folder}: {len(files)} videos in it; at least 2 are needed ({', '.join(videos.SUFFIXES)})"
        )
    return files


def _from_folder(folder: Path, floor: int, spec: RunSpec) -> ReferenceSet:
    files = _files(folder)
    order = np.random.default_rng(spec.reference_seed).permutation(len(files))[: spec.reference_videos + floor]
    made = tuple(FileVideo(files[place], file_sha256(files[place])) for place in order)
    chosen, spare = made[: spec.reference_videos], made[spec.reference_videos :]
    return ReferenceSet(folder.resolve().name, chosen, spare if len(spare) == floor else ())
