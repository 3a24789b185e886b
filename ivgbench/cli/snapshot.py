"""The commands of the regression gate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli.options import spec_file

snapshot_app = typer.Typer(no_args_is_help=True, help="The regression gate: every metric of both tables, kept.")
Spec = Annotated[Path, typer.Option("--spec", help="The run that is kept.", callback=spec_file)]
Folder = Annotated[Path, typer.Option("--snapshots", help="Where snapshots are, one per spec.")]
DEFAULT_SPEC, DEFAULT_FOLDER = Path("snapshot"), Path("results/snapshots")


@snapshot_app.command("check")
def check(spec: Spec = DEFAULT_SPEC, snapshots: Folder = DEFAULT_FOLDER) -> None:
    """Make the run from nothing and compare every metric with the snapshot. Exit code 1 when one has moved too far."""
    from ivgbench.gate import snapshot, variations
    from ivgbench.runs.environment import arithmetic, differences
    from ivgbench.runs.spec import load_spec

    asked = load_spec(spec)
    kept, environment = snapshot.load(snapshots / f"{asked.name}.json")
    with variations.made(asked) as runs:
        found = snapshot.changes(kept, snapshot.values(runs, asked.name))
    for line in differences(environment, arithmetic()):
        print(f"ivgbench: note: {line}", file=sys.stderr)
    if found:
        print(*found, sep="\n")
        print(f"{len(found)} of {len(kept)} metrics changed. If that is meant: ivgbench snapshot update")
        sys.exit(1)
    print(f"all {len(kept)} metrics are within their tolerances")


@snapshot_app.command("update")
def update(spec: Spec = DEFAULT_SPEC, snapshots: Folder = DEFAULT_FOLDER) -> None:
    """Make the run as it is, and again with other rounding (a quarter of an hour), and keep values and tolerances."""
    from ivgbench.gate import snapshot, variations
    from ivgbench.runs.environment import arithmetic
    from ivgbench.runs.progress import log
    from ivgbench.runs.spec import load_spec

    asked = load_spec(spec)
    seen = {}
    for variation in (variations.AS_IT_IS, *variations.VARIATIONS):
        log(f"snapshot: {variation.name}")
        with variations.made(asked, variation) as runs:
            seen[variation.name] = snapshot.values(runs, asked.name)
    base = seen.pop(variations.AS_IT_IS.name)
    path = snapshots / f"{asked.name}.json"
    snapshot.save(path, base, seen, arithmetic())
    print(f"{path}: {len(base)} metrics")
