"""Commands that show stored runs: table, report, figure."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli import completion
from ivgbench.cli.options import DEFAULT_RUNS, OWN, Device, Runs, Workers, engine_of, file, folder, spec_file
from ivgbench.errors import UserError

OneRun = Annotated[
    str | None,
    typer.Option("--run", help="(default: table1, or the only one)", autocompletion=completion.runs),
]


def table(
    number: Annotated[int, typer.Argument(help="1 or 2, as in the paper.")],
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="A name, or the file of a record; repeat for one table of several. (default: table1 or table2, or the "
            "only one)",
            autocompletion=completion.runs,
        ),
    ] = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Even with failed or missing jobs.")] = False,
    out: Annotated[Path, typer.Option(help="Where the csv, Markdown and LaTeX files go.", callback=folder)] = OWN
    / "tables",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Print a table of the paper, computed from stored results, and write its files."""
    from ivgbench.report import render, tables
    from ivgbench.report.record import is_record

    built = tables.build(number, runs, run or None, allow_partial)
    if not run or not all(map(is_record, run)):
        _say(f"table {number}", built.run, runs)
    written = render.write(built, out)
    render.show(built)
    print(f"ivgbench: written: {', '.join(map(str, written))}", file=sys.stderr)


def report(
    run: OneRun = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Even with failed or missing jobs.")] = False,
    embed: Annotated[
        list[str] | None,
        typer.Option(
            "--embed",
            metavar="CASE|COUNT",
            help="One file to send around, with this case alone; repeat for several. A count: so many of each split.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder; with --embed the file. (default: results/own/report, or report.html)"),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Write a run as a folder that opens in a browser from disk: its tables, and all methods playing side by side.

    Figures that `ivgbench figure --out FOLDER/figures` drew are shown, too.
    """
    from ivgbench.report.page import writing
    from ivgbench.store.runs import Store

    if embed:
        place = file(out or OWN / "report.html")
    else:
        place = folder(out or OWN / "report")
        if place.suffix.lower() in (".html", ".htm") and not place.is_dir():
            raise UserError(f"--out {place}: a report is a folder; name one, or add --embed CASE for one file")
    chosen = Store(runs).choose(run, "table1")
    if embed:
        written = writing.embed(runs, chosen, place, embed, allow_partial)
    else:
        written = writing.write(runs, chosen, place, allow_partial)
    _say("the report", chosen, runs)
    print(written)


def record(
    run: OneRun = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="(default: results/own/RUN.record.json)", callback=file)
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="Who sends it: a name that a leaderboard shows beside the rows.")
    ] = "",
    schema: Annotated[bool, typer.Option("--schema", help="The layout as JSON Schema instead.")] = False,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Write a run as one file to send around: every number and what it was judged by, no video.

    `ivgbench table 1 --run FILE` shows it, alone or beside other runs; `ivgbench leaderboard` ranks it.
    """
    from ivgbench.cli.options import print_json
    from ivgbench.report import record as records
    from ivgbench.store.runs import Store

    if schema:
        print_json(records.schema())
        return
    store = Store(runs)
    made = records.of(store, store.choose(run, "table1"), by)
    path = out or OWN / f"{made.run}{records.SUFFIX}"
    made.save(path)
    _say("the record", made.run, runs)
    lost = sum(clip.status != "ok" for clip in made.clips)
    print(f"{path}: {len(made.clips)} clips{f', {lost} of them failed or missing' if lost else ''}")


def figure(
    number: Annotated[
        int,
        typer.Argument(
            help="1: the plain model and the full method, a few frames. 2: activation variance per step. "
            "3: distributions of a masked layer's output. 4: every method, frame by frame."
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option("--run", help="1, 4: (default: table1, or the only one)", autocompletion=completion.runs),
    ] = None,
    case: Annotated[str | None, typer.Option("--case", help="1, 4: its id. (default: the first of each split)")] = None,
    backbone: Annotated[str, typer.Option(help="2, 3: whose activations.")] = "pocket",
    spec: Annotated[
        Path | None,
        typer.Option(
            "--spec",
            help="2, 3: the run whose cases to record, instead of static and dynamic.",
            callback=spec_file,
            autocompletion=completion.specs,
        ),
    ] = None,
    cases: Annotated[int | None, typer.Option(help="2, 3: how many of each suite. (default: 8, or the spec's)")] = None,
    block: Annotated[
        int | None, typer.Option(help="2, 3: the decoder block to record. (default: the first with attention)")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the PNG, SVG and CSV files go.", callback=folder)] = OWN / "figures",
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Draw a figure of the paper: 1 and 4 from a run's clips; 2 and 3 record what is not recorded yet.

    Of a run with several settings and readings (rows called ROW@SETTINGS+READING) 2 and 3 are drawn for each, in a
    folder of its own below --out.
    """
    from ivgbench.report import qualitative
    from ivgbench.study import activations

    if number in (1, 4):
        from ivgbench.store.runs import Store

        draw = {1: qualitative.figure1, 4: qualitative.figure4}[number]
        chosen = Store(runs).choose(run, "table1")
        written = draw(runs, chosen, out, case)
        _say(f"figure {number}", chosen, runs)
    elif number in (2, 3):
        from ivgbench.generator.backbones import sources
        from ivgbench.runs.lab import Lab
        from ivgbench.runs.planning import make_plan
        from ivgbench.runs.spec import load_spec
        from ivgbench.store.runs import Store
        from ivgbench.study import recording

        lab = Lab(device)
        engine = engine_of(lab, workers)
        asked = replace(recording.DEFAULT, backbone=backbone) if spec is None else load_spec(spec)
        sources.locate(asked.backbone)
        plan = make_plan(asked if cases is None else replace(asked, cases=cases), lab)
        cases_of = f"{len({(one.suite, one.case.id) for one in plan.entries})} cases of {', '.join(plan.suites)}"
        print(
            f"ivgbench: figure {number} of {cases_of} on {plan.facts.backbone}; --spec chooses others", file=sys.stderr
        )
        draw_seen, written = {2: activations.figure2, 3: activations.figure3}[number], []
        for variant, mine in recording.by_variant(plan).items():
            seen = recording.record(mine, Store(runs), engine, device, block)
            written += draw_seen(seen, out / variant.folder, activations.title(plan.facts.backbone, variant, seen))
    else:
        raise UserError(f"there is no figure {number}; known: 1, 2, 3, 4")
    for path in written:
        print(path)


def _say(what: str, run: str, runs: Path) -> None:
    """Which run is shown, and how to see another."""
    from ivgbench.store.runs import Store

    count = len(Store(runs).runs())
    others = f"one of {count} in {runs}; --run NAME shows another" if count > 1 else f"the only one in {runs}"
    print(f"ivgbench: {what} of run {run}, {others} (`ivgbench list runs`)", file=sys.stderr)
