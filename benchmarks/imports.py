"""Who imports whom: the rooms of the package from the top of the house to its ground, and every circle of modules.

    python benchmarks/imports.py [REVISION] [--out FILE.svg]

Reads the working tree, or the package as it was at a git revision (nothing is checked out), and imports nothing of it.
It prints how often each room imports each other one and which modules import each other in a circle, and draws it. A
number such as 7+2 is seven imports at a module's top and two inside functions; what is imported for type checking only
does not count. Red points upward. Modules that are found by name when a program runs (registry.py, plug-ins) are not
seen.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tarfile
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ivgbench.report.figures import write

ROOT = Path(__file__).resolve().parents[1]
NAME = "ivgbench"
#: The rooms from the top of the house to its ground: what stands higher may import what stands lower.
HOUSE = (
    "cli", "studio", "verify", "study", "gate", "report", "runs", "pocket", "pocket.exams", "pocket.training", "suites",
    "store", "engines", "world", "judges", "metrics", "generator", "ground",
)  # fmt: skip
Where = Literal["top", "function", "types"]
#: A cell of the picture, inches.
CELL = 0.56
READ = """A room imports those above or below the numbers in its row.
7+2: seven imports where modules are loaded,
two inside functions. Red: from below upward."""
DOWN, UP, WIRE = "#2b5c8a", "#c62828", "#c9d3dc"


@dataclass(frozen=True)
class Import:
    """`import module` or `from module import name`, and where it stands: where the module is loaded, in a function, or
    where only a type checker looks."""

    module: str
    name: str | None
    where: Where

    def target(self, modules: Container[str]) -> str | None:
        """The module of this package that is meant, of `modules`: the one that the name is, or the one it is from."""
        for whole in (f"{self.module}.{self.name}", self.module):
            head, _, below = whole.partition(".")
            if head == NAME and below in modules:
                return below
        return None


def imports(tree: ast.AST, where: Where = "top") -> Iterator[Import]:
    """Every import of a module, or of a part of one."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, None, where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"line {node.lineno}: a relative import; imports are absolute here")
            yield from (Import(node.module, alias.name, where) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(ast.Module(body=node.body, type_ignores=[]), "types")
            yield from imports(ast.Module(body=node.orelse, type_ignores=[]), where)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and where == "top":
            yield from imports(node, "function")
        else:
            yield from imports(node, where)


def sources(revision: str | None = None) -> dict[str, str]:
    """Text of every module of the package by its name below it ("" is the package itself): of the files as they are, or
    as they were at a git revision."""
    if revision is None:
        texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / NAME).rglob("*.py")}
    else:
        asked = ["git", "-C", str(ROOT), "archive", revision, NAME]
        told = subprocess.run(asked, capture_output=True)
        if told.returncode:
            raise SystemExit(f"{revision}: {told.stderr.decode(errors='replace').strip()}")
        with tarfile.open(fileobj=io.BytesIO(told.stdout)) as archive:
            files = {one.name: archive.extractfile(one) for one in archive if one.name.endswith(".py")}
            texts = {name: file.read().decode() for name, file in files.items() if file is not None}
    return {_module(path): text for path, text in sorted(texts.items())}


def _module(path: str) -> str:
    parts = path.removeprefix(f"{NAME}/").removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room a module is in. Files beside the rooms are the ground; the pocket lab's inner rooms are their own."""
    head, *rest = module.split(".")
    if head == "__main__":
        return "cli"
    if rest and f"{head}.{rest[0]}" in HOUSE:
        return f"{head}.{rest[0]}"
    return head if head in HOUSE else "ground"


def edges(texts: Mapping[str, str]) -> dict[tuple[str, str], Where]:
    """(importing module, imported module) -> where: at the top if there too, for types only if nowhere else."""
    order = ("top", "function", "types")
    found: dict[tuple[str, str], Where] = {}
    for module, text in texts.items():
        for one in imports(ast.parse(text)):
            target = one.target(texts)
            if target not in (None, module):
                found[module, target] = min(one.where, found.get((module, target), "types"), key=order.index)
    return found


