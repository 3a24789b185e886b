"""Commands over runs: run, plan, score, table, figure."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ivgbench import suites as suite_files
from ivgbench.cli.options import (
    DEFAULT_RUNS,
    Device,
    Offload,
    References,
    Request,
    Runs,
    Strict,
    Workers,
    file,
    folder,
    print_table,
    takes_request,
)
from ivgbench.cli.requests import spec_of
from ivgbench.errors import UserError

if TYPE_CHECKING:
    from ivgbench.runs.planning import Plan
    from ivgbench.runs.runner import Outcome


@takes_request
def run(
    request: Request,
    batch_size: Annotated[int, typer.Option(help="Clips made together. More than 1 agrees to 1e-5, not bits.")] = 1,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Processes here, or a Ray cluster.")] = "local",
    workers: Workers = None,
    shard: Annotated[str | None, typer.Option(help="i/n: every n-th job from the i-th; i from 0.")] = None,
    device: Device = "auto",
    offload: Offload = False,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Generate, measure and score. What is done already is not done again: a stopped run goes on where it was."""
    from ivgbench.generator.backbones import sources
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan, shard_of

    spec, lab = spec_of(request), Lab(device, offload)
    # Of all that may be missing the weights come first: a mistyped backbone must not read as a missing suite.
    sources.locate(spec.backbone)
    plan = make_plan(spec, lab)
    _work(plan, runs, lab, _engine(engine, workers, lab), shard_of(plan.jobs, shard), batch_size)


