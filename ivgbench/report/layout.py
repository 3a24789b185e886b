"""A table laid out for print: blocks of cells, the same for every output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ivgbench.metrics.catalogue import BY_CLIPS, BY_FRAMES, COLUMN, MEASURED, Metric
from ivgbench.report import paper
from ivgbench.report.notes import CUT
from ivgbench.report.printed import Table
from ivgbench.report.ranking import few_videos, places, ranks

FLOOR_LABEL = "Other captions"
UNDEFINED = "–"


class Cell(NamedTuple):
    """A number in print: its text, its interval's ends or None, and rank 1, 2 or 0."""

    text: str
    interval: tuple[str, str] | None = None
    rank: int = 0

    @property
    def brackets(self) -> str:
        return f"[{self.interval[0]}, {self.interval[1]}]" if self.interval else ""


class Block(NamedTuple):
    """A split ready for any output: header, and rows of cells; the first cell of a row is its label.

    lead: how many columns at the start say what a row is; the others are numbers.
    """

    title: str
    header: list[str]
    rows: list[list[Cell]]
    lead: int = 1


def blocks(table: Table, seconds: bool = True) -> list[Block]:
    """All blocks of a table, the paper's own numbers last. `seconds` off leaves out what is a measurement of time."""
    return [*splits(table, seconds), paper_table1()] if table.number == 1 else [*references(table), paper_table2()]


def splits(table: Table, seconds: bool) -> list[Block]:
    """Table 1: a block per split; `seconds` off leaves out the one column that is a measurement."""
    measured = (*MEASURED, *table.own)
    header = ["Method", *(f"{metric.head} {metric.arrow}".strip() for metric in measured)]
    header.insert(2, "Attained")
    header.insert(1, "Settings")
    costs = [COLUMN["nfe"], *([COLUMN["seconds"]] if seconds else [])]
    header += ["n", *(metric.title for metric in costs)]
    ranked = {metric.column: ranks(table.rows, metric.column, metric.better, metric.decimals) for metric in measured}
    made = []
    for split in dict.fromkeys(line["split"] for line in table.rows):
        rows = []
        for index, line in enumerate(table.rows):
            if line["split"] != split:
                continue
            row = [Cell(line["label"])]
            for metric in measured:
                cell = _cell(line, metric, ranked[metric.column][index])
                if metric.column == "coverage" and cell.text != UNDEFINED:
                    cell = cell._replace(text=f"{cell.text} ({line['covered_clips']:g})")
                if metric.column == "clip_sim" and line["captions_cut"]:
                    cell = cell._replace(text=f"{cell.text} {CUT}")
                row.append(cell)
            row.insert(2, Cell(number(line["clip_sim_attained"], 2)))
            row.insert(1, Cell(line["settings"]))
            row += [Cell(f"{line['n_scored']}/{line['n_expected']}"), Cell(evaluations(line["nfe"]))]
            rows.append(row + ([Cell(number(line["seconds"], COLUMN["seconds"].decimals))] if seconds else []))
        if split in table.floors:
            floor = [Cell(FLOOR_LABEL), Cell(""), Cell(number(table.floors[split], 2)), Cell(number(0.0, 2))]
            rows.append(floor + [Cell("")] * (len(header) - len(floor)))
        made.append(Block(f"{split.capitalize()} boxes", header, rows, lead=2))
    return made


def references(table: Table) -> list[Block]:
    """Table 2: a block per reference, frame encoders side by side; of few videos no row is marked."""
    of_videos = [metric for metric in BY_CLIPS if metric.column in table.columns]
    by = ("reference", "encoder")
    ranked = {
        metric.column: ranks(table.rows, metric.column, metric.better, metric.decimals, by)
        for metric in (*BY_FRAMES, *of_videos)
    }
    if few_videos(table.rows):
        ranked = {key: [0] * len(marks) for key, marks in ranked.items()}
    encoders = list(dict.fromkeys(line["encoder"] for line in table.rows))
    header = ["Method", "Settings"]
    header += [f"{metric.head} {encoder} {metric.arrow}" for encoder in encoders for metric in BY_FRAMES]
    header += [*(f"{metric.head} {metric.arrow}" for metric in of_videos), "videos"]
    made = []
    for reference in dict.fromkeys(line["reference"] for line in table.rows):
        here = [(index, line) for index, line in enumerate(table.rows) if line["reference"] == reference]
        rows = []
        # The methods stand in one order under every encoder; their labels need not differ in print.
        of_encoders = ([one for one in here if one[1]["encoder"] == encoder] for encoder in encoders)
        for lines in zip(*of_encoders, strict=True):
            index, last = lines[-1]
            row = [Cell(last["label"]), Cell(last["settings"])]
            for place, line in lines:
                row += [_cell(line, metric, ranked[metric.column][place]) for metric in BY_FRAMES]
            row += [_cell(last, metric, ranked[metric.column][index]) for metric in of_videos]
            rows.append([*row, Cell(f"{last['n_videos']}/{last['n_expected']}")])
        made.append(Block(f"Against {reference}", header, rows, lead=2))
    return made


def _cell(line: Mapping[str, Any], metric: Metric, rank: int) -> Cell:
    """A metric of a row of the table, with its interval or its deviation."""
    value, *others = (number(line.get(column, math.nan), metric.decimals) for column in metric.columns())
    if metric.spread and value != UNDEFINED:
        value = f"{value} ± {others[-1]}"
    ends = (others[0], others[1]) if metric.interval else (UNDEFINED, UNDEFINED)
    return Cell(value, None if UNDEFINED in ends else ends, rank)


def paper_table1() -> Block:
    """The paper's Table 1, both splits side by side."""
    header, rows = ["Method"], []
    for split in ("static", "dynamic"):
        header += [f"{split} {title}" for title in ("CLIP-SIM", "CoV", "mIoU %")]
    for method in dict.fromkeys(method for _, method in paper.TABLE1):
        row = [Cell(paper.LABELS[method])]
        for split in ("static", "dynamic"):
            told = paper.TABLE1[split, method]
            row += [Cell(f"{told.clip_sim:.2f}"), Cell(str(told.coverage)), Cell(f"{told.miou:.2f}")]
        rows.append(row)
    return _ranked(Block(paper.SOURCE, header, rows), +1)


def paper_table2() -> Block:
    """The paper's Table 2."""
    rows = []
    for method, told in paper.TABLE2.items():
        cells = (f"{told.fid:.2f}", f"{told.kid:.2f} ± {told.kid_std:.2f}", f"{told.jedi:.2f}")
        rows.append([Cell(paper.LABELS[method]), *map(Cell, cells)])
    return _ranked(Block(paper.SOURCE, ["Method", "FID ↓", "KID % ↓", "JEDi ↓"], rows), -1)


def _ranked(block: Block, better: int) -> Block:
    """The block with the best and second best of each column marked."""
    for column in range(1, len(block.header)):
        texts = [row[column].text.split()[0] for row in block.rows]
        decimals = len(texts[0].partition(".")[2])
        for row, place in zip(block.rows, places([float(text) for text in texts], better, decimals), strict=True):
            row[column] = row[column]._replace(rank=place)
    return block


def evaluations(count: float) -> str:
    """A number of guided evaluations: of the conditional half alone there are halves."""
    return number(count, 1).removesuffix(".0")


def number(value: float, decimals: int) -> str:
    """Fixed decimals, a dash for what is undefined, and no minus zero."""
    if math.isnan(value):
        return UNDEFINED
    text = f"{value:.{decimals}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text
