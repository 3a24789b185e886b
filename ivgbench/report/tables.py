"""Table 1 from a run's stored rows: numpy only, no model is loaded. `render` writes and prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivgbench.errors import UserError
from ivgbench.metrics.catalogue import MEASURED, Metric, from_record
from ivgbench.metrics.clip_sim import attained
from ivgbench.report import paper, settings_notes, table2
from ivgbench.report.clips import scored
from ivgbench.report.estimates import MEANS, NEEDED, Clips, interval, mean, total
from ivgbench.report.loading import load, named
from ivgbench.report.notes import is_pocket, notes, ordered
from ivgbench.report.printed import Table, print_label
from ivgbench.report.ranking import REFERENCES
from ivgbench.report.together import join

if TYPE_CHECKING:
    import pandas as pd

_SPLITS = ["static", "dynamic"]


def table(
    number: int,
    runs: str | Path = "results/runs",
    run: str | Sequence[str] | None = None,
    allow_partial: bool = False,
) -> pd.DataFrame:
    """A table of the paper, recomputed from stored results.

    Args:
        number: 1, or 2 (see `table2.build` for its columns).
        runs: the folder of runs.
        run: the run's name, or the file of its record; by default "table1" or "table2", or the only run there is.
            Several: one table of all their rows, if they can be compared (see `together`).
        allow_partial: compute from what is there when clips are missing or failed.
    Returns:
        Table 1: one row per split and method, Ground truth last in its split. `split`, `method`, `label`, `settings`;
        metrics: `clip_sim` (100 x cosine), `coverage`, `miou`, `miou_all`, `ap50` (percent), `centroid_distance` (in
        diagonals), then those of other packages: the estimate, `_low` and `_high` (95 % bootstrap over cases, seeds
        averaged within a case) and `_n` (cases it stands on); `covered_clips`; `clip_sim_squash`, `clip_sim_shuffled`
        and `clip_sim_attained`; `nfe`,
        `backward`, `seconds` per clip; `captions_cut`: clips with a prompt that CLIP reads the beginning of only;
        `n_scored` and `n_expected` clips; `paper_clip_sim`, `paper_coverage` and
        `paper_miou`.
    Raises:
        UserError: an unknown table or run, a partial run without allow_partial, or runs that cannot be compared.
    """
    return build(number, runs, run, allow_partial).frame


def build(
    number: int,
    runs: str | Path = "results/runs",
    run: str | Sequence[str] | None = None,
    allow_partial: bool = False,
) -> Table:
    """The same with everything that is printed around it."""
    if number == 2:
        return table2.build(runs, run, allow_partial)
    if number != 1:
        raise UserError(f"there is no table {number}; known: 1, 2")
    loaded = [load(number, runs, one) for one in named(run)]
    rows, manifest = loaded[0] if len(loaded) == 1 else join(loaded)
    name = manifest["run"]
    entries = manifest["jobs"]
    if not entries:
        raise UserError(f"run {name!r} has no jobs; run it again with at least one method")
    clips, partial = scored(name, entries, rows, NEEDED, allow_partial)
    lines, told = [], settings_notes.by_label(manifest["jobs"])
    own = tuple(map(from_record, manifest.get("own_metrics", ())))
    clips = [{**dict.fromkeys((metric.name for metric in own), np.nan), **clip} for clip in clips]
    for split in ordered([entry["split"] for entry in entries], _SPLITS):
        here, expected = ([one for one in of if one["split"] == split] for of in (clips, entries))
        lines += _split_lines(split, here, expected, told, own)
    title = f"Table 1. Conditional evaluation{', pocket lab' if is_pocket(manifest) else ''}"
    return Table(number, title, name, lines, _floors(clips), notes(manifest, clips, own), partial, own)


def _split_lines(
    split: str,
    clips: Clips,
    expected: Sequence[Mapping[str, Any]],
    told: Mapping[str, tuple[str, str]],
    own: Sequence[Metric],
) -> list[dict[str, Any]]:
    """The rows of one split: methods in the paper's order, then any others, then the reference."""
    method_of = {entry["label"]: entry["method"] for entry in reversed(expected)}
    labels = dict.fromkeys(entry["label"] for entry in expected)
    methods = ordered([method_of[label] for label in labels], [*paper.LABELS])
    # A reference is no competitor: it comes last.
    methods.sort(key=REFERENCES.__contains__)
    lines: list[dict[str, Any]] = []
    for method in methods:
        for label in (label for label in labels if method_of[label] == method):
            mine = [clip for clip in clips if clip["label"] == label]
            lines.append(
                {
                    "split": split,
                    "method": method,
                    "label": print_label(method, label),
                    "settings": told[label][0],
                    **_measures(mine, own),
                    "n_scored": len(mine),
                    "n_expected": sum(entry["label"] == label for entry in expected),
                    **_paper_columns(split, method),
                }
            )
    ceiling = next((line["clip_sim"] for line in lines if line["method"] == paper.GROUND_TRUTH), np.nan)
    for line in lines:
        line["clip_sim_attained"] = attained(line["clip_sim"], line["clip_sim_shuffled"], ceiling)
    return lines


def _measures(clips: Clips, own: Sequence[Metric]) -> dict[str, float]:
    """Estimates with intervals over cases, and mean costs, of one method on one split. own: of other packages."""
    line: dict[str, float] = {}
    for metric in (*MEASURED, *own):
        *numbers, n, _ = interval(clips, metric)
        line |= {column: number * metric.scale for column, number in zip(metric.columns(), numbers, strict=True)}
        line[f"{metric.column}_n"] = n
    line["covered_clips"] = total(clips, "covered")
    for metric in MEANS:
        line[metric.column] = mean(clips, metric.name)
    line["captions_cut"] = total(clips, "caption_cut")
    return line


def _paper_columns(split: str, method: str) -> dict[str, float]:
    row = paper.TABLE1.get((split, method))
    names = ("clip_sim", "coverage", "miou")
    return {f"paper_{name}": np.nan if row is None else float(getattr(row, name)) for name in names}


def _floors(clips: Clips) -> dict[str, float]:
    """Split -> mean shuffled-caption CLIP-SIM over the clips of all methods; the reference does not count."""
    name = "clip_sim_shuffled"
    made = [clip for clip in clips if clip["method"] != paper.GROUND_TRUTH and name in clip]
    splits = sorted({clip["split"] for clip in made})
    return {split: mean([clip for clip in made if clip["split"] == split], name) for split in splits}
