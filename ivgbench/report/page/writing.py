"""The report of a run: a folder that opens from disk, or one file with a few cases. Nothing is loaded from outside.

    OUT/index.html         the tables and the browser, with its styles and scripts
    OUT/data/NUMBER.js     a case in full: boxes, detections, IoU of every frame, scores
    OUT/clips/HASH.webp    previews, named after their clips
    OUT/figures/           the user's: what `ivgbench figure --out OUT/figures` drew is shown between tables and cases

It carries no date: the same results give the same bytes. Everything that comes from a user (prompts, labels, reasons of
failures) is escaped, by the template in markup and by `script_data.plain` in scripts; the page's policy allows no other
script than its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ivgbench.errors import UserError
from ivgbench.files import write_atomic, write_text
from ivgbench.metrics.catalogue import KNOWN, from_record
from ivgbench.report import layout, notes, tables
from ivgbench.report.clips import NothingScored
from ivgbench.report.page import cells, previews, scenes, script_data
from ivgbench.report.page.scenes import Scene
from ivgbench.runs.identity import row_name
from ivgbench.runs.progress import late_progress
from ivgbench.store.records import Damaged
from ivgbench.store.runs import Store

#: The page's own scripts, in the order in which they stand in it, after those of all pages.
SCRIPTS = ("parts", "state", "data", "filters", "list", "drawing", "panels", "player", "keys", "main")
STYLES = ("look/look.css", "page/assets/page.css")
#: What earlier reports left in the folder: files of these names that the new one lacks are removed.
_OURS = {"data": re.compile(r"\d+\.js"), "clips": re.compile(r"[0-9a-f]{20}-\d+\.webp")}


def write(runs: str | Path, run: str | None, out: Path, allow_partial: bool = False) -> Path:
    """Writes the report of a run into a folder; returns its index.html, which is written last.

    Args:
        run: its name; None: as `Store.choose` says, with table1 as the default.
    Raises:
        UserError: no such run, or a partial one without allow_partial.
    """
    loaded = _Loaded(runs, run, allow_partial)
    sources: dict[str, str] = {}
    written: dict[str, set[str]] = {"data": set(), "clips": set()}
    with late_progress() as stage:
        for job, facts in _each(loaded.clips(loaded.scenes), "previews", stage):
            path = out / "clips" / previews.name(facts["video_sha256"])
            if not previews.is_whole(path):
                if (picture := loaded.preview(job)) is None:
                    continue
                _write(path, picture)
            sources[job] = f"clips/{path.name}"
            written["clips"].add(path.name)
        for number, scene in _each(list(enumerate(loaded.scenes)), "cases", stage):
            text = f"reportCase({number}, {script_data.plain(loaded.detail(scene, sources))});\n"
            _write(out / "data" / f"{number}.js", text.encode())
            written["data"].add(f"{number}.js")
    write_text(out / "index.html", _page(loaded, loaded.scenes, None, _figures(out)))
    for folder, names in written.items():
        for path in (out / folder).glob("*"):
            if path.name not in names and _OURS[folder].fullmatch(path.name):
                path.unlink()
    return out / "index.html"


def embed(runs: str | Path, run: str | None, out: Path, chosen: Sequence[str], allow_partial: bool = False) -> Path:
    """Writes the report of a run as one file with a few of its cases; returns its path.

    Args:
        chosen: ids of cases; or a whole number that is no case's id: so many of each suite's splits, the first ones.
    Raises:
        UserError: as `write`, or an unknown case.
    """
    loaded = _Loaded(runs, run, allow_partial)
    kept = _chosen(loaded.scenes, chosen, loaded.run)
    sources = {}
    with late_progress() as stage:
        for job, _ in _each(loaded.clips(kept), "previews", stage):
            if (picture := loaded.preview(job)) is not None:
                sources[job] = f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
    write_text(out, _page(loaded, kept, [script_data.plain(loaded.detail(scene, sources)) for scene in kept]))
    return out


class _Loaded:
    """A run, read once: its tables (none where no clip is scored), rows, scenes and failures."""

    def __init__(self, runs: str | Path, run: str | None, allow_partial: bool):
        self.store = Store(runs)
        self.run = self.store.choose(run, "table1")
        results, self.manifest = self.store.load_rows(self.run)
        self.tables = []
        try:
            self.tables.append(tables.build(1, runs, self.run, allow_partial))
            if self.store.set_rows(self.run):
                self.tables.append(tables.build(2, runs, self.run, allow_partial))
        except NothingScored:  # the page then says what was asked, and why there is nothing
            pass
        self.rows, self.scenes = scenes.collect(self.store, self.manifest, results)
        self.own = [from_record(one) for one in self.manifest.get("own_metrics", ())]
        self.failures = failures(results)

    def clips(self, of: Sequence[Scene]) -> list[tuple[str, Mapping[str, Any]]]:
        """The jobs that have a clip, each once, with their facts."""
        found = {shot.job: shot.facts for scene in of for shot in scene.shots.values() if shot.facts is not None}
        return list(found.items())

    def preview(self, job: str) -> bytes | None:
        """The preview of a job's clip; None when it cannot be read."""
        try:
            return previews.picture(self.store.clip(job))
        except (Damaged, UserError):
            return None

    def detail(self, scene: Scene, sources: Mapping[str, str]) -> dict[str, Any]:
        detector = str(self.manifest.get("detector") or "")
        return script_data.detail(self.store, detector, scene, len(self.rows), sources, self.own)


