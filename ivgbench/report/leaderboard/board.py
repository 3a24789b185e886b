"""A board: the rows of all records of one protocol, their numbers on all cases and on each split, and their ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ivgbench.files import digest
from ivgbench.metrics.catalogue import COLUMN, MEASURED, Metric
from ivgbench.report import settings_notes
from ivgbench.report.clips import scored
from ivgbench.report.estimates import NEEDED, Cases, Clips, by_case, estimate, mean, spread
from ivgbench.report.layout import UNDEFINED, number
from ivgbench.report.leaderboard.protocol import Protocol, of, split_order
from ivgbench.report.leaderboard.ranks import Standing, shown_better, standings
from ivgbench.report.leaderboard.reading import Sent
from ivgbench.report.printed import print_label
from ivgbench.report.ranking import REFERENCES
from ivgbench.runs.identity import EXTERNAL

#: The metric that ranks until another is chosen: it has no filter, so that no method gains by losing its hard clips.
FIRST = "miou_all"
COSTS = (COLUMN["nfe"], COLUMN["backward"], COLUMN["seconds"])
#: Of the cases that numbers are of: all, then each split.
ALL = "all"


class Row(NamedTuple):
    """A method as a record has it. name: in print. method: whose page it has. sources: the files with these very clips.

    settings, about: as in tables. clips: a line per scored clip.
    """

    name: str
    method: str
    settings: str
    about: str
    options: Mapping[str, Any]
    sources: tuple[Sent, ...]
    clips: Clips
    is_reference: bool


class Cell(NamedTuple):
    """A number in print. sort: what it sorts by, with all its digits; empty where it is undefined."""

    text: str
    ends: tuple[str, str] | None
    sort: str
    value: float


class Line(NamedTuple):
    """A row on some cases. number: the row's on its board. cells, costs: by column. ranks: column -> standing; empty
    for a reference, which is not ranked."""

    number: int
    row: Row
    cells: dict[str, Cell]
    costs: dict[str, Cell]
    ranks: dict[str, Standing]


class Scope(NamedTuple):
    """Lines on all cases or on a split, in the order of the first metric's ranks. better: column -> who is shown to be
    better than whom, bool [K,K] over the ranked lines by their numbers."""

    name: str
    cases: int
    lines: tuple[Line, ...]
    better: dict[str, np.ndarray]


class Board(NamedTuple):
    """Everything on one page."""

    protocol: Protocol
    sent: tuple[Sent, ...]
    scopes: tuple[Scope, ...]


def boards(sent: Sequence[Sent]) -> list[Board]:
    """A board for each protocol of the records that verify: those of most records first, then of most rows."""
    by_protocol: dict[str, tuple[Protocol, list[Sent]]] = {}
    for one in sent:
        if one.record is not None and not one.reason:
            protocol = of(one.record)
            by_protocol.setdefault(protocol.id, (protocol, []))[1].append(one)
    made = [_board(protocol, mine) for protocol, mine in by_protocol.values()]
    return sorted(
        made, key=lambda one: (-len(one.sent), -len(one.scopes[0].lines), one.protocol.title, one.protocol.id)
    )


def method_of(method: str, label: str) -> str:
    """Whose page a row has: another system's label may be a method's name, and is none."""
    return f"{label} (another system)" if method == EXTERNAL else method


def _board(protocol: Protocol, sent: Sequence[Sent]) -> Board:
    rows: dict[str, Row] = {}
    for one in sent:
        for key, row in _rows(one):
            seen = rows.get(key)
            rows[key] = row if seen is None else seen._replace(sources=(*seen.sources, one))
    # Numbers follow the first ranks, and stay the same on every split.
    ranked = _in_order([row for row in rows.values() if not row.is_reference])
    references = [row for row in rows.values() if row.is_reference]
    splits = sorted({clip["split"] for one in rows.values() for clip in one.clips}, key=split_order)
    names = [None, *(splits if len(splits) > 1 else ())]
    return Board(protocol, tuple(sent), tuple(_scope(name, ranked, references) for name in names))


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """By the first metric's rank on all cases, then by its number."""
    metric = COLUMN[FIRST]
    samples = [by_case(row.clips, metric) for row in rows]
    ranks = standings(_better(samples, metric))
    values = [-metric.better * np.nan_to_num(estimate(one), nan=-np.inf) for one in samples]
    return [rows[at] for at in sorted(range(len(rows)), key=lambda at: (ranks[at].rank, values[at], rows[at].name))]


def _better(samples: Sequence[Cases], metric: Metric) -> np.ndarray:
    """Who is shown to be better than whom, of methods by their cases."""
    if not samples:
        return np.zeros((0, 0), dtype=bool)
    values, weights = np.array([one.value for one in samples]), np.array([one.weight for one in samples])
    return shown_better(values, weights, metric.better)


def _rows(sent: Sent) -> list[tuple[str, Row]]:
    """A record's rows, each with a key that is equal where the clips and all their numbers are."""
    record = sent.record
    assert record is not None, "a record that cannot be read has a reason"
    manifest = record.manifest()
    told = settings_notes.by_label(manifest["jobs"])
    lines, _ = scored(record.run, manifest["jobs"], record.rows(), NEEDED, False)
    made = []
    for label in dict.fromkeys(line["label"] for line in lines):
        clips = [line for line in lines if line["label"] == label]
        of_label = [clip for clip in record.clips if clip.label == label]
        first = of_label[0]
        values = sorted([clip.suite, clip.split, clip.case, clip.seed, clip.values] for clip in of_label)
        key = digest([label, first.method, first.options, values])
        name, method = print_label(first.method, label), method_of(first.method, label)
        reference = first.method in REFERENCES
        made.append((key, Row(name, method, *told[label], first.options, (sent,), clips, reference)))
    return made


def _scope(split: str | None, ranked: Sequence[Row], references: Sequence[Row]) -> Scope:
    """Of the cases of a split; None: of all."""
    rows = (*ranked, *references)
    clips = [[clip for clip in row.clips if split in (None, clip["split"])] for row in rows]
    samples = {metric.column: [by_case(mine, metric) for mine in clips] for metric in MEASURED}
    better = {metric.column: _better(samples[metric.column][: len(ranked)], metric) for metric in MEASURED}
    ranks = {column: standings(shown) for column, shown in better.items()}
    lines = []
    for at, (row, mine) in enumerate(zip(rows, clips, strict=True)):
        cells = {metric.column: _measured(samples[metric.column][at], metric) for metric in MEASURED}
        costs = {metric.column: _cell(mean(mine, metric.name), metric) for metric in COSTS}
        places = {column: found[at] for column, found in ranks.items()} if at < len(ranked) else {}
        lines.append(Line(at + 1, row, cells, costs, places))
    lines.sort(key=lambda line: (not line.ranks, line.ranks[FIRST].rank if line.ranks else 0))
    cases = max((len({(clip["suite"], clip["case"]) for clip in mine}) for mine in clips), default=0)
    return Scope(split or ALL, cases, tuple(lines), better)


def _measured(cases: Cases, metric: Metric) -> Cell:
    value, low, high, *_ = spread(cases, metric)
    ends = (number(metric.scale * low, metric.decimals), number(metric.scale * high, metric.decimals))
    return _cell(metric.scale * value, metric)._replace(ends=None if UNDEFINED in ends else ends)


def _cell(value: float, metric: Metric) -> Cell:
    text = number(value, metric.decimals)
    if metric.name in ("nfe", "backward"):
        text = text.removesuffix(".0")
    return Cell(text, None, "" if text == UNDEFINED else repr(value), value)
