"""Figure 4: the same case under every method of a run, one sheet per split, from the stored clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ivgbench.errors import UserError
from ivgbench.report import paper
from ivgbench.report.figures import contact_sheet
from ivgbench.runs.store import Store


def figure4(runs: str | Path, run: str | None, out: str | Path, case: str | None = None) -> list[Path]:
    """Writes OUT/figure4-SPLIT.png for each split of a run: rows are methods, columns frames, boxes as asked.

    Args:
        run: a run's name; None: as `Store.choose` says, with table1 as the default.
        case: an id; by default the first case of each split.
    Raises:
        UserError: an unknown case, or a clip of it that is not there.
    """
    store = Store(runs)
    run = store.choose(run, "table1")
    jobs = store.manifest(run)["jobs"]
    if case is not None and case not in {job["case"] for job in jobs}:
        raise UserError(f"run {run!r} has no case {case!r}; its first is {jobs[0]['case']!r}")
    written = []
    for split in dict.fromkeys(job["split"] for job in jobs):
        mine = [job for job in jobs if job["split"] == split and case in (None, job["case"])]
        mine = [job for job in mine if (job["case"], job["seed"]) == (mine[0]["case"], mine[0]["seed"])]
        if not mine:
            continue
        clips, prompt = [], ""
        for job in mine:
            sidecar = store.sidecar(job["job"])
            if sidecar is None:
                raise UserError(f"no clip of {job['label']}, case {job['case']}, in run {run!r}; run it again first")
            asked = sidecar["spec"]["case"]
            prompt = asked["prompt"]
            tracks = [np.array(subject["boxes"]) for subject in asked["subjects"]]
            clips.append((paper.print_name(job["label"]), store.clip(job["job"]), tracks))
        title = f"{prompt}   ({split}, case {mine[0]['case']}, seed {mine[0]['seed']})"
        written.append(contact_sheet(clips, Path(out) / f"figure4-{split}.png", title))
    return written