def failures(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each clip without scores. results: as `Store.load_rows` gives them."""
    return [
        f"{row_name(row['label'])}, suite {row['suite']}, case {row['case']}, seed {row['seed']}: {row['status']}"
        for row in results
        if row["metric"] in ("failed", "missing")
    ]


def _write(path: Path, data: bytes) -> None:
    """For what the next report makes again, if it is not whole."""
    write_atomic(path, lambda handle: handle.write(data), sync=False)


def _each(items: Sequence[Any], what: str, stage: Callable[[str, int], Callable[[], None]]) -> Any:
    """The items, with a bar once they take long."""
    advance = stage(what, len(items))
    for item in items:
        yield item
        advance()


def _chosen(known: Sequence[Scene], chosen: Sequence[str], run: str) -> list[Scene]:
    """The scenes that are meant, in the run's order."""
    wanted: set[int] = set()
    for text in chosen:
        found = {number for number, scene in enumerate(known) if scene.case == text}
        if not found and text.isdecimal() and int(text):
            places: dict[tuple, list[int]] = {}
            for number, scene in enumerate(known):
                places.setdefault((scene.suite, scene.split), []).append(number)
            found = {number for numbers in places.values() for number in numbers[: int(text)]}
        if not found:
            first = f"; its first is {known[0].case!r}" if known else ""
            raise UserError(f"--embed {text!r}: run {run!r} has no such case{first}; or give how many of each split")
        wanted |= found
    return [scene for number, scene in enumerate(known) if number in wanted]


def _figures(out: Path) -> list[tuple[str, str]]:
    """(name, address) of the figures that stand in a report's folder."""
    paths = sorted((out / "figures").rglob("*.png"))
    return [(path.relative_to(out / "figures").with_suffix("").as_posix(), quote(path.relative_to(out).as_posix()))
            for path in paths]  # fmt: skip


def _page(
    loaded: _Loaded, shown: Sequence[Scene], details: list[str] | None, figures: Sequence[tuple[str, str]] = ()
) -> str:
    """index.html. details: of a page that holds its cases itself, each as text of a data block."""
    here = Path(__file__).parents[1]
    style = "".join(_text(here / name) for name in STYLES)
    files = ["look/sort.js", "look/theme.js", *(f"page/assets/{name}.js" for name in SCRIPTS)]
    script = '"use strict";\n' + "".join(_text(here / file) for file in files)
    # What the page's own script appends may run, nothing else; the rest is for browsers that do not know that rule.
    scripts = f"'sha256-{_hash(script)}'" + ("" if details is not None else " 'strict-dynamic' 'self' file:")
    images = "data:" if details is not None else "'self' file:"
    environment = Environment(
        loader=PackageLoader("ivgbench.report.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html").render(
        run=loaded.run,
        pocket=notes.is_pocket(loaded.manifest),
        policy=f"default-src 'none'; script-src {scripts}; style-src 'sha256-{_hash(style)}'; img-src {images}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        tables=[(table, [(block, cells.shown(block)) for block in layout.blocks(table)]) for table in loaded.tables],
        what=lambda head: cells.what(head, [*KNOWN.values(), *loaded.own]),
        counts=(len(loaded.rows), len(shown), len(loaded.scenes), sum(len(one.shots) for one in shown)),
        overview=Markup(script_data.plain(script_data.overview(loaded.run, loaded.rows, shown))),
        details=[Markup(text) for text in details or ()],
        figures=figures,
        failures=loaded.failures,
        facts=_facts(loaded.manifest),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    """What a policy names a script or a style by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the run was made with, a line each."""
    named = [(name, notes.spell(manifest[name])) for name in ("backbone", "detector", "clip")]
    suites = [(f"suite {name}", sha256[:12]) for name, sha256 in manifest["suites"].items()]
    made = [(name, str(value)) for name, value in manifest["environment"].items() if value is not None]
    return [*named, *suites, *made]
