"""Writes the site: a page of all boards and records, a page per board, a page per method. It opens from disk.

Pages load nothing: style and scripts stand in them, and a policy lets nothing else run. Everything that comes from a
record is escaped by the templates, and no file is named by it alone (`file_name`). The same records give the same
bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from ivgbench.errors import UserError
from ivgbench.files import digest, write_text
from ivgbench.metrics.catalogue import COLUMN, MEASURED
from ivgbench.report.leaderboard import plot
from ivgbench.report.leaderboard.board import ALL, COSTS, FIRST, Board, Line, boards
from ivgbench.report.leaderboard.ranks import LEVEL
from ivgbench.report.leaderboard.reading import Sent, read_all
from ivgbench.report.paper import print_name
from ivgbench.report.settings_notes import NAMES

#: By this a page is known as one of ours: others are never removed.
MARK = '<meta name="generator" content="ivgbench leaderboard">'
_OURS = re.compile(r"[a-z0-9-]+-[0-9a-f]{8}\.html")


class Known(NamedTuple):
    """What is told of a method beside its rows. lines: of its source. links: (text, address).

    settings: (backbone, name, options in one line) that come with ivgbench.
    """

    lines: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str, str], ...] = ()


class Site(NamedTuple):
    """What was written, and what was read."""

    page: Path
    boards: int
    sent: tuple[Sent, ...]


def build(places: Sequence[Path], out: Path, known: Mapping[str, Known]) -> Site:
    """Writes the site of all records in some folders.

    Args:
        known: canonical name -> what is told of a method.
    Raises:
        UserError: no such folder, no record in any, or `out` is one of them.
    """
    for place in places:
        if out.resolve() == place.resolve():
            raise UserError(f"the site cannot be written into the folder of the records ({out}); give another --out")
    sent = read_all(places)
    made = boards(sent)
    pages = _Pages(made, known)
    files = {"index.html": pages.index(sent)}
    files |= {pages.board_file(board): pages.board(board) for board in made}
    files |= {_method_file(method): pages.method(method) for method in pages.methods}
    for name, text in files.items():
        write_text(out / name, text)
    _remove_old(out, set(files))
    return Site(out / "index.html", len(made), tuple(sent))


def file_name(text: str) -> str:
    """A file's name for any text: letters, digits and dashes, and a hash that keeps apart what they confuse."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "x"
    return f"{plain}-{digest(text)[:8]}.html"


def _method_file(method: str) -> str:
    return f"methods/{file_name(method)}"


def _remove_old(out: Path, written: set[str]) -> None:
    """Pages of an earlier build that this one has not."""
    for folder in ("boards", "methods"):
        for path in sorted((out / folder).glob("*.html")):
            ours = _OURS.fullmatch(path.name) and f"{folder}/{path.name}" not in written and not path.is_symlink()
            if ours and MARK in path.read_text(encoding="utf-8", errors="replace")[:1000]:
                path.unlink()


class _Pages:
    """Texts of all pages."""

    def __init__(self, made: Sequence[Board], known: Mapping[str, Known]):
        self.boards, self.known = made, known
        self.environment = Environment(
            loader=PackageLoader("ivgbench.report.leaderboard"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        style = _asset("report/look", "look.css") + _asset("report/leaderboard/assets", "board.css")
        scripts = [_asset("report/look", "sort.js"), _asset("report/look", "theme.js")]
        scripts.append(_asset("report/leaderboard/assets", "board.js"))
        policy = f"default-src 'none'; style-src {_source(style)}; script-src {' '.join(map(_source, scripts))}"
        self.environment.globals |= {
            "style": style, "scripts": scripts, "policy": policy,
            "mark": MARK, "metrics": MEASURED, "costs": COSTS, "first": FIRST, "column": COLUMN, "all": ALL,
            "level": LEVEL, "method_file": _method_file, "board_file": self.board_file, "frame": plot,
            "print_name": print_name,
        }  # fmt: skip
        self.methods = sorted({line.row.method for line in self._lines() if line.ranks})

    def _lines(self) -> list[Line]:
        return [line for board in self.boards for line in board.scopes[0].lines]

    def board_file(self, board: Board) -> str:
        return f"boards/{file_name(f'{board.protocol.title} {board.protocol.id}')}"

    def index(self, sent: Sequence[Sent]) -> str:
        home = {one.name: board for board in self.boards for one in board.sent}
        return self._page("index.html", "", boards=self.boards, sent=sent, home=home, methods=self.methods)

    def board(self, board: Board) -> str:
        others = [(one, board.protocol.differences(one.protocol)) for one in self.boards if one is not board]
        plots = {scope.name: plot.plot(scope.lines) for scope in board.scopes}
        return self._page("board.html", "../", board=board, others=others, plots=plots, names=NAMES)

    def method(self, method: str) -> str:
        rows = [
            (board, line)
            for board in self.boards
            for line in board.scopes[0].lines
            if line.row.method == method and line.ranks
        ]
        told = self.known.get(method, Known())
        return self._page("method.html", "../", method=method, name=print_name(method), rows=rows, told=told)

    def _page(self, template: str, root: str, **values: Any) -> str:
        return self.environment.get_template(template).render(root=root, **values)


def _asset(folder: str, name: str) -> str:
    return (resources.files("ivgbench") / folder / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a content security policy calls a script or a style that it lets in."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
