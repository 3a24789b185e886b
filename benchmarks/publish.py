"""The committed tables, figures, records and claims, written anew from the runs that are stored.

    make publish

Everything else writes into results/own, which git ignores; this writes results/tables, results/figures,
results/records and results/CLAIMS.md. Nothing is generated: what a run lacks stays as it was committed, and is told
with its reason.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ivgbench.cli import in_one_line
from ivgbench.errors import UserError

SPECS = Path("benchmarks")
OWN, OUT = Path("results/own"), Path("results")
#: Tables and contact sheets: the run that each is of, its number, and the folder below results/tables or figures.
TABLES = (("table1", 1, ""), ("table2", 2, ""), ("claims", 1, "claims"), ("claims", 2, "claims"),
          ("field", 1, "field"), ("field", 2, "field"), ("table1-dit", 1, "dit"), ("table1-dit", 2, "dit"))  # fmt: skip
SHEETS = (("table1", 1, ""), ("table1", 4, ""), ("field", 4, "field"), ("table1-dit", 4, "dit"))
#: Figures 2 and 3: the spec whose cases were recorded (None: those of the figure by default), and their folder.
RECORDED = ((None, ""), ("claims-run.toml", "claims"))
#: Runs whose records are committed: what the pocket lab's leaderboard is made of.
RECORDS = ("table1", "field", "claims", "table1-dit")
BY = "ivgbench"
#: What scripts made of runs of their own (`make claims`), below results/own.
MADE = ("tables/search.*", "tables/reach.*", "tables/ablations.*", "figures/search.*", "tables/search-pocket-dit.*",
        "figures/search-pocket-dit.*", "tables/dit/carried.*", "CLAIMS-dit.md")  # fmt: skip


def publish(runs: Path, own: Path, out: Path) -> Iterator[str]:
    """Writes what can be written; yields a line for each part, with its files or why it was left as it is."""
    parts: list[tuple[str, Callable[[], list[Path]]]] = []
    for run, number, folder in TABLES:
        parts.append((f"table {number} of {run}", partial(_table, runs, run, number, out / "tables" / folder)))
    for run, number, folder in SHEETS:
        parts.append((f"figure {number} of {run}", partial(_sheet, runs, run, number, out / "figures" / folder)))
    for spec, folder in RECORDED:
        name = f"figures 2 and 3 of {spec or 'the first cases'}"
        parts.append((name, partial(_recorded, runs, spec, out / "figures" / folder)))
    parts += [(f"record of {run}", partial(_record, runs, run, out / "records")) for run in RECORDS]
    parts.append(("CLAIMS.md", partial(_claims, runs, out / "CLAIMS.md")))
    parts += [(f"{own / pattern}", partial(_copied, own, pattern, out)) for pattern in MADE]
    for what, write in parts:
        try:
            yield f"{what}: {', '.join(map(str, write()))}"
        except UserError as fault:
            yield f"{what}: left as it is: {fault}"


def _table(runs: Path, run: str, number: int, folder: Path) -> list[Path]:
    from ivgbench.report import render, tables

    return render.write(tables.build(number, runs, run), folder)


def _record(runs: Path, run: str, folder: Path) -> list[Path]:
    from ivgbench.report import record
    from ivgbench.store.runs import Store

    made = record.of(Store(runs), run, BY)
    if lost := sum(clip.status != "ok" for clip in made.clips):
        raise UserError(f"run {run!r} is partial: {lost} of {len(made.clips)} clips failed or are missing")
    path = folder / f"{run}{record.SUFFIX}"
    made.save(path)
    return [path]


def _sheet(runs: Path, run: str, number: int, folder: Path) -> list[Path]:
    from ivgbench.report import qualitative

    return {1: qualitative.figure1, 4: qualitative.figure4}[number](runs, run, folder)


def _recorded(runs: Path, spec: str | None, folder: Path) -> list[Path]:
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.spec import load_spec
    from ivgbench.store.runs import Store
    from ivgbench.study import activations, recording

    asked = recording.DEFAULT if spec is None else load_spec(SPECS / spec)
    plan = make_plan(asked, Lab("cpu"))
    written = []
    for variant, mine in recording.by_variant(plan).items():
        seen = recording.read(list(mine.entries), Store(runs))
        title = activations.title(plan.facts.backbone, variant, seen)
        for draw in (activations.figure2, activations.figure3):
            written += draw(seen, folder / variant.folder, title)
    return written


def _claims(runs: Path, path: Path) -> list[Path]:
    from ivgbench.cli.claims import claims
    from ivgbench.runs import naming
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.spec import load_spec
    from ivgbench.store.runs import Store
    from ivgbench.study.claims_file import load_claims

    run, store = load_claims(SPECS / "claims.toml").run, Store(runs)
    asked = load_spec(run)
    rows, _ = store.load_rows(asked.name)
    if any(row["status"] == "missing" for row in rows):
        raise UserError(f"run {asked.name} is not whole")
    if why := naming.taken(make_plan(asked, Lab("cpu")), store):
        raise UserError(f"run {asked.name} is not what {run} asks for today ({why})")
    claims(SPECS / "claims.toml", False, path, None, "auto", runs)
    return [path]


def _copied(own: Path, pattern: str, out: Path) -> list[Path]:
    found = sorted(own.glob(pattern))
    if not found:
        raise UserError("not made (make claims)")
    for path in found:
        there = out / path.relative_to(own)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
    return [out / path.relative_to(own) for path in found]


def main() -> None:
    """Writes and tells."""
    for line in publish(OUT / "runs", OWN, OUT):
        print(line, flush=True)


if __name__ == "__main__":
    in_one_line(main)
