"""A table as csv, Markdown, LaTeX and on the terminal. Files carry no date: the same results give the same bytes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ivgbench.files import write_text
from ivgbench.report import paper
from ivgbench.report.tables import COLUMNS, Table, ranks

#: Width of output that does not go to a terminal.
PLAIN_WIDTH = 120
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
    """A split ready for any output: header, and rows of cells; the first cell of a row is its label."""

    title: str
    header: list[str]
    rows: list[list[Cell]]


def blocks(table: Table, seconds: bool = True) -> list[Block]:
    """The measured splits, one block each; `seconds` off leaves out the one column that is a measurement."""
    arrows = {1: "↑", -1: "↓"}
    header = ["Method", *(f"{column.title} {arrows[column.better]}" for column in COLUMNS)]
    header.insert(2, "Attained")
    header += ["n", "NFE", *(["s"] if seconds else [])]
    places = {column.key: ranks(table.frame, column) for column in COLUMNS}
    made = []
    for split, lines in table.frame.groupby("split", sort=False):
        rows = []
        for index, line in lines.iterrows():
            row = [Cell(line["label"])]
            for column in COLUMNS:
                text = number(line[column.key], column.decimals)
                if column.key == "coverage" and text != UNDEFINED:
                    text = f"{text} ({line['covered_clips']:g})"
                low, high = (number(line[f"{column.key}_{end}"], column.decimals) for end in ("low", "high"))
                row.append(
                    Cell(text, None if UNDEFINED in (low, high) else (low, high), int(places[column.key][index]))
                )
            row.insert(2, Cell(number(line["clip_sim_attained"], 2)))
            row += [Cell(f"{line['n_scored']}/{line['n_expected']}"), Cell(number(line["nfe"], 0))]
            rows.append(row + ([Cell(number(line["seconds"], 2))] if seconds else []))
        if split in table.floors:
            floor = [Cell(FLOOR_LABEL), Cell(number(table.floors[split], 2)), Cell(number(0.0, 2))]
            rows.append(floor + [Cell("")] * (len(header) - len(floor)))
        made.append(Block(f"{str(split).capitalize()} boxes", header, rows))
    return made


def paper_block() -> Block:
    """The paper's Table 1, both splits side by side."""
    header = ["Method"]
    for split in ("static", "dynamic"):
        header += [f"{split} {title}" for title in ("CLIP-SIM", "CoV", "mIoU %")]
    rows = []
    for method in dict.fromkeys(method for _, method in paper.TABLE1):
        row = [Cell(paper.LABELS[method])]
        for split in ("static", "dynamic"):
            told = paper.TABLE1[split, method]
            row += [Cell(f"{told.clip_sim:.2f}"), Cell(str(told.coverage)), Cell(f"{told.miou:.2f}")]
        rows.append(row)
    for column in range(1, len(header)):
        best = sorted({float(row[column].text) for row in rows}, reverse=True)
        for row in rows:
            value = float(row[column].text)
            row[column] = row[column]._replace(rank=best.index(value) + 1 if value in best[:2] else 0)
    return Block(paper.SOURCE, header, rows)


def number(value: float, decimals: int) -> str:
    """Fixed decimals, a dash for what is undefined, and no minus zero."""
    if math.isnan(value):
        return UNDEFINED
    text = f"{value:.{decimals}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def write(table: Table, folder: str | Path = "results/tables") -> list[Path]:
    """Writes table1.csv, table1.md and table1.tex into a folder; returns their paths."""
    stem = Path(folder) / f"table{table.number}"
    written = []
    for suffix, text in ((".csv", csv(table)), (".md", markdown(table)), (".tex", tex(table))):
        written.append(stem.with_suffix(suffix))
        write_text(written[-1], text)
    return written


def csv(table: Table) -> str:
    """Every column of the frame, six decimals; an empty field is undefined. A partial run says so in a last column."""
    frame = table.frame if table.partial is None else table.frame.assign(partial=table.partial)
    return frame.to_csv(index=False, float_format="%.6f", lineterminator="\n")


