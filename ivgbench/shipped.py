"""What ships beside the code: suites, and the specs of runs by name. A wheel has copies of a checkout's folders."""

from __future__ import annotations

import difflib
from pathlib import Path

from ivgbench.errors import UserError

SUITES, SPECS = "data/suites", "benchmarks"


def folder(name: str) -> Path:
    """`SUITES` or `SPECS`: package data of an installed wheel, or the folder of a checkout.

    Raises:
        UserError: neither is there.
    """
    package = Path(__file__).resolve().parent
    for place in (package / "_data" / name, package.parent / name):
        if place.is_dir():
            return place
    raise UserError(f"what ships with ivgbench is missing: there is neither {place} nor the package's copy of it")


def specs() -> dict[str, Path]:
    """Name -> file of every spec that ships: "pocket" is benchmarks/pocket.toml."""
    return {path.stem: path for path in sorted(folder(SPECS).glob("*.toml"))}


def spec(name_or_path: str | Path) -> Path:
    """A spec's file: itself where there is one, else the shipped one of that name.

    Raises:
        UserError: a bare name that no shipped spec has. A path is returned as it is: its reader says what is wrong.
    """
    path = Path(name_or_path)
    if path.is_file() or len(path.parts) != 1 or path.suffix == ".toml":
        return path
    known = specs()
    if path.name not in known:
        near = difflib.get_close_matches(path.name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"unknown spec {path.name!r}; {hint} (or give a .toml file)")
    return known[path.name]
