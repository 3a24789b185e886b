"""Commands that work on runs: run, plan, score. `results` shows what came of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ivgbench.cli import completion
from ivgbench.cli.options import (
    DEFAULT_RUNS,
    Device,
    Offload,
    References,
    Request,
    RunName,
    Runs,
    Strict,
    Workers,
    engine_of,
    print_table,
    spreads,
)
from ivgbench.cli.requests import spec_of
from ivgbench.errors import UserError

if TYPE_CHECKING:
    from ivgbench.runs.planning import Plan
    from ivgbench.runs.runner import Outcome


@spreads
def run(
    request: Request,
    batch_size: Annotated[
        str | None,
        typer.Option(
            help="Clips made together, or auto: up to 8, as many as fit into memory by `plan`'s count, evenly over the "
            "workers. More than 1 agrees to 1e-5, not bits. (default: 1, or the spec's)"
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Processes here, or a Ray cluster: that of RAY_ADDRESS, or of this machine."),
    ] = "local",
    workers: Workers = None,
    shard: Annotated[str | None, typer.Option(help="i/n: every n-th job from the i-th; i from 0.")] = None,
    device: Device = "auto",
    offload: Offload = False,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Generate, measure and score. What is done already is not done again: a stopped run goes on where it was."""
    from ivgbench.generator.backbones import sources
    from ivgbench.runs import batching
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan, shard_of

    together = None if batch_size is None else batching.check(batch_size, "--batch-size")
    spec, lab = spec_of(request), Lab(device, offload)
    # Of all that may be missing the weights come first: a mistyped backbone must not read as a missing suite.
    sources.locate(spec.backbone)
    plan = make_plan(spec, lab)
    _claim_name(plan, runs, request.name)
    _work(plan, runs, lab, engine_of(lab, workers, engine), shard_of(plan.jobs, shard), together or spec.batch_size)


@spreads
def plan_command(
    request: Request,
    gpu: Annotated[str | None, typer.Option("--gpu", help="Estimate for this one, e.g. a100-80gb, h100, l4.")] = None,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """What `run` with the same options would do: jobs, network evaluations, time and memory. Runs nothing."""
    from ivgbench.generator.backbones import sources
    from ivgbench.runs import estimates, naming
    from ivgbench.runs.identity import GROUND_TRUTH, row_name
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.progress import late_progress
    from ivgbench.store.runs import Store

    # The pocket lab is for CPUs: what it would take on a GPU is told when asked for.
    spec, lab = spec_of(request), Lab("cpu")
    on_cpu = sources.is_pocket(spec.backbone)
    chosen = gpu if gpu is not None else (None if on_cpu else "a100-80gb")
    device = None if chosen is None else estimates.gpu(chosen)
    with late_progress() as stage:
        planned = stage("plan", 1)
        plan = make_plan(spec, lab, dry=True)
        planned()
        store, done, looked = Store(runs), set(), stage("stored clips", len(plan.jobs))
        for job in plan.jobs:
            if store.intact(job.id):
                done.add(job.id)
            looked()
        counted = stage("costs", len(estimates.labels(plan)))
        rows = estimates.rows(plan, done, lab.costs(spec), device, counted)
    beside = estimates.remarks(rows)
    told = {entry.label: (entry.settings, entry.about) for entry in plan.entries}
    header = ["method", "jobs", "done", "evaluations", "backward"]
    header += [*(["hours", "GB", "GB with --offload"] if device else []), *([""] if any(beside) else []), "settings"]
    lines = []
    for row, remark in zip([*rows, estimates.total(rows)], beside, strict=True):
        cells = [row_name(row.label), *estimates.counts(row), *(estimates.spelled(row, device) if device else [])]
        settings = told[row.label][0] if row.label in told else ""
        lines.append([*cells, *([remark] if any(beside) else []), settings])
    print_table(header, lines)
    print(f"run {spec.name}: {spec.backbone}, suites {', '.join(spec.suites)}")
    for label, (name, about) in told.items():
        if about:
            print(f"{row_name(label)}: {name}: {about}")
    taken = naming.taken(plan, store.kept_manifest(plan.spec.name))
    for note in [*plan.notes, *([f"a stored run has this name, and is another one: {taken}"] if taken else [])]:
        print(f"note: {note}")
    if device:
        print(estimates.caveat(device, {job.sampling.dtype for job in plan.jobs if job.method != GROUND_TRUTH}))


def score(
    suite: Annotated[
        str,
        typer.Option(
            "--suite",
            help="The suite they were made for: a name or a .jsonl file.",
            autocompletion=completion.suite_names,
        ),
    ],
    videos: Annotated[
        Path | None,
        typer.Option("--videos", help="A folder of ID.mp4 or PROMPT.mp4; ID-0.mp4, ID-1.mp4 and so on for samples."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="For files called otherwise: CSV or JSONL of case, file, sample; paths are relative to it."),
    ] = None,
    name: RunName = None,
    label: Annotated[str | None, typer.Option(help="The row's name (default: the folder's).")] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="`ivgbench list detectors`. (default: by the suite)", autocompletion=completion.detectors),
    ] = None,
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
    from ivgbench import suites as suite_files
    from ivgbench.runs.external import import_videos
    from ivgbench.runs.judging import check_names
    from ivgbench.runs.lab import Lab
    from ivgbench.store.runs import Store

    lab = Lab(device)
    engine = engine_of(lab, workers)
    check_names(detector, frame_encoder, video_encoder)
    judges: dict[str, Any] = {"detector": detector, "clip": clip, "video_encoder": video_encoder, "strict": strict}
    judges |= {"references": tuple(reference or ()), "frame_encoders": tuple(frame_encoder) if frame_encoder else None}
    asked, source = suite_files.load_suite(suite), videos or manifest
    label = label or ("" if source is None else source.resolve().stem if source == manifest else source.resolve().name)
    plan = import_videos(videos, asked, label, Store(runs), manifest, name, **judges)
    for note in plan.notes:
        print(f"ivgbench: {note}", file=sys.stderr)
    _claim_name(plan, runs, name)
    _work(plan, runs, lab, engine, plan.jobs)