def circles(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The groups of nodes that reach each other along the pairs (importing, imported), each group sorted."""
    beyond: dict[str, set[str]] = {}
    for source, target in pairs:
        beyond.setdefault(source, set()).add(target)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = beyond.get(ahead.pop(), set()) - seen
            seen |= new
            ahead += new
        return seen

    reach = {node: reached(node) for node in beyond}
    groups = {frozenset(other for other in reach[node] if node in reach.get(other, ())) for node in beyond}
    return sorted(sorted(group) for group in groups if group)


def counts(found: Mapping[tuple[str, str], Where]) -> dict[tuple[str, str], Counter[Where]]:
    """(importing room, imported room) -> how many imports at the top and in functions, each room's own left out."""
    between: dict[tuple[str, str], Counter[Where]] = {}
    for (source, target), where in found.items():
        rooms = room_of(source), room_of(target)
        if where != "types" and rooms[0] != rooms[1]:
            between.setdefault(rooms, Counter())[where] += 1
    return between


def points_up(source: str, target: str) -> bool:
    """Whether a room imports one that stands higher."""
    return HOUSE.index(target) < HOUSE.index(source)


def number(of: Mapping[Where, int]) -> str:
    """7, or 7+2: at the top, and in functions."""
    return f"{of.get('top', 0)}+{of['function']}" if of.get("function") else str(of.get("top", 0))


def table(between: Mapping[tuple[str, str], Mapping[Where, int]]) -> str:
    """A line for each room: whom it imports, how often."""
    lines = []
    for room in HOUSE:
        told = [
            f"{other} {number(between[room, other])}{' UPWARD' if points_up(room, other) else ''}"
            for other in HOUSE
            if (room, other) in between
        ]
        if told:
            lines.append(f"{room:16}{', '.join(told)}")
    return "\n".join(lines)


def draw(texts: Mapping[str, str], title: str) -> Any:
    """The rooms as a staircase, highest first; imports go along the importing room's row to the column of the imported
    one. Returns a matplotlib figure."""
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    sizes = Counter(map(room_of, texts))
    rooms = [room for room in HOUSE if sizes[room]]
    between = counts(edges(texts))
    place = {room: index for index, room in enumerate(rooms)}
    across, down = len(rooms) * 1.5 + 0.5, len(rooms) + 1.6
    figure = Figure(figsize=(across * CELL, down * CELL), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-1, across - 1)
    axes.set_ylim(down - 1.8, -1.8)
    axes.set_axis_off()
    axes.text(-0.7, -1.2, title, fontsize=13, va="center", weight="bold")
    axes.text(-0.7, len(rooms) - 0.65, READ, fontsize=9, va="bottom", linespacing=1.5, color="#3a4753")
    for (source, target), many in between.items():
        x, y = 1.5 * place[target], place[source]
        colour = UP if points_up(source, target) else WIRE
        axes.plot([1.5 * y, x, x], [y, y, place[target]], color=colour, linewidth=1.1, zorder=1)
        colour = UP if points_up(source, target) else DOWN
        axes.text(
            x, y, number(many), color="white", fontsize=9, ha="center", va="center", zorder=3,
            bbox={"boxstyle": "round,pad=0.3", "facecolor": colour, "edgecolor": "none"},
        )  # fmt: skip
    for room, index in place.items():
        corner = (1.5 * index - 0.7, index - 0.36)
        box = FancyBboxPatch(corner, 1.4, 0.72, "round,pad=0,rounding_size=0.1", zorder=2)
        box.set(facecolor="#f3f6f9", edgecolor="#5b6b7a")
        axes.add_patch(box)
        axes.text(1.5 * index, index - 0.09, room, fontsize=7.5, ha="center", va="center", zorder=4)
        files = f"{sizes[room]} files" if sizes[room] > 1 else "1 file"
        axes.text(1.5 * index, index + 0.19, files, fontsize=6.5, ha="center", va="center", zorder=4, color="#5b6b7a")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", nargs="?", help="a commit, branch or tag (default: the files as they are)")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "own" / "figures" / "imports.svg")
    asked = parser.parse_args()
    texts = sources(asked.revision)
    found = edges(texts)
    print(table(counts(found)))
    for what, when in (("at their tops", ("top",)), ("with those inside functions", ("top", "function"))):
        rings = circles(pair for pair, where in found.items() if where in when)
        print(f"circles of modules, {what}: {'; '.join(', '.join(ring) for ring in rings) or 'none'}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    up = sum(sum(many.values()) for pair, many in counts(found).items() if points_up(*pair))
    title = f"Imports between the rooms: {len(texts)} files, {up} imports point upward"
    write(draw(texts, title), asked.out, "svg", 100)
    print(asked.out)


if __name__ == "__main__":
    main()
