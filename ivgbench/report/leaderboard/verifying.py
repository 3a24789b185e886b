"""Whether a record is what it says: whole, of one protocol, and its clips come to the table that it states."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.metrics.catalogue import OF_CLIPS, Metric
from ivgbench.reading import fits
from ivgbench.report.estimates import NEEDED, stated
from ivgbench.report.record import AGAIN, RECORD_VERSION, Clip, Record
from ivgbench.runs.identity import EXTERNAL, ROW_NAMES, is_kept, row_name
from ivgbench.texts import short

#: Two computations of a number from the same clips differ by less, as a share of it.
SAME = 1e-6
#: A value may be so far out of its range: sums of floats are.
SLACK = 1e-9
_METRICS = {metric.name: metric for metric in OF_CLIPS}


def fault_of(record: Record) -> str:
    """Why a record cannot be ranked, in one line; empty where it can."""
    return next(filter(None, _faults(record)), "")


def _faults(record: Record) -> Iterator[str]:
    """One after another: a later look relies on what the earlier ones found."""
    if record.record_version < RECORD_VERSION:
        yield (f"a record of version {record.record_version}, which does not say how its clips were sampled; {AGAIN}")
    if not record.clips:
        yield "it has no clips"
    yield _protocol_fault(record)
    yield from map(_clip_fault, record.clips)
    yield _rows_fault(record)
    yield _partial(record)
    yield _table_fault(record)


def _protocol_fault(record: Record) -> str:
    backbone = record.backbone if isinstance(record.backbone, dict) else {}
    named = all(isinstance(backbone.get(key), str) for key in ("name", "weights"))
    if not named or not (backbone["weights"] or backbone["name"] == EXTERNAL):
        return "it does not say which backbone made the clips: its name and the hash of its weights"
    if not record.detector or not record.clip:
        return "it does not say which detector and which CLIP judged the clips"
    for suite in dict.fromkeys(clip.suite for clip in record.clips):
        if not isinstance(record.suites.get(suite), str) or len(record.suites[suite]) != 64:
            return f"it has no checksum of the suite {short(suite)}"
    if len(record.sampling) > 1:
        return f"its clips were sampled in {len(record.sampling)} ways; a board is of one"
    if not record.sampling and backbone["name"] != EXTERNAL:
        return "it does not say how its clips were sampled"
    return ""


def _clip_fault(clip: Clip) -> str:
    where = f"{_called(clip)}: "
    if not clip.label or not clip.method:
        return where + "a row needs a label and a method"
    if is_kept(clip.label) and clip.method not in ROW_NAMES:
        return where + "the row of a method is called like a reference"
    if not 0 <= clip.seed < 2**63:
        return where + f"seed {short(clip.seed)} is out of range"
    for name, value in clip.values.items():
        if value is None:
            continue
        if not fits(value, float):
            return where + f"{short(name)} must be a number, got {short(value)}"
        low, high = _range(_METRICS.get(name))
        if not low - SLACK <= value <= high + SLACK:
            return where + f"{name} is {value:g}, out of {low:g} to {high:g}"
    return ""


def _range(metric: Metric | None) -> tuple[float, float]:
    """What a metric of a clip can be; anything where it is another package's."""
    if metric is None:
        return -math.inf, math.inf
    if metric.name.startswith("clip_sim"):
        return -100.0, 100.0
    return 0.0, 1.0 if metric.unit == "%" or metric.name == "caption_cut" else math.inf


def _rows_fault(record: Record) -> str:
    """Whether a label is one method, and every row has the same clips, each once."""
    what: dict[str, str] = {}
    clips: dict[str, set[tuple]] = {}
    for clip in record.clips:
        made = canonical_json([clip.method, clip.options])
        if what.setdefault(clip.label, made) != made:
            return f"the row {short(clip.label)} is of two methods, or of two sets of options"
        clips.setdefault(clip.label, set()).add((clip.suite, clip.split, clip.case, clip.seed))
    twice = Counter((clip.label, clip.suite, clip.split, clip.case, clip.seed) for clip in record.clips)
    if (worst := max(twice, key=twice.__getitem__)) and twice[worst] > 1:
        return f"row {short(worst[0])}, case {worst[3]}, seed {worst[4]} is there {twice[worst]} times"
    expected = set().union(*clips.values())
    for label, mine in clips.items():
        if lacking := sorted(expected - mine):
            suite, _, case, seed = lacking[0]
            return (
                f"partial: row {short(label)} has {len(mine)} of {len(expected)} clips; the first that it lacks is "
                f"suite {suite}, case {case}, seed {seed}"
            )
    return ""


def _partial(record: Record) -> str:
    lost = [(clip, why) for clip in record.clips if (why := _why_not_scored(clip))]
    if not lost:
        return ""
    clip, why = lost[0]
    whole = len(record.clips)
    return f"partial: {whole - len(lost)} of {whole} clips are scored; the first that is not: {_called(clip)}: {why}"


def _why_not_scored(clip: Clip) -> str:
    if clip.status != "ok":
        return clip.status or "no status"
    lacking = sorted(NEEDED - clip.values.keys())
    return f"no {lacking[0]!r} in its scores" if lacking else ""


def _table_fault(record: Record) -> str:
    """Whether the clips come to the table that is stated."""
    try:
        right = {(row["split"], row["label"]): row for row in stated(record.rows(), record.manifest())}
    except (UserError, ValueError, OverflowError) as fault:
        return f"no table can be made of its clips: {' '.join(str(fault).split())}"
    told = {(str(row.get("split")), str(row.get("label"))): row for row in record.table}
    if right.keys() != told.keys() or len(record.table) != len(right):
        return f"its clips make a table of {len(right)} rows, and it states another of {len(record.table)}"
    for (split, label), row in right.items():
        for name, value in row.items():
            if not _same(stands := told[split, label].get(name), value):
                return (
                    f"its clips do not give the table that it states: {name} of {short(label)} ({split}) is "
                    f"{_number(value)}, stated {_number(stands)}"
                )
    return ""


def _same(stands: Any, value: Any) -> bool:
    if isinstance(value, str) or value is None or not fits(stands, float):
        return stands == value
    return math.isclose(stands, value, rel_tol=SAME, abs_tol=SAME)


def _number(value: Any) -> str:
    return f"{value:.6g}" if fits(value, float) else short(value)


def _called(clip: Clip) -> str:
    return f"{short(row_name(clip.label))}, case {clip.case}, seed {clip.seed}"
