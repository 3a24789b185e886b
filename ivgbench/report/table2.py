"""Table 2 from a run's stored set metrics: FID, KID and JEDi of every method, static and dynamic clips together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ivgbench.errors import UserError
from ivgbench.metrics.catalogue import BY_FRAMES, COLUMN
from ivgbench.metrics.fid import RESAMPLES
from ivgbench.report import paper, settings_notes
from ivgbench.report.loading import load_sets, named
from ivgbench.report.notes import is_pocket, ordered, origins, spell
from ivgbench.report.printed import Table, print_label
from ivgbench.report.ranking import MIN_VIDEOS, REFERENCES, RULE, few_videos
from ivgbench.report.together import check, check_sets, joined, runs_of
from ivgbench.runs.comparing import KID_FRAMES, KID_SUBSETS, jedi_name
from ivgbench.runs.settings_text import NOTHING

#: What a row has for every encoder of frames, even where it is undefined.
FRAME_NUMBERS = (
    *COLUMN["fid"].columns(), *COLUMN["kid"].columns(), "kid_subset_size", *COLUMN["kid_xvideo"].columns(), "dimension",
)  # fmt: skip
#: How many files that do not count are named.
NAMED = 5
COUNTS = ("n_videos", "n_frames", "n_expected", "reference_videos", "reference_frames")


def build(runs: str | Path, run: str | Sequence[str] | None, allow_partial: bool) -> Table:
    """Table 2 of a run, one row per reference, frame encoder and method, references' own rows last.

    Its columns: `reference`, `encoder`, `method`, `label`, `settings`; `fid` with `_low` and `_high` (95 %, over
    videos); `kid` and `kid_std` (over random subsets of `kid_subset_size` frames), `kid_xvideo` (without pairs of
    frames of one video) with `_low` and `_high`, all in percent; `dimension` of the frame features; `jedi` (released
    definition) and `jedi_unbiased` with `_low` and `_high`, the same for every encoder, and no such columns in a run
    without an encoder of videos; `n_videos`, `n_frames`, `n_expected`, `reference_videos`, `reference_frames`;
    `paper_fid`, `paper_kid`, `paper_kid_std`, `paper_jedi`. What is undefined is NaN.

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
    lines, told = [], settings_notes.by_label(manifest["jobs"])
    for reference in dict.fromkeys(row["reference"] for row in rows):
        for encoder in ordered([name for row in rows for name in row["metrics"]["frames"]], []):
            lines += [_line(row, encoder, told) for row in rows if row["reference"] == reference]
    names = _told(list(dict.fromkeys(line["encoder"] for line in lines)))
    lines = [{**line, "encoder": names[line["encoder"]]} for line in lines]
    title = f"Table 2. Unconditional evaluation{', pocket lab' if is_pocket(manifest) else ''}"
    notes = _notes(rows, manifest, few_videos(lines))
    return Table(2, title, name, lines, {}, notes, partial, whole=(*COUNTS, "kid_subset_size", "dimension"))


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


def _told(encoders: Sequence[str]) -> dict[str, str]:
    """Encoders in print: their files by name, not by place, wherever that tells them apart."""
    short = {}
    for name in encoders:
        kind, colon, files = name.partition(":")
        short[name] = f"{kind}{colon}{','.join(PurePath(file).name for file in files.split(','))}"
    return {name: text if list(short.values()).count(text) == 1 else name for name, text in short.items()}


