"""Table 2 from a run's stored set metrics: FID, KID and JEDi of every method, static and dynamic clips together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ivgbench.errors import UserError
from ivgbench.metrics.fid import RESAMPLES
from ivgbench.report import paper
from ivgbench.report.clips import load_sets
from ivgbench.report.tables import REFERENCES, Table, is_pocket, named, ordered, origins, print_label, spell
from ivgbench.report.together import check, check_sets, joined, runs_of
from ivgbench.runs.sets import KID_SUBSETS

#: Below this many videos the biased values (FID, JEDi, KID over frames) say more about the number than the method.
MIN_VIDEOS = 100
#: Printed in percent.
PERCENT = ("kid", "kid_std", "kid_xvideo", "kid_xvideo_low", "kid_xvideo_high")
COUNTS = ("n_videos", "n_frames", "n_expected", "reference_videos", "reference_frames")


def build(runs: str | Path, run: str | Sequence[str] | None, allow_partial: bool) -> Table:
    """Table 2 of a run; `frame` has one row per reference, frame encoder and method, references' own rows last.

    Its columns: `reference`, `encoder`, `method`, `label`; `fid` with `_low` and `_high` (95 %, over videos); `kid` and
    `kid_std` (over random subsets of `kid_subset_size` frames), `kid_xvideo` (without pairs of frames of one video)
    with `_low` and `_high`, all in percent; `dimension` of the frame features; `jedi` (released definition) and
    `jedi_unbiased` with `_low` and `_high`, the same for every encoder; `n_videos`, `n_frames`, `n_expected`,
    `reference_videos`, `reference_frames`; `paper_fid`, `paper_kid`, `paper_kid_std`, `paper_jedi`.

    Raises:
        UserError: no such metrics, a partial run without allow_partial, or runs that cannot be compared.
    """
    rows, manifest = _load(runs, named(run))
    name = manifest["run"]
    partial = _partial(rows)
    if partial and not allow_partial:
        raise UserError(f"run {name!r} is partial: {partial}. Run it again to finish it, or give --allow-partial")
    methods = ordered([row["method"] for row in rows], [*paper.LABELS])
    methods.sort(key=REFERENCES.__contains__)
    rows = sorted(rows, key=lambda row: methods.index(row["method"]))
    lines = []
    for reference in dict.fromkeys(row["reference"] for row in rows):
        for encoder in rows[0]["metrics"]["frames"]:
            lines += [_line(row, encoder) for row in rows if row["reference"] == reference]
    title = f"Table 2. Unconditional evaluation{', pocket lab' if is_pocket(manifest) else ''}"
    return Table(2, title, name, pd.DataFrame(lines), {}, _notes(rows, manifest), partial)


def _load(runs: str | Path, names: Sequence[str | None]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and manifest of a run, or of several as one."""
    loaded = [load_sets(runs, name) for name in names]
    if len(loaded) == 1:
        return loaded[0]
    manifests = [manifest for _, manifest in loaded]
    check(manifests)
    check_sets(loaded)
    rows = {(row["reference"], row["label"]): row for one, _ in loaded for row in one}
    entries = {(one["label"], one["job"]): one for manifest in manifests for one in manifest["jobs"]}
    return list(rows.values()), joined(manifests, list(entries.values()))


def _line(row: Mapping[str, Any], encoder: str) -> dict[str, Any]:
    """A stored row as a line of the frame. What is undefined becomes NaN."""
    metrics = row["metrics"]
    line = {"reference": row["reference"], "encoder": encoder, "method": row["method"]}
    line["label"] = print_label(row["method"], row["label"])
    numbers = {**metrics["video"], **metrics["frames"][encoder]}  # the dimension is that of the frame features
    line |= {key: np.nan if value is None else value for key, value in numbers.items()}
    line |= {key: 100 * line[key] for key in PERCENT}
    told = paper.TABLE2.get(row["method"])
    line |= {key: row[key] for key in COUNTS}
    return line | {f"paper_{key}": np.nan if told is None else getattr(told, key) for key in paper.Table2Row._fields}


def _partial(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """What is missing; None when every method has a clip of every case."""
    short = [row for row in rows if row["method"] not in REFERENCES and row["n_videos"] < row["n_expected"]]
    return f"{short[0]['n_videos']} of {short[0]['n_expected']} cases have a clip of every method" if short else None


def _notes(rows: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What the numbers are: models, references, numbers of videos, definitions."""
    first = rows[0]
    sets = {row["reference"]: f"{row['reference_videos']} videos, {row['reference_frames']} frames" for row in rows}
    sizes = sorted({values["kid_subset_size"] for row in rows for values in row["metrics"]["frames"].values()})
    several = runs_of(manifest) if len(runs_of(manifest)) > 1 else []
    models = [] if several else [f"backbone {spell(manifest['backbone'])}"]
    models += [f"{name}: {id}" for name, id in first["encoders"].items()]
    pocket = "The pocket lab is for relative statements about methods. " if is_pocket(manifest) else ""
    notes = [
        f"{pocket}Models: {'; '.join(models)}.",
        *origins(several),
        f"Per method {first['n_videos']} videos, {first['n_frames']} frames: the same cases for all, static and "
        f"dynamic together. References: {'; '.join(f'{name}: {text}' for name, text in sets.items())}.",
        f"FID: brackets show how far it moves when the method's videos are drawn again ({RESAMPLES} resamples, their "
        "upward shift taken out). It falls with the number of videos: compare rows with each other and with the floor.",
        f"KID: mean ± deviation over {KID_SUBSETS} random subsets of {', '.join(map(str, sizes))} frames, as the "
        "paper prints it; the deviation is no confidence interval. KID×: without pairs of frames of one video, which "
        "KID takes for independent; brackets are 95 % bootstrap intervals over videos.",
        "JEDi: released definition (biased, x100). JEDi u.: unbiased, with its 95 % bootstrap interval over videos. "
        "The paper notes that a low JEDi often means that unusual boxes were not followed.",
        "Ground truth: the asked boxes drawn by the pocket world. Reference again: other videos of the reference's own "
        "source, as many as a method has; no method can be expected to come below. Neither is ranked.",
    ]
    counts = {"method": first["n_videos"], "reference": min(row["reference_videos"] for row in rows)}
    for whose, count in counts.items():
        if count < MIN_VIDEOS:
            warning = f"WARNING: {count} videos per {whose}, fewer than {MIN_VIDEOS}: FID, KID and JEDi are biased at "
            notes.insert(0, f"{warning}such numbers, and differences between rows may be noise (see brackets).")
    return tuple(notes)
