"""What carries over from one architecture to another: the same differences between methods on two backbones.

Both runs have the same cases, seeds and judges. An effect is a method less its baseline, paired by case on each
backbone; cases are shared, so that the effects of the two backbones are paired as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.report import paper
from ivgbench.report.together import JUDGED_BY
from ivgbench.runs.identity import GROUND_TRUTH
from ivgbench.study.claims import METRICS, Sample

#: A method and what it is measured against. The last ones stand on one backbone alone where the other has no such row.
EFFECTS = (
    ("peekaboo", "plain"),
    ("mask-norm", "plain"),
    ("mask-norm", "peekaboo"),
    ("mask-norm-id", "mask-norm"),
    ("mask-norm-tid", "mask-norm-id"),
    ("mask-norm-tid", "plain"),
    ("mask-norm-tid", "peekaboo"),
    ("trailblazer", "plain"),
    ("freetraj", "plain"),
    ("ditraj", "plain"),
    ("ditraj", "peekaboo"),
)
SHOWN = ("miou_all", "coverage", "clip_sim", "fid", "kid")
CARRIES, TURNS, OPEN = "carries over", "turns around", "shown on neither"

Samples = Mapping[tuple[str, str], Sample]


class Side(NamedTuple):
    """A run as it is compared: its backbone's name, its manifest, and its samples by metric and split."""

    backbone: str
    manifest: Mapping[str, Any]
    samples: Samples


def check(sides: Sequence[Side]) -> None:
    """Refuses runs whose differences cannot stand beside each other. UserError with what differs."""
    first, second = (side.manifest for side in sides)
    where = f"runs {first['run']!r} and {second['run']!r} cannot be compared"
    if sides[0].backbone == sides[1].backbone:
        raise UserError(f"{where}: both are of the backbone {sides[0].backbone}; give a run of each of two")
    for key, what in JUDGED_BY.items():
        if first.get(key) != second.get(key):
            raise UserError(f"{where}: their {what} differ ({first.get(key)}; {second.get(key)})")
    cases, others = ({(row["suite"], row["case"], row["seed"]) for row in one["jobs"]} for one in (first, second))
    if cases != others:
        raise UserError(
            f"{where}: their cases and seeds differ ({len(cases)}, {len(others)}, {len(cases & others)} both)"
        )


def table(sides: Sequence[Side]) -> pd.DataFrame:
    """A line for each effect, metric and split that one of the two runs has.

    Columns: metric, on (the split; of FID and KID the frame encoder), row, than; of each side `value_K`, `low_K`,
    `high_K` (95 %, Student's t over cases), with K 0 or 1; `change`, `change_low`, `change_high`: the second's effect
    less the first's, paired by case; cases; verdict.
    """
    lines = []
    keys = [key for key in dict.fromkeys([*sides[0].samples, *sides[1].samples]) if key[0] in SHOWN]
    for metric, split in sorted(keys, key=lambda key: SHOWN.index(key[0])):
        for row, than in EFFECTS:
            found = [_of(side.samples.get((metric, split)), row, than) for side in sides]
            if all(one is None for one in found):
                continue
            line: dict[str, Any] = {"metric": metric, "on": split, "row": row, "than": than}
            for place, one in enumerate(found):
                value = math.nan if one is None else one.values["effect"]
                low, high = _interval(one)
                line |= {f"value_{place}": value, f"low_{place}": low, f"high_{place}": high}
            change = _change(*found)
            low, high = _interval(change)
            line |= {"change": math.nan if change is None else change.values["effect"], "change_low": low}
            line |= {"change_high": high, "cases": min(one.cases for one in found if one is not None)}
            lines.append({**line, "verdict": _verdict(line, sides)})
    return pd.DataFrame(lines)


def _of(sample: Sample | None, row: str, than: str) -> Sample | None:
    """An effect as a sample of one row; None where a row is missing."""
    if sample is None or not {row, than} <= sample.values.keys():
        return None
    value = {"effect": sample.values[row] - sample.values[than]}
    return Sample(value, {"effect": sample.draws[row] - sample.draws[than]}, sample.cases)


def _change(first: Sample | None, second: Sample | None) -> Sample | None:
    """The second effect less the first. The resamples of both are of the same cases."""
    if first is None or second is None or first.cases != second.cases:
        return None
    draws = second.draws["effect"] - first.draws["effect"]
    return Sample({"effect": second.values["effect"] - first.values["effect"]}, {"effect": draws}, first.cases)


