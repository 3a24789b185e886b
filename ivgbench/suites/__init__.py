"""Suites of cases by name: those that ship with the package, and those a user fetched or imported. numpy only."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ivgbench import hub, shipped
from ivgbench.boxes import resample
from ivgbench.cases import Subject, Suite, load_suite_file
from ivgbench.errors import UserError
from ivgbench.suites import imc, pocket, scenes

if TYPE_CHECKING:
    from ivgbench.suites.imports import Import

#: Released sets that can be imported.
IMPORTERS = ("imc", "lasot", "davis", "ssv2", "trailblazer")
#: Shipped suites -> how each is drawn anew.
RECIPES: dict[str, Callable[[str], Suite]] = {
    **{name: pocket.make for name in pocket.RECIPES},
    **{name: scenes.make for name in scenes.NAMES},
}


def make_suite(name: str) -> Suite:
    """Draws a shipped suite anew: the same cases every time. UserError for an unknown name."""
    if name not in RECIPES:
        raise UserError(f"there is no recipe for a suite {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name](name)


def folder() -> Path:
    """Where the shipped suite files are."""
    return shipped.folder(shipped.SUITES)


def user_folder() -> Path:
    """Where fetched and imported suites are kept."""
    return hub.home() / "suites"


def _files() -> dict[str, Path]:
    """Name -> file; a shipped name cannot be taken by another file."""
    return {path.stem: path for place in (user_folder(), folder()) for path in sorted(place.glob("*.jsonl"))}


def names() -> list[str]:
    """Names of the suites on this machine."""
    return sorted(_files())


def import_imc(file: Path, target: Path | None = None) -> list[Path]:
    """Writes the suites of a released IMC file (`imc.read`) where `load_suite` finds them, or into another folder."""
    target = user_folder() if target is None else target
    written = []
    for suite in imc.read(file):
        written.append(target / f"{suite.name}.jsonl")
        suite.save(written[-1])
    return written


def is_taken(name: str) -> bool:
    """Whether a name is a shipped suite's, or means one of several."""
    return name in RECIPES or name in (*imc.NAMES, "static", "dynamic")


def keep(suite: Suite, out: Path | None = None) -> Path:
    """Writes a suite where `load_suite` finds it by name, or into another folder or .jsonl file; returns the file.

    Raises:
        UserError: its name is a shipped suite's, or means one of several.
    """
    if out is not None and out.suffix == ".jsonl":
        path = out
    else:
        if out is None and is_taken(suite.name):
            raise UserError(f"the name {suite.name!r} is taken; give the suite another one: --name")
        path = (user_folder() if out is None else out) / f"{suite.name}.jsonl"
    suite.save(path)
    return path


def read_release(
    kind: str, files: list[Path], frames: int | None = None, name: str | None = None, order: str | None = None
) -> tuple[Suite, Import]:
    """The suite of released boxes of a kind in `IMPORTERS` (but imc), and the report of what was changed or rejected.

    Args:
        frames: of the suite's clips; by default those of a ZeroScope clip. name, order: see `peekaboo.read`.
    Raises:
        UserError: not such a file, no record that can be used, or a bad name or number of frames.
    """
    from ivgbench.suites import own, peekaboo, trailblazer

    frames = scenes.FRAMES if frames is None else frames
    if not 1 <= frames <= own.MAX_FRAMES:
        raise UserError(f"--frames must be from 1 to {own.MAX_FRAMES}, got {frames}")
    if name is not None:
        own.check_name(name, "--name")
    if kind == "trailblazer":
        return trailblazer.read(files, frames, name)
    return peekaboo.read(kind, files[0], frames, name, order)


def canonical(name: str, backbone: str = "pocket") -> str:
    """What "static" and "dynamic" mean: the pocket world's own suites on its backbones, IMC's on any other."""
    world = "pocket" if backbone in ("pocket", "pocket-dit") else "imc"
    return f"{world}-{name}" if name in ("static", "dynamic") else name


def stand_in(name: str, backbone: str = "pocket") -> str | None:
    """For the papers' suites that are not on this machine: the shipped one with as many cases; None for all others."""
    name = canonical(name, backbone)
    if name in _files() or name not in ("imc-static", "imc-dynamic"):
        return None
    return name.replace("imc", "scenes")


def spread(suite: Suite, frames: int) -> Suite:
    """The same cases over another number of frames: each box's path as it was, linear in time."""

    def one(subject: Subject) -> Subject:
        return subject if subject.boxes is None else replace(subject, boxes=resample(subject.boxes, frames))

    cases = tuple(replace(case, subjects=tuple(map(one, case.subjects))) for case in suite.cases)
    return replace(suite, frames=frames, cases=cases)


def load_suite(name_or_path: str | Path, backbone: str = "pocket") -> Suite:
    """A suite by its name, by "static" or "dynamic" (that of the backbone), or from a JSONL file; checked.

    Raises:
        UserError: unknown name, or a missing or damaged file.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".jsonl") or "/" in text:
        return load_suite_file(Path(name_or_path))
    name, known = canonical(text, backbone), _files()
    if name in known:
        return load_suite_file(known[name])
    if name in imc.NAMES:
        raise UserError(
            f"the suite {name!r} is not on this machine: `ivgbench fetch imc`, or take sentences of our own: "
            f"--suite scenes-{name.rpartition('-')[2]}"
        )
    near = difflib.get_close_matches(name, [*known, *imc.NAMES, "static", "dynamic"], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
    raise UserError(f"unknown suite {name!r}; {hint} (or give a .jsonl file)")