def markdown(table: Table) -> str:
    """Readable as text and rendered: best bold, second best underlined."""
    parts = [f"# {table.title}: run `{table.run}`", *_warning(table)]
    for block in [*blocks(table), paper_block()]:
        lines = [_row(block.header), _row(["---"] + ["---:"] * (len(block.header) - 1))]
        lines += [_row([_markdown_cell(cell) for cell in row]) for row in block.rows]
        parts += [f"## {block.title}", "\n".join(lines)]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in table.notes)]) + "\n"


def _warning(table: Table) -> list[str]:
    return [] if table.partial is None else [f"**PARTIAL RUN**: {_markdown_text(table.partial)}"]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_|<>])", r"\\\1", text)


def _markdown_cell(cell: Cell) -> str:
    text = _markdown_text(cell.text)
    text = {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(cell.rank, text)
    return f"{text} {cell.brackets}".strip()


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--",
}  # fmt: skip


def tex_text(text: str) -> str:
    """Any text as LaTeX that prints it."""
    return re.sub("|".join(re.escape(key) for key in _TEX), lambda match: _TEX[match[0]], text)


def tex(table: Table) -> str:
    """A tabular per block, for the booktabs package: best bold, second best underlined. Without seconds."""
    parts = [f"% {table.title}: run {table.run}. Needs \\usepackage{{booktabs}}."]
    if table.partial is not None:
        parts.append(f"\\textbf{{PARTIAL RUN}}: {tex_text(table.partial)}\n")
    for block in [*blocks(table, seconds=False), paper_block()]:
        lines = [f"\\begin{{tabular}}{{l{'r' * (len(block.header) - 1)}}}", "\\toprule"]
        span = f"\\multicolumn{{{len(block.header)}}}{{l}}{{\\textit{{{tex_text(block.title)}}}}}"
        body = [[span], [tex_text(name) for name in block.header], *([_tex_cell(c) for c in row] for row in block.rows)]
        written = [f"{' & '.join(row)} \\\\" for row in body]
        lines += [*written[:2], "\\midrule", *written[2:], "\\bottomrule", "\\end{tabular}"]
        parts.append("\n".join(lines))
    parts.append("\n".join(f"% {note}" for note in table.notes))
    return "\n\n".join(parts) + "\n"


def _tex_cell(cell: Cell) -> str:
    text = tex_text(cell.text)
    text = {1: f"\\textbf{{{text}}}", 2: f"\\underline{{{text}}}"}.get(cell.rank, text)
    return f"{text} {{\\scriptsize {cell.brackets}}}" if cell.interval else text


def show(table: Table, console: Console | None = None) -> None:
    """Prints the table: green is best, blue second best, as in the paper (* and + where there is no colour).

    Intervals stand below their numbers; a terminal that is too narrow folds cells, and hides nothing.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    console.print(Text(f"{table.title}: run {table.run}", style="bold"))
    if table.partial is not None:
        console.print(Text(f"PARTIAL RUN: {table.partial}", style="bold red"))
    for block in [*blocks(table), paper_block()]:
        console.print(_rich(block, coloured=bool(console.color_system) and not console.no_color))
    for note in table.notes:
        console.print(Text(note, style="dim"))


def _rich(block: Block, coloured: bool) -> RichTable:
    grid = RichTable(title=block.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    grid.padding = (0, 1, 0, 0)
    for position, name in enumerate(block.header):
        grid.add_column(name, justify="right" if position else "left", overflow="fold")
    for row in block.rows:
        grid.add_row(*(_rich_cell(cell, coloured) for cell in row))
    return grid


def _rich_cell(cell: Cell, coloured: bool) -> Text:
    """The number, and its interval below it."""
    mark = "" if coloured else {1: "*", 2: "+"}.get(cell.rank, "")
    text = Text(mark + cell.text, style={1: "bold green", 2: "blue"}.get(cell.rank, ""))
    return text.append(f"\n{'–'.join(cell.interval)}", style="not bold dim default") if cell.interval else text