def _interval(one: Sample | None) -> tuple[float, float]:
    if one is None:
        return math.nan, math.nan
    return stats.interval(one.values["effect"], stats.standard_error(one.draws["effect"], one.cases), one.cases)


def _sign(line: Mapping[str, Any], place: int) -> int:
    """+1 or -1 where the whole interval is on that side of 0; 0 otherwise."""
    low, high = line[f"low_{place}"], line[f"high_{place}"]
    return (low > 0) - (high < 0)


def _verdict(line: Mapping[str, Any], sides: Sequence[Side]) -> str:
    lone = [side.backbone for place, side in enumerate(sides) if not math.isnan(line[f"value_{place}"])]
    first, second = _sign(line, 0), _sign(line, 1)
    if len(lone) == 1:
        return f"on {lone[0]} alone"
    if first and second:
        return CARRIES if first == second else TURNS
    if not first and not second:
        return OPEN
    there, gone = (0, 1) if first else (1, 0)
    same = (line["value_0"] > 0) == (line["value_1"] > 0)
    return f"shown on {sides[there].backbone}; {'same' if same else 'other'} sign on {sides[gone].backbone}"


def markdown(frame: pd.DataFrame, sides: Sequence[Side]) -> str:
    """Both backbones' rows side by side, and what becomes of every effect."""
    names = [side.backbone for side in sides]
    both = frame[frame[["value_0", "value_1"]].notna().all(axis=1)]
    counts = both["verdict"].map(lambda word: word if word in (CARRIES, TURNS, OPEN) else "shown on one")
    told = ", ".join(f"{word} {count}" for word, count in counts.value_counts().items())
    parts = [
        f"# What carries over from {names[0]} to {names[1]}",
        f"Runs `{sides[0].manifest['run']}` and `{sides[1].manifest['run']}`: the same cases and seeds under the "
        "same judges; each backbone has its own noise path and its own default settings. An effect is shown "
        "where its own 95 % interval (paired by case, Student's t) leaves out 0; none is corrected for their number, "
        "so that of those without any effect one in twenty is shown too.",
        f"Of {len(both)} effects on both: {told}.",
        "## The rows side by side",
        _rows(sides),
        "## The effects",
        _effects(frame, names),
    ]
    return "\n\n".join(parts) + "\n"


def _rows(sides: Sequence[Side]) -> str:
    labels = dict.fromkeys(
        row["label"] for side in sides for row in side.manifest["jobs"] if row["label"] != GROUND_TRUTH
    )
    keys = sorted(
        {key for side in sides for key in side.samples if key[0] in SHOWN},
        key=lambda key: (SHOWN.index(key[0]), key[1]),
    )
    heads = [f"{METRICS[metric].short}, {split}, {side.backbone}" for metric, split in keys for side in sides]
    lines = [f"| Row | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for label in labels:
        cells = [
            _number(side.samples[key].values.get(label) if key in side.samples else None, key[0])
            for key in keys
            for side in sides
        ]
        lines.append(f"| {paper.print_name(label)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, metric: str, sign: str = "") -> str:
    return "–" if value is None or math.isnan(value) else f"{value:{sign}.{METRICS[metric].decimals}f}"


def _effects(frame: pd.DataFrame, names: Sequence[str]) -> str:
    lines = [
        f"| Metric | On | Effect | {names[0]} | {names[1]} | {names[1]} less {names[0]} | Cases | Verdict |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for line in frame.to_dict("records"):
        ranges = [
            ("value_0", "low_0", "high_0"),
            ("value_1", "low_1", "high_1"),
            ("change", "change_low", "change_high"),
        ]
        cells = []
        for value, low, high in ranges:
            numbers = [_number(line[name], line["metric"], "+") for name in (value, low, high)]
            cells.append(numbers[0] if numbers[1] == "–" else f"{numbers[0]} ({numbers[1]} to {numbers[2]})")
        effect = f"{paper.print_name(line['row'])} less {paper.print_name(line['than'])}"
        about = [METRICS[line["metric"]].short, line["on"], effect, *cells, str(line["cases"])]
        lines.append(f"| {' | '.join(about)} | {line['verdict']} |")
    return "\n".join(lines)
