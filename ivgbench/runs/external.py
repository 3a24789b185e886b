"""Videos of any other system: files named after a suite's cases become the clips of a run that is only measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ivgbench.cases import Case, Suite
from ivgbench.errors import UserError
from ivgbench.runs import references as reference_sets
from ivgbench.runs import video as videos
from ivgbench.runs.identity import EXTERNAL, Entry, Job
from ivgbench.runs.judging import with_judges
from ivgbench.runs.lab import Facts
from ivgbench.runs.planning import Plan, split_of
from ivgbench.runs.progress import log
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.runs.store import Store


def import_videos(
    folder: Path,
    suite: Suite,
    label: str,
    store: Store,
    **judges: Any,
) -> Plan:
    """Copies a folder's videos (CASE_ID.mp4 and the like) into the store, and plans their run.

    A case without a readable video is a failed job with its reason, as anywhere else. What the videos cost is unknown.

    Args:
        judges: fields of `RunSpec` (detector, clip, references and their encoders).
    Raises:
        UserError: no such folder, not one video in it that is named after a case, or judges that do not fit the suite.
    """
    if not folder.is_dir():
        raise UserError(f"--videos {folder}: there is no such folder")
    files = [path for path in sorted(folder.iterdir()) if videos.is_video(path)]
    present = {case.id: [path for path in files if path.stem == case.id] for case in suite.cases}
    if not any(present.values()):
        raise UserError(
            f"--videos {folder}: no video is named after a case of {suite.name}, e.g. {suite.cases[0].id}.mp4 "
            f"(one of {', '.join(videos.SUFFIXES)})"
        )
    asked = with_judges(
        RunSpec("score", (MethodSpec(EXTERNAL, label=label),), EXTERNAL, (suite.name,), **judges), [suite]
    )
    reference_sets.check(asked.references)
    entries = tuple(_import(case, present[case.id], suite, label, store, folder) for case in suite.cases)
    made_of = MethodSpec(EXTERNAL, {"videos": [entry.job.weights for entry in entries]}, label)
    spec = replace(asked, methods=(made_of,)).named_by_content("score")
    return Plan(spec, Facts(EXTERNAL, "", 0, 0.0, suite.frames, None), {suite.name: suite}, entries)


def _import(case: Case, paths: list[Path], suite: Suite, label: str, store: Store, folder: Path) -> Entry:
    fault, clip = None, None
    if len(paths) == 1:
        try:
            clip = videos.decode(paths[0])
        except UserError as error:
            fault = str(error)
    else:
        fault = f"several videos: {', '.join(p.name for p in paths)}" if paths else f"no video {case.id}.* in {folder}"
    # What could not be read is told apart by why: two systems that lack a case are two jobs, each with its reason.
    pixels = f"none: {fault}" if clip is None else videos.pixel_sha256(clip)
    job = Job(case, EXTERNAL, {}, {}, 1, EXTERNAL, pixels, None, 0, 0.0, None, 0, "uint8")
    entry = Entry(job, suite.name, case, label, split_of(suite, case))
    if clip is None:
        log(f"failed: {entry.describe()}: {fault}")
        store.fail(job.id, fault, {"spec": job.identity()})
    else:
        facts: dict[str, Any] = {"spec": job.identity(), "nfe": None, "backward": None, "seconds": None}
        store.save_clip(job.id, clip, {**facts, "file": paths[0].name})
    return entry
