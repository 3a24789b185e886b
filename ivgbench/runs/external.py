"""Videos of any other system: files matched with a suite's cases become the clips of a run that is only measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ivgbench.cases import Case, Suite
from ivgbench.errors import UserError
from ivgbench.runs import references as reference_sets
from ivgbench.runs.identity import EXTERNAL, UNSAMPLED, Entry, Job
from ivgbench.runs.judging import with_judges
from ivgbench.runs.lab import Facts
from ivgbench.runs.matching import Matches, by_manifest, by_name, shown
from ivgbench.runs.planning import Plan, split_of
from ivgbench.runs.progress import log
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store import video as videos
from ivgbench.store.runs import Store


def import_videos(
    folder: Path | None,
    suite: Suite,
    label: str,
    store: Store,
    manifest: Path | None = None,
    name: str | None = None,
    **judges: Any,
) -> Plan:
    """Copies videos into the store, and plans their run; `matching` says which video is of which case.

    A case without a readable video is a failed job with its reason, as anywhere else. The plan's notes name every file
    that was not used. Samples of a case are its seeds: each case is expected to have all that any case has. What the
    videos cost is unknown.

    Args:
        folder: of videos named after cases; may be None with a manifest. manifest: CSV or JSONL of case and file.
        name: the run's; by default made of what is scored.
        judges: fields of `RunSpec` (detector, clip, references and their encoders).
    Raises:
        UserError: no such folder, not one video in it that is named after a case, or judges that do not fit the suite.
    """
    found = _match(folder, manifest, suite)
    seeds = found.samples()
    row = MethodSpec(EXTERNAL, label=label)
    asked = with_judges(
        RunSpec("score" if name is None else name, (row,), EXTERNAL, (suite.name,), seeds=tuple(seeds), **judges),
        [suite],
    )
    reference_sets.check(asked.references)
    entries = tuple(_import(case, seed, found, suite, label, store) for case in suite.cases for seed in seeds)
    made_of = MethodSpec(EXTERNAL, {"videos": [entry.job.weights for entry in entries]}, label)
    spec = replace(asked, methods=(made_of,))
    if name is None:
        spec = replace(spec, name=spec.named_by_content("score").name)
    facts = Facts(EXTERNAL, "", UNSAMPLED, suite.frames)
    return Plan(spec, facts, {suite.name: suite}, entries, tuple(found.notes()))


def _match(folder: Path | None, manifest: Path | None, suite: Suite) -> Matches:
    """UserError when nothing says where the videos are, or not one of them is of a case."""
    if manifest is not None:
        found, source = by_manifest(manifest, suite, folder), f"--manifest {manifest}"
        if not found.files:
            why = [*found.faults.values(), *found.notes(), "it has no record below the names of its columns"][0]
            raise UserError(f"{source}: it names no video of a case of {suite.name}; {why}")
    elif folder is not None:
        found, source = by_name(folder, suite), f"--videos {folder}"
        if not found.files:
            why = "".join(f"; {note}" for note in found.notes()[:1])
            raise UserError(
                f"{source}: no video is named after a case of {suite.name}, e.g. {suite.cases[0].id}.mp4, or after its "
                f"prompt (one of {', '.join(videos.SUFFIXES)}){why}"
            )
    else:
        raise UserError("where are the videos? give --videos FOLDER, or --manifest FILE")
    return found


def _import(case: Case, seed: int, found: Matches, suite: Suite, label: str, store: Store) -> Entry:
    fault, clip = None, None
    paths = found.files.get((case.id, seed), [])
    if len(paths) == 1:
        try:
            clip = videos.decode(paths[0])
        except UserError as error:
            fault = str(error)
    elif paths:
        fault = f"several videos: {', '.join(map(shown, paths))}"
    else:
        name = f"{case.id}-{seed}" if seed else case.id
        fault = found.faults.get((case.id, seed), f"no video {name}.* in {found.source}")
    # What could not be read is told apart by why: two systems that lack a case are two jobs, each with its reason.
    pixels = f"none: {fault}" if clip is None else videos.pixel_sha256(clip)
    job = Job(case, EXTERNAL, {}, {}, 1, EXTERNAL, pixels, UNSAMPLED, seed)
    entry = Entry(job, suite.name, case, label, split_of(suite, case))
    if clip is not None:
        facts: dict[str, Any] = {"spec": job.identity(), "nfe": None, "backward": None, "seconds": None}
        try:
            store.save_clip(job.id, clip, {**facts, "file": shown(paths[0])})
            return entry
        except UserError as error:  # a size that cannot be stored
            fault = f"{shown(paths[0])}: {error}"
    log(f"failed: {entry.describe()}: {fault}")
    store.fail(job.id, str(fault), {"spec": job.identity()})
    return entry