@takes_request
def plan_command(
    request: Request,
    gpu: Annotated[str | None, typer.Option("--gpu", help="Estimate for this one, e.g. a100-80gb, h100, l4.")] = None,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """What `run` with the same options would do: jobs, network evaluations, time and memory. Runs nothing."""
    from ivgbench.generator.backbones import sources
    from ivgbench.runs import estimates
    from ivgbench.runs.identity import GROUND_TRUTH
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.store import Store

    # The pocket lab is for CPUs: what it would take on a GPU is told when asked for.
    spec, lab = spec_of(request), Lab("cpu")
    on_cpu = sources.preset(spec.backbone)[0] == "pocket"
    chosen = gpu if gpu is not None else (None if on_cpu else "a100-80gb")
    device = None if chosen is None else estimates.gpu(chosen)
    plan = make_plan(spec, lab, dry=True)
    store = Store(runs)
    done = {job.id for job in plan.jobs if store.intact(job.id)}
    rows = estimates.rows(plan, done, lab.costs(spec), device)
    header, lines = ["method", "jobs", "done", "evaluations", "backward"], []
    for row in [*rows, estimates.total(rows)]:
        lines.append([row.label, *estimates.counts(row), *(estimates.spelled(row, device) if device else [])])
    print_table([*header, *(["hours", "GB", "GB with --offload"] if device else [])], lines)
    print(f"run {spec.name}: {spec.backbone}, suites {', '.join(spec.suites)}")
    for note in [*plan.notes, *(f"{row.label} is not counted: {row.uncounted}" for row in rows if row.uncounted)]:
        print(f"note: {note}")
    if device:
        print(estimates.caveat(device, {job.dtype for job in plan.jobs if job.method != GROUND_TRUTH}))


def score(
    suite: Annotated[str, typer.Option("--suite", help="The suite they were made for: a name or a .jsonl file.")],
    videos: Annotated[
        Path | None,
        typer.Option("--videos", help="A folder of ID.mp4 or PROMPT.mp4; ID-0.mp4, ID-1.mp4 and so on for samples."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="For files called otherwise: CSV or JSONL of case, file, sample; paths are relative to it."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="The row's name (default: the folder's).")] = None,
    detector: Annotated[str | None, typer.Option(help="`ivgbench list detectors`. (default: by the suite)")] = None,
    clip: Annotated[str | None, typer.Option(help="pocket, or MODEL/WEIGHTS of open_clip. (default: by suite)")] = None,
    reference: References = None,
    frame_encoder: Annotated[
        list[str] | None,
        typer.Option("--frame-encoder", help="Of FID and KID: clip, denoiser, inception or NAME:FILE; repeat."),
    ] = None,
    video_encoder: Annotated[
        str | None,
        typer.Option("--video-encoder", help="Of JEDi: pocket, vjepa:FILE,FILE or vjepa2. (default: by suite)"),
    ] = None,
    strict: Strict = False,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Measure the videos of any other system as if they had been made here.

    A file is matched by a case's id or its whole prompt, with or without a sample's number (.mp4, .mkv, .webm, .mov,
    .avi, .gif and others). Every file that is not used is named.
    """
    from ivgbench.runs.external import import_videos
    from ivgbench.runs.judging import check_encoders
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.store import Store

    lab = Lab(device)
    engine = _engine("local", workers, lab)
    check_encoders(frame_encoder, video_encoder)
    judges = {"detector": detector, "clip": clip, "video_encoder": video_encoder, "strict": strict}
    judges |= {"references": tuple(reference or ()), "frame_encoders": tuple(frame_encoder) if frame_encoder else None}
    asked, source = suite_files.load_suite(suite), videos or manifest
    label = label or ("" if source is None else source.resolve().stem if source == manifest else source.resolve().name)
    plan = import_videos(videos, asked, label, Store(runs), manifest, **judges)
    for note in plan.notes:
        print(f"ivgbench: {note}", file=sys.stderr)
    _work(plan, runs, lab, engine, plan.jobs)


def table(
    number: Annotated[int, typer.Argument(help="1 or 2, as in the paper.")],
    run: Annotated[
        list[str] | None,
        typer.Option("--run", help="Repeat for one table of several. (default: table1 or table2, or the only one)"),
    ] = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Even with failed or missing jobs.")] = False,
    out: Annotated[Path, typer.Option(help="Where the csv, Markdown and LaTeX files go.", callback=folder)] = Path(
        "results/tables"
    ),
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Print a table of the paper, computed from stored results, and write its files."""
    from ivgbench.report import render, tables

    built = tables.build(number, runs, run or None, allow_partial)
    written = render.write(built, out)
    render.show(built)
    print(f"ivgbench: written: {', '.join(map(str, written))}", file=sys.stderr)


def report(
    run: Annotated[str | None, typer.Option("--run", help="(default: table1, or the only one)")] = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Even with failed or missing jobs.")] = False,
    out: Annotated[Path, typer.Option(help="The page.", callback=file)] = Path("results/report.html"),
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Write a run as one HTML page to send around: its tables, and clips of every method side by side."""
    from ivgbench.report import html

    print(html.report(runs, run, out, allow_partial))


def figure(
    number: Annotated[
        int,
        typer.Argument(
            help="1: the plain model and the full method, a few frames. 2: activation variance per step. "
            "3: distributions of a masked layer's output. 4: every method, frame by frame."
        ),
    ],
    run: Annotated[str | None, typer.Option("--run", help="1, 4: (default: table1, or the only one)")] = None,
    case: Annotated[str | None, typer.Option("--case", help="1, 4: its id. (default: the first of each split)")] = None,
    backbone: Annotated[str, typer.Option(help="2, 3: whose activations.")] = "pocket",
    spec: Annotated[
        Path | None, typer.Option("--spec", help="2, 3: the run whose cases to record, instead of static and dynamic.")
    ] = None,
    cases: Annotated[int | None, typer.Option(help="2, 3: how many of each suite. (default: 8, or the spec's)")] = None,
    block: Annotated[
        int | None, typer.Option(help="2, 3: the decoder block to record. (default: the first with attention)")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the PNG, SVG and CSV files go.", callback=folder)] = Path(
        "results/figures"
    ),
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Draw a figure of the paper: 1 and 4 from a run's clips; 2 and 3 record what is not recorded yet."""
    from ivgbench.report import activations, qualitative

    if number in (1, 4):
        draw = {1: qualitative.figure1, 4: qualitative.figure4}[number]
        written = draw(runs, run, out, case)
    elif number in (2, 3):
        from ivgbench.generator.backbones import sources
        from ivgbench.runs import recording
        from ivgbench.runs.engines import LocalEngine
        from ivgbench.runs.lab import Lab
        from ivgbench.runs.planning import make_plan
        from ivgbench.runs.spec import RunSpec, load_spec
        from ivgbench.runs.store import Store

        lab = Lab(device)
        engine = LocalEngine(lab.default_workers() if workers is None else workers)
        asked = RunSpec("activations", recording.ROWS, backbone, cases=8) if spec is None else load_spec(spec)
        sources.locate(asked.backbone)
        plan = make_plan(asked if cases is None else replace(asked, cases=cases), lab)
        seen = recording.record(plan, Store(runs), engine, device, block)
        title = f"{plan.facts.backbone}, mean of {len(seen.cases)} cases"
        written = {2: activations.figure2, 3: activations.figure3}[number](seen, out, title)
    else:
        raise UserError(f"there is no figure {number}; known: 1, 2, 3, 4")
    for path in written:
        print(path)


def _engine(name: str, workers: int | None, lab: Any) -> Any:
    if name == "ray":
        from ivgbench.runs.ray_engine import RayEngine

        return RayEngine(workers, gpu=lab.device().startswith("cuda"))
    from ivgbench.runs.engines import LocalEngine

    return LocalEngine(lab.default_workers() if workers is None else workers)


def _work(plan: Plan, runs: Path, lab: Any, engine: Any, jobs: tuple[Any, ...], batch_size: int = 1) -> None:
    """Works jobs off and says what came of them. Exit code 1 when some failed."""
    from ivgbench.runs import runner
    from ivgbench.runs.store import Store

    try:
        outcome = runner.run(plan, Store(runs), lab, engine, jobs, batch_size)
    except runner.NotCompared as fault:
        _summary(plan, runs, fault.outcome)
        raise
    _summary(plan, runs, outcome)
    if outcome.failed:
        sys.exit(1)


def _summary(plan: Plan, runs: Path, outcome: Outcome) -> None:
    """A line per method and split, then where everything is."""
    from ivgbench.report import tables
    from ivgbench.report.layout import number
    from ivgbench.runs.store import Store

    rows = []
    try:
        built = tables.build(1, runs, outcome.run, allow_partial=True)
    except UserError as fault:  # no clip could be scored: say so instead of an empty table
        print(f"ivgbench: {fault}", file=sys.stderr)
    else:
        for _, line in built.frame.iterrows():
            numbers = [number(line[key], digits) for key, digits in (("clip_sim", 2), ("coverage", 0), ("miou", 1))]
            rows.append([line["split"], line["label"], *numbers, f"{line['n_scored']}/{line['n_expected']}"])
    if rows:
        print_table(["split", "method", "CLIP-SIM", "CoV %", "mIoU %", "scored"], rows)
    failed = f", {outcome.failed} failed" if outcome.failed else ""
    missing = f", {outcome.missing} missing" if outcome.missing else ""
    print(f"run {outcome.run}: {outcome.total} jobs, {outcome.made} clips made now{failed}{missing}")
    numbers = (1, 2) if plan.spec.references and Store(runs).set_rows(outcome.run) else (1,)
    shown = " and ".join(f"ivgbench table {number} --run {outcome.run} --runs {runs}" for number in numbers)
    print(f"clips and scores: {runs}; to print them: {shown}")