def _line(row: Mapping[str, Any], encoder: str, told: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """A stored row as a line of the table. What is undefined becomes NaN. told: the settings of the run's entries."""
    metrics = row["metrics"]
    line = {"reference": row["reference"], "encoder": encoder, "method": row["method"]}
    line["label"] = print_label(row["method"], row["label"])
    # The floor is no entry of the run: nobody set it.
    line["settings"] = told.get(row["label"], (NOTHING, ""))[0]
    blank = [*FRAME_NUMBERS]
    for name in row["encoders"]:
        of, _, encoder_name = name.partition(" ")
        if of == "video":
            mine = jedi_name(encoder_name)
            blank += [one for name in (mine, f"{mine}_unbiased") for one in COLUMN[name].columns()]
    # The dimension is that of the frame features.
    numbers = {**dict.fromkeys(blank), **metrics.get("video", {}), **metrics["frames"].get(encoder, {})}
    line |= {key: np.nan if value is None else value for key, value in numbers.items()}
    line |= {key: one.scale * line[key] for one in BY_FRAMES if one.scale != 1 for key in one.columns()}
    printed = paper.TABLE2.get(row["method"])
    line |= {key: np.nan if row[key] is None else row[key] for key in COUNTS}
    fields = paper.Table2Row._fields
    return line | {f"paper_{key}": np.nan if printed is None else getattr(printed, key) for key in fields}


def _partial(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """What is missing; None when every method has a clip of every case."""
    short = [row for row in rows if row["method"] not in REFERENCES and row["n_videos"] < row["n_expected"]]
    return f"{short[0]['n_videos']} of {short[0]['n_expected']} cases have a clip of every method" if short else None


def _notes(rows: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any], few: Mapping[str, int]) -> tuple[str, ...]:
    """What the numbers are: models, references, numbers of videos, definitions. few: as `few_videos` says."""
    first = rows[0]
    sets = {row["reference"]: _reference(row) for row in rows}
    frames = [values for row in rows for values in row["metrics"]["frames"].values()]
    sizes = sorted({values["kid_subset_size"] for values in frames if values.get("kid_subset_size")})
    several = runs_of(manifest) if len(runs_of(manifest)) > 1 else []
    models = [] if several else [f"backbone {spell(manifest['backbone'])}"]
    told = _told(list(first["encoders"]))
    models += [f"{told[name]}: {id}" for name, id in first["encoders"].items()]
    pocket = "The pocket lab is for relative statements about methods. " if is_pocket(manifest) else ""
    notes = [
        f"{pocket}Models: {'; '.join(models)}.",
        *origins(several),
        *settings_notes.lines(manifest["jobs"]),
        f"Per method {first['n_videos']} videos, {first['n_frames']} frames: the same cases for all, static and "
        f"dynamic together. References: {'; '.join(f'{name}: {text}' for name, text in sets.items())}.",
        f"FID: brackets show how far it moves when the method's videos are drawn again ({RESAMPLES} resamples, their "
        "upward shift taken out). It falls with the number of videos: compare rows with each other and with the floor.",
    ]
    if sizes:
        notes.append(
            f"KID: mean ± deviation over {KID_SUBSETS} random subsets of {', '.join(map(str, sizes))} frames, as the "
            "paper prints it; the deviation is no confidence interval. KID×: without pairs of frames of one video, "
            "which KID takes for independent; brackets are 95 % bootstrap intervals over videos."
        )
    if any(min(row["n_frames"], row["reference_frames"]) < KID_FRAMES for row in rows if _has_videos(row)):
        notes.append(
            f"KID is – where a side has fewer than {KID_FRAMES} frames: its subsets are half of the smaller side, and "
            "need 2."
        )
    if any(name.startswith("video ") for name in first["encoders"]):
        notes.append(
            "JEDi: released definition (biased, x100). JEDi u.: unbiased, with its 95 % bootstrap interval over "
            "videos. The paper notes that a low JEDi often means that unusual boxes were not followed."
        )
    else:
        notes.append("JEDi: not measured, the run names no encoder of videos (--video-encoder, or video_encoder).")
    if not all(map(_has_videos, rows)):
        notes.append("A reference of statistics has FID alone: KID and JEDi need the videos, and its floor too.")
    notes.append(
        "Ground truth: the asked boxes drawn by the pocket world. Reference again: other videos of the reference's own "
        "source, as many as a method has; no method can be expected to come below. Neither is ranked."
    )
    if not few:
        notes.append(RULE)
    for whose, count in few.items():
        warning = f"WARNING: {count} videos per {whose}, fewer than {MIN_VIDEOS}: FID, KID and JEDi are biased at such "
        warning += "numbers, and differences between rows may be noise (see brackets): none is marked as best."
        notes.insert(0, warning)
    return tuple(notes)


def _has_videos(row: Mapping[str, Any]) -> bool:
    """Whether a row's reference is videos, and not statistics of some."""
    return row["reference_videos"] is not None


def _reference(row: Mapping[str, Any]) -> str:
    """How large a row's reference is, and which of its files do not count."""
    if not _has_videos(row):
        return f"statistics of {row['reference_frames']} frames"
    text = f"{row['reference_videos']} videos, {row['reference_frames']} frames"
    for what, files in (("not read", row.get("reference_unreadable")), ("copies", row.get("reference_copies"))):
        if files:
            named = [*sorted(files)[:NAMED], *(["..."] if len(files) > NAMED else [])]
            text += f", {what} and left out: {len(files)} ({', '.join(named)})"
    return text
