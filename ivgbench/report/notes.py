"""What a table says below its numbers: models, runs, definitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ivgbench.metrics import stats
from ivgbench.metrics.catalogue import MEASURED, Metric
from ivgbench.report import settings_notes
from ivgbench.report.estimates import Clips
from ivgbench.report.ranking import RULE
from ivgbench.report.together import runs_of
from ivgbench.runs.identity import GROUND_TRUTH, ROW_NAMES, row_name

#: Marks a CLIP-SIM with captions that CLIP reads the beginning of only.
CUT = "†"


def notes(manifest: Mapping[str, Any], clips: Clips, own: Sequence[Metric] = ()) -> tuple[str, ...]:
    """What the numbers are: models, suites, definitions. own: the metrics of other packages, which `clips` have."""
    several = runs_of(manifest) if len(runs_of(manifest)) > 1 else []
    names = ("detector", "clip") if several else ("backbone", "detector", "clip")
    models = [f"{name} {spell(manifest[name])}" for name in names if manifest.get(name)]
    seeds = sorted({clip["seed"] for clip in clips})
    pocket = "The pocket lab is for relative statements about methods. " if is_pocket(manifest) else ""
    return (
        f"{pocket}Models: {'; '.join(models)}. Suites: {', '.join(ordered([clip['suite'] for clip in clips], []))}. "
        f"Seeds: {', '.join(str(seed) for seed in seeds)}.",
        *origins(several),
        *settings_notes.lines(manifest["jobs"]),
        f"Ranges: 95 % percentile bootstrap over cases, {stats.RESAMPLES} resamples, seeds averaged within a case. "
        f"{RULE} {ROW_NAMES[GROUND_TRUTH]} is not ranked.",
        " ".join(f"{metric.title}: {metric.note}." for metric in MEASURED if metric.note),
        *_of_others(clips, own),
        "Other captions: CLIP-SIM of the methods' clips with the captions of other cases, its floor. Ground truth: the "
        "asked boxes drawn by the pocket world, its ceiling. Attained: (CLIP-SIM - own floor) / (ceiling - own floor).",
        "n: clips scored / expected. NFE: guided network evaluations per clip. s: seconds per clip, measured; all "
        "other columns repeat exactly.",
        *_cut_captions(clips),
    )


def _of_others(clips: Clips, own: Sequence[Metric]) -> list[str]:
    """What other packages' metrics are, and how many clips have no value of one."""
    told = []
    for metric in own:
        lacking = sum(math.isnan(clip[metric.name]) for clip in clips)
        without = f"; {lacking} of {len(clips)} clips have no value" if lacking else ""
        told.append(
            f"{metric.title}: {metric.note} (of another package: {metric.name}, version {metric.version}{without})."
        )
    return told


def origins(several: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Of several runs, what each brings: a note, or none."""
    parts = []
    for one in several:
        labels = ", ".join(dict.fromkeys(row_name(entry["label"]) for entry in one["jobs"]))
        parts.append(f"{one['run']} (backbone {spell(one.get('backbone'))}): {labels}")
    return (f"Runs: {'; '.join(parts)}.",) if parts else ()


def _cut_captions(clips: Clips) -> list[str]:
    """What the mark means, if there is one."""
    cut = [clip for clip in clips if clip.get("caption_cut") == 1]
    if not cut:
        return []
    cases = list(dict.fromkeys(clip["case"] for clip in cut))
    return [
        f"{CUT} The prompts of {len(cases)} cases ({len(cut)} clips; the first is {cases[0]}) are longer than CLIP "
        "reads: these CLIP-SIMs judge their beginning only."
    ]


def is_pocket(manifest: Mapping[str, Any]) -> bool:
    """Whether the pocket lab made the clips, or judged them: its numbers are always labelled."""
    models = [one.get(name) for one in runs_of(manifest) for name in ("backbone", "detector")]
    return any(spell(model).startswith("pocket") for model in models)


def spell(value: Any) -> str:
    """A manifest entry on one line: a text as it is; of a backbone, its name and the beginning of its weights' hash."""
    if not isinstance(value, Mapping):
        return str(value)
    return f"{value['name']} {value['weights'][:12]}".strip()


def ordered(values: Sequence[str], first: Sequence[str]) -> list[str]:
    """Different values: those of `first` in its order, then the others as they appear."""
    found = list(dict.fromkeys(values))
    return [one for one in first if one in found] + [one for one in found if one not in first]
