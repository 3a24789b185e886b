"""What clips are compared with, for FID, KID and JEDi: sets of real videos, or of videos that the pocket world draws.

A source is "world" (the pocket world's own clips), "suite" (the cases of the run's suites, drawn), a folder of videos
(./world where it is called like one of these), or a file of statistics (.npz, for FID alone).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.runs import reference_folders, reference_statistics
from ivgbench.runs.progress import log
from ivgbench.runs.reference_folders import FileVideo
from ivgbench.runs.reference_statistics import Statistics

if TYPE_CHECKING:
    from ivgbench.runs.planning import Plan
    from ivgbench.store.runs import Store

DRAWN = ("world", "suite")


@dataclass(frozen=True)
class DrawnVideo:
    """A clip that the pocket world draws: its own number `index`, or a `case` with a texture of that number."""

    index: int
    case: Case | None
    key: str

    def load(self) -> np.ndarray:
        from ivgbench import world
        from ivgbench.world import reference

        if self.case is None:
            return world.sample_clip("reference", self.index).video
        return reference.render_case(self.case, self.index, "reference")


Video = FileVideo | DrawnVideo


class ReferenceSet(NamedTuple):
    """Videos in no particular order, and their `floor`: as many others of the same source as a method has.

    What the floor scores against the set is what no method can be expected to beat. It is empty where the source has
    no more videos. A source of `statistics` has no videos at all. unreadable, copies: what of a folder does not count,
    as in `reference_folders.Found`.
    """

    name: str
    videos: tuple[Video, ...] = ()
    floor: tuple[Video, ...] = ()
    statistics: Statistics | None = None
    unreadable: Mapping[str, str] = MappingProxyType({})
    copies: Mapping[str, str] = MappingProxyType({})


def named(sources: Iterable[str]) -> dict[str, str]:
    """Different sources -> the names they go by: as much of the end of a path as tells it from the others.

    A folder that is named twice, by whatever path, counts once.
    """
    paths: dict[Path, str] = {}
    for source in sources:
        if source not in DRAWN:
            paths.setdefault(Path(source).resolve(), source)
    names = {source: source for source in sources if source in DRAWN}
    for path, source in paths.items():
        others = [other.parts for other in paths if other != path] + [(name,) for name in DRAWN]
        length = 1
        while length < len(path.parts) and any(path.parts[-length:] == other[-length:] for other in others):
            length += 1
        names[source] = "/".join(path.parts[-length:]).replace("//", "/")
    return {source: names[source] for source in sources if source in names}


def gather(source: str, name: str, floor: int, plan: Plan, store: Store, lab: Any, engine: Any) -> ReferenceSet:
    """Picks a spec's `reference_videos` of a source, and `floor` others. The same choice every time.

    Raises:
        UserError: no such folder, fewer than two videos in it that can be read, statistics that are none; in a
            `strict` run a video that cannot be read.
    """
    spec = plan.spec
    if source in DRAWN:
        return _drawn(source, floor, plan, lab)
    if reference_statistics.is_meant(source):
        return ReferenceSet(name, statistics=reference_statistics.load(Path(source)))
    total = spec.reference_videos + floor
    draw = np.random.default_rng(spec.reference_seed)

    def order(count: int) -> list[int]:
        return draw.permutation(count).tolist()

    found = reference_folders.find(Path(source), order, total, store, lab, engine)
    for place, reason in found.unreadable.items():
        log(f"reference {name}: left out: {place}: {reason}")
    for place, first in found.copies.items():
        log(f"reference {name}: left out: {place} is a copy of {first}")
    if found.unreadable or found.copies:
        log(f"reference {name}: left out: {len(found.unreadable)} not read, {len(found.copies)} copies")
    if found.unreadable and spec.strict:
        place, reason = next(iter(found.unreadable.items()))
        raise UserError(
            f"--reference {source}: {place}: {reason} ({len(found.unreadable)} such files; --strict leaves none out)"
        )
    if len(found.videos) < 2:
        raise UserError(
            f"--reference {source}: at least 2 videos are needed, and it has {len(found.videos)} that can be read and "
            f"is no copy (not read: {len(found.unreadable)}, copies: {len(found.copies)})"
        )
    chosen, spare = found.videos[: spec.reference_videos], found.videos[spec.reference_videos :]
    return ReferenceSet(
        name, chosen, spare if len(spare) == floor else (), unreadable=found.unreadable, copies=found.copies
    )


def _drawn(source: str, floor: int, plan: Plan, lab: Any) -> ReferenceSet:
    spec = plan.spec
    drawn, total, first = lab.world_version(), spec.reference_videos + floor, spec.reference_seed * 10**6
    cases = [None] if source == "world" else [case for suite in plan.suites.values() for case in suite.cases]
    order = np.random.default_rng(spec.reference_seed).permutation(len(cases))
    made = []
    for number in range(total):
        case, index = cases[order[number % len(cases)]], first + number // len(cases)
        made.append(DrawnVideo(index, case, digest([drawn, index, case and case.content()])))
    return ReferenceSet(source, tuple(made[: spec.reference_videos]), tuple(made[spec.reference_videos :]))


def check(sources: Iterable[str]) -> None:
    """UserError when a source has no videos to give: to be asked before hours of work."""
    for source in sources:
        if source in DRAWN:
            continue
        if reference_statistics.is_meant(source):
            reference_statistics.load(Path(source))
        elif len(files := reference_folders.files(Path(source))) < 2:
            raise UserError(
                f"--reference {source}: {len(files)} videos in it; at least 2 are needed "
                f"({', '.join(reference_folders.videos.SUFFIXES)})"
            )
