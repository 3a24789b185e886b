"""A table as csv, Markdown, LaTeX and on the terminal. Files carry no date: the same results give the same bytes."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from csv import writer
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ivgbench.files import write_text
from ivgbench.report.layout import Block, Cell, blocks
from ivgbench.report.printed import Table
from ivgbench.texts import spreadsheet

#: Width of output that does not go to a terminal.
PLAIN_WIDTH = 120


def write(table: Table, folder: str | Path = "results/own/tables") -> list[Path]:
    """Writes tableN.csv, tableN.md and tableN.tex into a folder; returns their paths."""
    stem = Path(folder) / f"table{table.number}"
    written = []
    for suffix, text in ((".csv", csv(table)), (".md", markdown(table)), (".tex", tex(table))):
        written.append(stem.with_suffix(suffix))
        write_text(written[-1], text)
    return written


def csv(table: Table) -> str:
    """Every column and the run, six decimals; an empty field is undefined. A partial run says so at the end of each
    line."""
    columns = {name: [row.get(name, math.nan) for row in table.rows] for name in table.columns}
    columns["run"] = [table.run] * len(table.rows)
    if table.partial is not None:
        columns["partial"] = [table.partial] * len(table.rows)
    # One number with a fraction gives the whole column its decimals.
    spelled = [
        _fields(values, whole=name in table.whole or not any(isinstance(one, float) for one in values))
        for name, values in columns.items()
    ]
    text = io.StringIO()
    lines = writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*spelled, strict=True))
    return text.getvalue()


def _fields(values: Sequence[Any], whole: bool) -> list[str]:
    def spell(value: Any) -> str:
        if isinstance(value, str):
            return spreadsheet(value)
        return "" if math.isnan(value) else str(int(value)) if whole else f"{value:.6f}"

    return [spell(value) for value in values]


def markdown(table: Table) -> str:
    """Readable as text and rendered: best bold, second best underlined."""
    parts = [f"# {table.title}: run `{table.run}`", *_warning(table)]
    for block in blocks(table):
        lines = [
            _row([_markdown_text(name) for name in block.header]),
            _row(["---"] * block.lead + ["---:"] * (len(block.header) - block.lead)),
        ]
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
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "†": r"$\dagger$",
}  # fmt: skip


def tex_text(text: str) -> str:
    """Any text as LaTeX that prints it."""
    return re.sub("|".join(re.escape(key) for key in _TEX), lambda match: _TEX[match[0]], text)


def tex(table: Table) -> str:
    """A tabular per block, for the booktabs package: best bold, second best underlined. Without seconds."""
    parts = [f"% {table.title}: run {table.run}. Needs \\usepackage{{booktabs}}."]
    if table.partial is not None:
        parts.append(f"\\textbf{{PARTIAL RUN}}: {tex_text(table.partial)}\n")
    for block in blocks(table, seconds=False):
        lines = [f"\\begin{{tabular}}{{{'l' * block.lead}{'r' * (len(block.header) - block.lead)}}}", "\\toprule"]
        span = f"\\multicolumn{{{len(block.header)}}}{{l}}{{\\textit{{{tex_text(block.title)}}}}}"
        body = [[span], [tex_text(name) for name in block.header], *([_tex_cell(c) for c in row] for row in block.rows)]
        written = [f"{' & '.join(row)} \\\\" for row in body]
        lines += [*written[:2], "\\midrule", *written[2:], "\\bottomrule", "\\end{tabular}"]
        parts.append("\n".join(lines))
    parts.append("\n".join(f"% {' '.join(note.split())}" for note in table.notes))
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
    for block in blocks(table):
        console.print(Text(f"\n{block.title}", style="bold"))  # not the grid's own title, which is folded to its width
        console.print(_rich(block, coloured=bool(console.color_system) and not console.no_color))
    for note in table.notes:
        console.print(Text(note, style="dim"))


def _rich(block: Block, coloured: bool) -> RichTable:
    grid = RichTable(box=SIMPLE_HEAD, pad_edge=False)
    grid.padding = (0, 1, 0, 0)
    for position, name in enumerate(block.header):
        grid.add_column(
            Text(name), justify="left" if position < block.lead else "right", overflow="fold", no_wrap=not position
        )
    for row in block.rows:
        grid.add_row(*(_rich_cell(cell, coloured) for cell in row))
    return grid


def _rich_cell(cell: Cell, coloured: bool) -> Text:
    """The number, and its interval below it."""
    mark = "" if coloured else {1: "*", 2: "+"}.get(cell.rank, "")
    text = Text(mark + cell.text, style={1: "bold green", 2: "blue"}.get(cell.rank, ""))
    return text.append(f"\n{'–'.join(cell.interval)}", style="not bold dim default") if cell.interval else text
