"""The command line. Results go to stdout, everything else to stderr. Nothing heavy is imported until it is needed.

Exit codes: 0; 1 when jobs failed; 2 for bad usage, told in one line.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ivgbench import suites as suite_files
from ivgbench.cases import Suite
from ivgbench.errors import UserError
from ivgbench.registry import DETECTORS, METHODS

if TYPE_CHECKING:
    from ivgbench.runs.planning import Plan
    from ivgbench.runs.runner import Outcome
    from ivgbench.runs.spec import RunSpec

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="""
Benchmarks training-free, box-controlled video generation: makes the clips, measures them, prints the tables.
""")  # fmt: skip
suites_app = typer.Typer(no_args_is_help=True, help="Suites: lists of prompts with boxes.")
app.add_typer(suites_app, name="suites")

DEFAULT_RUNS = Path("results/runs")
Runs = Annotated[Path, typer.Option("--runs", help="The folder of runs.")]
Methods = Annotated[list[str] | None, typer.Option("--method", help="A method; repeat for several.")]
Options = Annotated[list[str] | None, typer.Option("--option", help="METHOD.FIELD=VALUE, e.g. tid.gamma=0.1; repeat.")]
SpecFile = Annotated[Path | None, typer.Option("--spec", help="A TOML file that says all this.")]
Backbone = Annotated[str | None, typer.Option(help="pocket, zeroscope, modelscope, or a folder (default: pocket).")]
SuiteNames = Annotated[
    list[str] | None,
    typer.Option(
        "--suite", help="static, dynamic, another name, or a .jsonl file; repeat (default: static and dynamic)."
    ),
]
Cases = Annotated[int | None, typer.Option(help="Only the first N cases of each suite.")]
Seeds = Annotated[int | None, typer.Option(help="Seeds 0..K-1 for every case (default: 1).")]
Steps = Annotated[int | None, typer.Option(help="Sampling steps (default: the backbone's).")]
Guidance = Annotated[float | None, typer.Option("--guidance-scale", help="(default: the backbone's)")]
Scheduler = Annotated[str | None, typer.Option(help="ddim, dpm or checkpoint (default: ddim).")]
Workers = Annotated[int | None, typer.Option(help="Processes (default: one per CPU; one on a GPU).")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def main() -> None:
    """Entry point: turns the errors a user can cause, and a full disk, into one line on stderr."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except Exception as fault:
        told = _told(fault)
        if debug or told is None:
            raise
        print(f"ivgbench: {told[0]}", file=sys.stderr)
        sys.exit(told[1])


def _told(fault: Exception) -> tuple[str, int] | None:
    """(line, exit code) for an error that needs no traceback; None for one that does."""
    from ivgbench.runs.engines import DiskFull, StartFailed

    if isinstance(fault, UserError):
        return " ".join(str(fault).split()), 2
    if isinstance(fault, DiskFull) or (isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)):
        return f"the disk is full ({fault}). All that was finished is kept: free some space and run the same again", 1
    if isinstance(fault, StartFailed):
        return f"the workers cannot start: {str(fault).splitlines()[0]} (--debug shows where)", 1
    return None


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks instead of one-line errors.")] = False,
) -> None:
    """Read in `main`, so that --debug may stand anywhere."""


# ---- runs


