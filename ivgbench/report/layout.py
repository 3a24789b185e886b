"""A table laid out for print: blocks of cells, the same for every output."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from ivgbench.report import paper
from ivgbench.report.notes import CUT
from ivgbench.report.ranking import few_videos, places, ranks
from ivgbench.report.tables import COLUMNS, Table

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
    arrows = {1: "↑", -1: "↓"}
    header = ["Method", *(f"{column.title} {arrows[column.better]}" for column in COLUMNS)]
    header.insert(2, "Attained")
    header.insert(1, "Settings")
    header += ["n", "NFE", *(["s"] if seconds else [])]
    ranked = {column.key: ranks(table.frame, column.key, column.better, column.decimals) for column in COLUMNS}
    made = []
    for split, lines in table.frame.groupby("split", sort=False):
        rows = []
        for index, line in lines.iterrows():
            row = [Cell(line["label"])]
            for column in COLUMNS:
                text = number(line[column.key], column.decimals)
                if column.key == "coverage" and text != UNDEFINED:
                    text = f"{text} ({line['covered_clips']:g})"
                if column.key == "clip_sim" and line["captions_cut"]:
                    text = f"{text} {CUT}"
                low, high = (number(line[f"{column.key}_{end}"], column.decimals) for end in ("low", "high"))
                row.append(
                    Cell(text, None if UNDEFINED in (low, high) else (low, high), int(ranked[column.key][index]))
                )
            row.insert(2, Cell(number(line["clip_sim_attained"], 2)))
            row.insert(1, Cell(line["settings"]))
            row += [Cell(f"{line['n_scored']}/{line['n_expected']}"), Cell(evaluations(line["nfe"]))]
            rows.append(row + ([Cell(number(line["seconds"], 2))] if seconds else []))
        if split in table.floors:
            floor = [Cell(FLOOR_LABEL), Cell(""), Cell(number(table.floors[split], 2)), Cell(number(0.0, 2))]
            rows.append(floor + [Cell("")] * (len(header) - len(floor)))
        made.append(Block(f"{str(split).capitalize()} boxes", header, rows, lead=2))
    return made


#: Of Table 2, for each frame encoder: column of the frame, title, decimals, whether it has an interval.
SET_COLUMNS = (("fid", "FID", 2, True), ("kid", "KID %", 3, False), ("kid_xvideo", "KID× %", 3, True))
VIDEO_COLUMNS = (("jedi", "JEDi", 2, False), ("jedi_unbiased", "JEDi u.", 2, True))
#: With V-JEPA 2: its values compare with each other only, so they do not go by the published name.
VIDEO_COLUMNS_V2 = (("jedi_v2", "JEDi v2", 2, False), ("jedi_v2_unbiased", "JEDi v2 u.", 2, True))


def references(table: Table) -> list[Block]:
    """Table 2: a block per reference, frame encoders side by side; of few videos no row is marked."""
    video_columns = VIDEO_COLUMNS_V2 if "jedi_v2" in table.frame else VIDEO_COLUMNS
    video_columns = video_columns if video_columns[0][0] in table.frame else ()
    ranked = {
        key: ranks(table.frame, key, -1, decimals, ("reference", "encoder"))
        for key, _, decimals, _ in (*SET_COLUMNS, *video_columns)
    }
    if few_videos(table.frame):
        ranked = {key: marks * 0 for key, marks in ranked.items()}
    encoders = list(dict.fromkeys(table.frame["encoder"]))
    header = ["Method", "Settings", *(f"{title} {encoder} ↓" for encoder in encoders for _, title, *_ in SET_COLUMNS)]
    header += [*(f"{title} ↓" for _, title, *_ in video_columns), "videos"]
    made = []
    for reference, here in table.frame.groupby("reference", sort=False):
        rows = []
        # The methods stand in one order under every encoder; their labels need not differ in print.
        for lines in zip(*(here[here["encoder"] == encoder].iterrows() for encoder in encoders), strict=True):
            index, last = lines[-1]
            row = [Cell(last["label"]), Cell(last["settings"])]
            for place, line in lines:
                row += [_set_cell(line, *column, int(ranked[column[0]][place])) for column in SET_COLUMNS]
            row += [_set_cell(last, *column, int(ranked[column[0]][index])) for column in video_columns]
            rows.append([*row, Cell(f"{last['n_videos']}/{last['n_expected']}")])
        made.append(Block(f"Against {reference}", header, rows, lead=2))
    return made


def _set_cell(line: pd.Series, key: str, _: str, decimals: int, interval: bool, rank: int) -> Cell:
    text = number(line[key], decimals)
    if key == "kid" and text != UNDEFINED:
        return Cell(f"{text} ± {number(line['kid_std'], decimals)}", None, rank)
    ends = tuple(number(line[f"{key}_{end}"], decimals) for end in ("low", "high")) if interval else (UNDEFINED,)
    return Cell(text, None if UNDEFINED in ends else ends, rank)


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