def _claim_name(plan: Plan, runs: Path, given: str | None) -> None:
    """Refuses a name from the command line that another run has; the same run goes on where it was."""
    from ivgbench.runs import naming
    from ivgbench.store.runs import Store

    if given is not None and (why := naming.taken(plan, Store(runs).kept_manifest(plan.spec.name))):
        raise UserError(f"--name {given}: {runs} has another run of this name ({why}); give another --name")


def _work(plan: Plan, runs: Path, lab: Any, engine: Any, jobs: tuple[Any, ...], batch_size: int | str = 1) -> None:
    """Works jobs off and says what came of them. Exit code 1 when some failed."""
    from ivgbench.runs import runner
    from ivgbench.store.runs import Store

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
    from ivgbench.metrics.catalogue import COLUMN
    from ivgbench.report import tables
    from ivgbench.report.layout import number
    from ivgbench.store.runs import Store

    shown, rows = [COLUMN[column] for column in ("clip_sim", "coverage", "miou")], []
    try:
        built = tables.build(1, runs, outcome.run, allow_partial=True)
    except UserError as fault:  # no clip could be scored: say so instead of an empty table
        print(f"ivgbench: {fault}", file=sys.stderr)
    else:
        for line in built.rows:
            numbers = [number(line[metric.column], metric.decimals) for metric in shown]
            counted = f"{line['n_scored']}/{line['n_expected']}"
            rows.append([line["split"], line["label"], *numbers, counted, line["settings"]])
    if rows:
        print_table(["split", "method", *(metric.head for metric in shown), "scored", "settings"], rows)
    failed = f", {outcome.failed} failed" if outcome.failed else ""
    missing = f", {outcome.missing} missing" if outcome.missing else ""
    print(f"run {outcome.run}: {outcome.total} jobs, {outcome.made} clips made now{failed}{missing}")
    printable = (1, 2) if plan.spec.references and Store(runs).set_rows(outcome.run) else (1,)
    commands = " and ".join(f"ivgbench table {one} --run {outcome.run} --runs {runs}" for one in printable)
    print(f"clips and scores: {runs}; to print them: {commands}")