@app.command()
def run(
    method: Methods = None,
    option: Options = None,
    spec: SpecFile = None,
    backbone: Backbone = None,
    suite: SuiteNames = None,
    cases: Cases = None,
    seeds: Seeds = None,
    steps: Steps = None,
    guidance_scale: Guidance = None,
    scheduler: Scheduler = None,
    ground_truth: Annotated[bool, typer.Option("--ground-truth", help="Add the reference row (pocket only).")] = False,
    workers: Workers = None,
    shard: Annotated[str | None, typer.Option(help="i/n: every n-th job from the i-th; i from 0.")] = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Generate, measure and score. What is done already is not done again: a stopped run goes on where it was."""
    from ivgbench.runs.planning import shard_of

    plan = _plan(
        method, option, spec, backbone, suite, cases, seeds, steps, guidance_scale, scheduler, ground_truth, device
    )
    _work(plan, runs, device, workers, shard_of(plan.jobs, shard))


@app.command("plan")
def plan_command(
    method: Methods = None,
    option: Options = None,
    spec: SpecFile = None,
    backbone: Backbone = None,
    suite: SuiteNames = None,
    cases: Cases = None,
    seeds: Seeds = None,
    steps: Steps = None,
    guidance_scale: Guidance = None,
    scheduler: Scheduler = None,
    ground_truth: Annotated[bool, typer.Option("--ground-truth", help="Add the reference row (pocket only).")] = False,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """What `run` with the same options would do: jobs and network evaluations. Runs nothing."""
    from ivgbench.runs.planning import evaluations
    from ivgbench.runs.runner import log
    from ivgbench.runs.store import Store, each_done

    plan = _plan(
        method, option, spec, backbone, suite, cases, seeds, steps, guidance_scale, scheduler, ground_truth, "cpu"
    )
    unique = {job.id: job for job in plan.jobs}
    done = each_done(Store(runs), list(unique), log)
    rows = []
    for label in dict.fromkeys(job.label for job in plan.jobs):
        mine = [job for job in unique.values() if job.label == label]
        left = [job for job in mine if job.id not in done]
        counts = (len(mine), len(mine) - len(left), sum(map(evaluations, mine)), sum(map(evaluations, left)))
        rows.append([label, *map(str, counts)])
    rows.append(["total", *(str(sum(int(row[column]) for row in rows)) for column in range(1, 5))])
    _print_table(["method", "jobs", "done", "evaluations", "still to do"], rows)
    print(f"run {plan.spec.name}: {plan.spec.backbone}, suites {', '.join(plan.suites)}")


@app.command()
def score(
    videos: Annotated[Path, typer.Option("--videos", help="A folder of CASE_ID.mp4 (.mkv, .webm, .mov, .avi, .gif).")],
    suite: Annotated[str, typer.Option("--suite", help="The suite they were made for: a name or a .jsonl file.")],
    label: Annotated[str | None, typer.Option(help="The row's name (default: the folder's).")] = None,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Measure the videos of any other system as if they had been made here."""
    from ivgbench.runs.external import import_videos
    from ivgbench.runs.store import Store

    plan = import_videos(videos, suite_files.load_suite(suite), label or videos.resolve().name, Store(runs))
    _work(plan, runs, device, workers, plan.jobs)


@app.command()
def table(
    number: Annotated[int, typer.Argument(help="1: the paper's Table 1.")],
    run: Annotated[str | None, typer.Option("--run", help="(default: table1, or the only one)")] = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Even with failed or missing jobs.")] = False,
    out: Annotated[Path, typer.Option(help="Where the csv, Markdown and LaTeX files go.")] = Path("results/tables"),
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Print a table of the paper, computed from stored results, and write its files."""
    from ivgbench.report import render, tables

    built = tables.build(number, runs, run or _default_run(runs, f"table{number}"), allow_partial)
    render.show(built)
    written = render.write(built, out)
    print(f"ivgbench: written: {', '.join(map(str, written))}", file=sys.stderr)


@app.command()
def figure(
    number: Annotated[int, typer.Argument(help="4: every method on one case of each split, frame by frame.")],
    run: Annotated[str | None, typer.Option("--run", help="(default: table1, or the only one)")] = None,
    case: Annotated[str | None, typer.Option("--case", help="A case's id. (default: the first of each split)")] = None,
    out: Annotated[Path, typer.Option(help="Where the PNG files go.")] = Path("results/figures"),
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Draw a figure of the paper from stored results."""
    from ivgbench.report.qualitative import figure4

    if number != 4:
        raise UserError(f"figure {number} is not there yet; figure 4 is")
    for path in figure4(runs, run or _default_run(runs, "table1"), out, case):
        print(path)


def _default_run(runs: Path, name: str) -> str:
    from ivgbench.runs.store import Store

    known = Store(runs).runs()
    if name in known or len(known) == 1:
        return name if name in known else known[0]
    if not known:
        raise UserError(f"there is no run in {runs}; make one: ivgbench run --spec benchmarks/pocket.toml")
    raise UserError(f"which run? --run NAME with one of: {', '.join(known)}")


def _plan(
    method: list[str] | None,
    option: list[str] | None,
    spec: Path | None,
    backbone: str | None,
    suite: list[str] | None,
    cases: int | None,
    seeds: int | None,
    steps: int | None,
    guidance_scale: float | None,
    scheduler: str | None,
    ground_truth: bool,
    device: str,
) -> Plan:
    """The plan of the options of `run`. A spec that is overridden gets a name of its own: "table1" stays table1."""
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec

    if spec is not None and method:
        raise UserError("give --spec or --method, not both: the spec lists its methods")
    if seeds is not None and seeds < 1:
        raise UserError(f"--seeds must be at least 1, got {seeds}")
    said = {
        "backbone": backbone,
        "suites": tuple(suite) if suite else None,
        "cases": cases,
        "seeds": tuple(range(seeds)) if seeds else None,
        "steps": steps,
        "guidance_scale": guidance_scale,
        "scheduler": scheduler,
        "ground_truth": ground_truth or None,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if spec is not None:
        asked = replace(_with_options(load_spec(spec), option), **said)
        return make_plan(asked.named_by_content(asked.name) if said or option else asked, Lab(device))
    methods = tuple(MethodSpec(METHODS.canonical(name)) for name in method or ())
    asked = _with_options(RunSpec("run", methods, **said), option)
    return make_plan(asked.named_by_content("run"), Lab(device))


def _with_options(spec: RunSpec, option: list[str] | None) -> RunSpec:
    """The spec with METHOD.FIELD=VALUE options put into all rows of their method."""
    from ivgbench.runs.spec import parse_option

    methods = list(spec.methods)
    for text in option or ():
        name, field, value = parse_option(text)
        name = METHODS.canonical(name)
        if not any(METHODS.canonical(one.method) == name for one in methods):
            raise UserError(f"--option {text!r}: the method {name!r} is not in this run; add --method {name}")
        methods = [
            replace(one, options={**one.options, field: value}) if METHODS.canonical(one.method) == name else one
            for one in methods
        ]
    return replace(spec, methods=tuple(methods))


def _work(plan: Plan, runs: Path, device: str, workers: int | None, jobs: tuple[Any, ...]) -> None:
    """Works jobs off and says what came of them. Exit code 1 when some failed."""
    from ivgbench.runs import runner
    from ivgbench.runs.engines import LocalEngine
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.store import Store

    lab = Lab(device)
    engine = LocalEngine(lab.default_workers() if workers is None else workers)
    outcome = runner.run(plan, Store(runs), lab, engine, jobs)
    _summary(plan, runs, outcome)
    if outcome.failed:
        sys.exit(1)


def _summary(plan: Plan, runs: Path, outcome: Outcome) -> None:
    """A line per method and split, then where everything is."""
    from ivgbench.report import tables

    rows = []
    try:
        built = tables.build(1, runs, outcome.run, allow_partial=True)
    except UserError as fault:  # no clip could be scored: say so instead of an empty table
        print(f"ivgbench: {fault}", file=sys.stderr)
    else:
        for _, line in built.frame.iterrows():
            numbers = [f"{line[key]:.{digits}f}" for key, digits in (("clip_sim", 2), ("coverage", 0), ("miou", 1))]
            rows.append([line["split"], line["label"], *numbers, f"{line['n_scored']}/{line['n_expected']}"])
    if rows:
        _print_table(["split", "method", "CLIP-SIM", "CoV %", "mIoU %", "scored"], rows)
    failed = f", {outcome.failed} failed" if outcome.failed else ""
    missing = f", {outcome.missing} missing" if outcome.missing else ""
    print(f"run {outcome.run}: {outcome.total} jobs, {outcome.made} clips made now{failed}{missing}")
    print(f"clips and scores: {runs}; the table: ivgbench table 1 --run {outcome.run} --runs {runs}")


# ---- one clip


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the clip shows.")],
    subject: Annotated[str, typer.Option("--subject", help="The words of the prompt that the boxes are for.")],
    box: Annotated[
        list[str], typer.Option("--box", help="FRAME:x0,y0,x1,y1 in fractions of the frame; repeat. Linear between.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .mp4, or a .mkv with exact pixels.")],
    method: Annotated[str, typer.Option("--method", help="`ivgbench list methods`.")] = "tid",
    option: Options = None,
    backbone: Annotated[str, typer.Option(help="pocket, zeroscope, modelscope, or a folder.")] = "pocket",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    steps: Steps = None,
    guidance_scale: Guidance = None,
    scheduler: Annotated[Literal["ddim", "dpm", "checkpoint"], typer.Option(help="The sampler.")] = "ddim",
    device: Device = "auto",
) -> None:
    """Make one clip with one subject."""
    from rich.console import Console
    from rich.progress import Progress

    from ivgbench import boxes
    from ivgbench.cases import Case, Subject, check_case
    from ivgbench.runs import video
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.spec import MethodSpec, RunSpec

    name = METHODS.canonical(method)
    video.check_suffix(output)
    from ivgbench.generator import sources

    frames = sources.preset(backbone)[1].frames
    track = boxes.interpolate(dict(_keyframe(text) for text in box), frames)
    case = check_case(Case("clip", prompt, (Subject(subject, track),)), "generate")
    (asked,) = _with_options(RunSpec("generate", (MethodSpec(name),)), option).methods
    lab = Lab(device)
    loaded = lab.backbone(backbone, "float32")
    from ivgbench.generator import generate as make

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)
        clip = make(
            loaded, case, method=name, method_options=asked.options, steps=steps, guidance_scale=guidance_scale,
            seed=seed, scheduler=None if scheduler == "checkpoint" else scheduler,
            callback=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    video.save(output, clip.video)
    print(f"{output}: {len(clip.video)} frames, {clip.nfe} network evaluations")


def _keyframe(text: str) -> tuple[int, tuple[float, ...]]:
    """FRAME:x0,y0,x1,y1."""
    frame, colon, numbers = text.partition(":")
    try:
        values = tuple(float(number) for number in numbers.split(","))
        if not colon or len(values) != 4:
            raise ValueError
        return int(frame), values
    except ValueError:
        raise UserError(f"--box {text!r}: write FRAME:x0,y0,x1,y1, e.g. 0:0.1,0.2,0.4,0.6") from None


# ---- suites


@suites_app.command("list")
def suites_list() -> None:
    """The suites that ship with the package."""
    rows = []
    for name in suite_files.names():
        suite = suite_files.load_suite(name)
        rows.append([name, str(len(suite.cases)), str(suite.frames), suite.sha256[:12], suite.description])
    _print_table(["suite", "cases", "frames", "sha256", "what"], rows)


@suites_app.command("show")
def suites_show(
    suite: Annotated[str, typer.Argument(help="A name or a .jsonl file.")],
    cases: Annotated[int | None, typer.Option(help="Only the first N.")] = None,
) -> None:
    """A suite as JSON, one case per line."""
    from ivgbench.files import canonical_json

    for case in suite_files.load_suite(suite).cases[:cases]:
        print(canonical_json(case.to_json()))


@suites_app.command("make")
def suites_make(
    name: Annotated[str | None, typer.Argument(help="A suite's name.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder (default: where the shipped suites are).")] = None,
) -> None:
    """Draw a suite anew from its seed and write its file: the same cases every time."""
    if every == (name is not None):
        raise UserError("give a suite's name, or --all")
    folder = suite_files.folder() if out is None else out
    for one in suite_files.RECIPES if every else [name]:
        suite = suite_files.make_suite(one)
        suite.save(folder / f"{one}.jsonl")
        print(f"{folder / f'{one}.jsonl'}: {_spell(suite)}")


@suites_app.command("validate")
def suites_validate(suite: Annotated[list[str], typer.Argument(help="Names or .jsonl files.")]) -> None:
    """Check suite files: ids, phrases, boxes, frames, checksum."""
    for one in suite:
        print(f"{one}: ok, {_spell(suite_files.load_suite(one))}")


def _spell(suite: Suite) -> str:
    return f"{len(suite.cases)} cases of {suite.frames} frames, sha256 {suite.sha256[:12]}"


# ---- what there is


@app.command("list")
def list_command(
    what: Annotated[Literal["methods", "backbones", "metrics", "detectors"], typer.Argument()],
    options: Annotated[bool, typer.Option("--options", help="With methods: their options and defaults.")] = False,
) -> None:
    """The methods, backbones, metrics or detectors there are."""
    if what == "methods":
        short = {name: alias for alias, name in METHODS.aliases().items()}
        _print_table(["method", "alias"], [[name, short.get(name, "")] for name in METHODS.names()])
        if options:
            _print_table(["option", "default"], _method_options())
    elif what == "detectors":
        _print_table(["detector"], [[name] for name in DETECTORS.names()])
    elif what == "metrics":
        from ivgbench.runs.scoring import METRICS

        _print_table(["metric", "what"], [[name, text] for name, text in METRICS.items()])
    else:
        from ivgbench.generator import sources

        rows = []
        for name, preset in sources.PRESETS.items():
            rows.append([name, str(preset.frames), str(preset.steps), f"{preset.guidance:g}", _is_here(name)])
        _print_table(["backbone", "frames", "steps", "guidance", "here"], rows)


def _method_options() -> list[list[str]]:
    from dataclasses import asdict

    from ivgbench.generator.methods.base import resolve

    return [[f"{name}.{key}", repr(value)] for name in METHODS.names() for key, value in asdict(resolve(name)).items()]


def _is_here(backbone: str) -> str:
    from ivgbench.generator import sources

    try:
        sources.locate(backbone)
    except UserError as fault:
        return f"no: {fault}"
    except ImportError as fault:
        return f"no: {fault.name} is not installed (pip install 'ivgbench[gen]')"
    return "yes"


@app.command()
def doctor(runs: Runs = DEFAULT_RUNS) -> None:
    """Check this installation: packages, weights, suites, video codec, disk. Exit code 1 when something is missing."""
    from ivgbench.runs import doctor as checks

    findings = checks.examine(runs)
    _print_table(["check", "result", "what to do"], [[one.what, one.result, one.remedy] for one in findings])
    if any(one.remedy for one in findings):
        sys.exit(1)


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = 160
    made = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for name in header:
        made.add_column(name)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console.print(made)
