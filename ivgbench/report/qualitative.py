"""Figures 1 and 4: the same case under several methods of a run, one sheet per split, from the stored clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ivgbench.errors import UserError
from ivgbench.report import paper, settings_notes
from ivgbench.report.figures import contact_sheet
from ivgbench.runs.identity import row_name
from ivgbench.store.runs import Store

#: What tells scenes apart, within a split.
SCENE = ("suite", "case", "seed")
#: Figure 1: the rows that it shows, and how many frames.
TEASER, TEASER_FRAMES = ("plain", "mask-norm-tid"), 4


def figure4(runs: str | Path, run: str | None, out: str | Path, case: str | None = None) -> list[Path]:
    """Writes OUT/figure4-SPLIT.png (and .svg) for each split of a run: rows are methods, columns frames, with boxes.

    Args:
        run: a run's name; None: as `Store.choose` says, with table1 as the default.
        case: an id; by default the first case of each split.
    Raises:
        UserError: an unknown case, or a clip of it that is not there.
    """
    return _sheets(4, runs, run, out, case, None)


def figure1(runs: str | Path, run: str | None, out: str | Path, case: str | None = None) -> list[Path]:
    """Figure 1, the teaser strip: the plain model above the full method, a few frames. Otherwise as `figure4`."""
    return _sheets(1, runs, run, out, case, TEASER)


def _sheets(
    number: int, runs: str | Path, run: str | None, out: str | Path, case: str | None, methods: tuple[str, ...] | None
) -> list[Path]:
    """A sheet per split with all rows and frames, or with the given methods' rows and some frames."""
    store = Store(runs)
    run = store.choose(run, "table1")
    jobs = store.manifest(run)["jobs"]
    if case is not None and case not in {job["case"] for job in jobs}:
        raise UserError(f"run {run!r} has no case {case!r}; its first is {jobs[0]['case']!r}")
    if methods is not None:
        jobs = [job for job in jobs if job["label"] in methods]
        if lacking := set(methods) - {job["label"] for job in jobs}:
            raise UserError(f"figure {number}: run {run!r} has no row {sorted(lacking)[0]!r}; choose another --run")
    written, told = [], settings_notes.by_label(jobs)
    for split in dict.fromkeys(job["split"] for job in jobs):
        mine = [job for job in jobs if job["split"] == split and case in (None, job["case"])]
        if not mine:
            continue
        first = [*map(mine[0].get, SCENE)]
        mine = [job for job in mine if [*map(job.get, SCENE)] == first]
        clips, prompt = [], ""
        for job in mine:
            facts = store.intact_sidecar(job["job"])
            if facts is None:
                failed = store.failure(job["job"])
                what = (
                    "run it again first" if failed is None else f"failed: {failed}; another case is shown by --case ID"
                )
                raise UserError(f"no clip of {row_name(job['label'])}, case {job['case']}, in run {run!r}; {what}")
            asked = facts["spec"]["case"]
            prompt = asked["prompt"]
            video = store.clip(job["job"])
            shown = np.arange(len(video))
            if methods is not None:
                shown = np.linspace(0, len(video) - 1, min(TEASER_FRAMES, len(video))).round().astype(int)
            tracks = [np.array(subject["boxes"]) for subject in asked["subjects"]]
            # Another system's clip may have another length than the case, and has failed for that: no boxes fit it.
            tracks = [track[shown] for track in tracks if len(track) == len(video)]
            label = settings_notes.beside(paper.print_name(job["label"]), told[job["label"]])
            clips.append((label, video[shown], tracks))
        title = f"{prompt}   ({split}, case {mine[0]['case']}, seed {mine[0]['seed']})"
        written.append(contact_sheet(clips, Path(out) / f"figure{number}-{split}.png", title))
    if not written:
        raise UserError(f"run {run!r} has no jobs; run it again with at least one method")
    return written
