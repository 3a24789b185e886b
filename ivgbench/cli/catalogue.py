"""Commands that tell what there is: suites, list, doctor."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ivgbench.cli import completion
from ivgbench.cli.options import DEFAULT_RUNS, Runs, print_json, print_table
from ivgbench.errors import UserError
from ivgbench.extras import missing
from ivgbench.plugins import PluginFault
from ivgbench.registry import DETECTORS, METHODS

if TYPE_CHECKING:
    from ivgbench.cases import Suite

#: Any backbone that has no settings of its own.
OTHERS = "other backbones"
#: How many rows of a run `list runs` names.
MOST_METHODS = 8

suites_app = typer.Typer(no_args_is_help=True, help="Suites: lists of prompts with boxes.")


@suites_app.command("list")
def suites_list() -> None:
    """The suites that ship with the package."""
    from ivgbench import suites as suite_files

    rows = []
    for name in suite_files.names():
        suite = suite_files.load_suite(name)
        rows.append([name, str(len(suite.cases)), str(suite.frames), suite.sha256[:12], suite.description])
    print_table(["suite", "cases", "frames", "sha256", "what"], rows)


@suites_app.command("show")
def suites_show(
    suite: Annotated[str, typer.Argument(help="A name or a .jsonl file.", autocompletion=completion.suite_names)],
    cases: Annotated[int | None, typer.Option(help="Only the first N.", min=1)] = None,
) -> None:
    """A suite as JSON, one case per line."""
    from ivgbench import suites as suite_files

    for case in suite_files.load_suite(suite).cases[:cases]:
        print_json(case.to_json())


@suites_app.command("make")
def suites_make(
    name: Annotated[str | None, typer.Argument(help="A shipped suite's name.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All shipped suites.")] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="A CSV, JSON, JSONL or YAML of prompts and keyframes.")
    ] = None,
    own_name: Annotated[str | None, typer.Option("--name", help="With --from: its name. (default: the file's)")] = None,
    frames: Annotated[int | None, typer.Option(help="With --from: of a clip. (default: last keyframe + 1)")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder, or a .jsonl file. (default: where suites are found by name)"),
    ] = None,
) -> None:
    """Make a suite of your own with --from, or draw a shipped one anew from its seed: the same cases every time.

    A CSV has a row per keyframe. Boxes are fractions of width and height; an empty prompt or subject is that of the row
    before; other columns travel along, and `split` names the block of a table:

        case,prompt,subject,frame,x0,y0,x1,y1

        fox-1,A red fox crosses a snowy field,red fox,0,0.05,0.4,0.35,0.8

        fox-1,,,23,0.65,0.4,0.95,0.8

    JSON and YAML: a list of {case, prompt, subject, keyframes: {FRAME: BOX, ...}}, a BOX is a list of x0, y0, x1, y1;
    of several subjects {case, prompt, subjects: a list of {subject, keyframes}}. JSONL: one case per line.
    """
    from ivgbench import suites as suite_files

    if source is not None:
        if every or name is not None:
            raise UserError("--from makes one suite; its name is given with --name, and --all is for shipped ones")
        from ivgbench.suites import own

        suite = own.make(source, own_name, frames)
        path = suite_files.keep(suite, out)
        print(f"{path}: {spell(suite)}")
        return
    if own_name is not None or frames is not None:
        raise UserError("--name and --frames are for a suite of your own: --from FILE")
    if every == (name is not None):
        raise UserError("give a suite's name, or --all, or --from FILE")
    asked = [*suite_files.RECIPES] if name is None else [name]
    folder = suite_files.folder() if out is None else out
    for one in asked:
        suite = suite_files.make_suite(one)
        suite.save(folder / f"{one}.jsonl")
        print(f"{folder / f'{one}.jsonl'}: {spell(suite)}")


@suites_app.command("import")
def suites_import(
    kind: Annotated[str, typer.Argument(help="imc, lasot, davis, ssv2 or trailblazer.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="The released file; of trailblazer, any number of configs or folders.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Of a clip, not for imc. (default: 24, as ZeroScope's)")] = None,
    name: Annotated[str | None, typer.Option(help="The suite's name, not for imc. (default: the kind)")] = None,
    order: Annotated[
        str | None, typer.Option(help="Of a box's numbers, e.g. y0,x0,y1,x1: lasot, davis, ssv2. (default: the set's)")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder (default: where fetched suites are).")] = None,
) -> None:
    """Turn released boxes into suites: Peekaboo's imc_inputs.json and its other files, TrailBlazer's YAML configs.

    Tracks of another length are resampled linearly. What was changed and what was rejected is counted here, and listed
    by record in a CSV file beside the suite.
    """
    from ivgbench import suites as suite_files

    if kind not in suite_files.IMPORTERS and not files and Path(kind).is_file():
        kind, files = "imc", [Path(kind)]  # as it was when there was but one importer
    if kind not in suite_files.IMPORTERS or not files:
        raise UserError(f"write `ivgbench suites import KIND FILE`, KIND one of {', '.join(suite_files.IMPORTERS)}")
    if len(files) > 1 and kind != "trailblazer":
        raise UserError(f"{kind} is one file, got {len(files)}")
    if order is not None and kind in ("imc", "trailblazer"):
        raise UserError(f"--order is for lasot, davis and ssv2; the boxes of {kind} have one order")
    if kind == "imc":
        if name is not None or frames is not None:
            raise UserError("imc gives four suites of their own names and lengths: without --name and --frames")
        for path in suite_files.import_imc(files[0], out):
            print(f"{path}: {spell(suite_files.load_suite(path))}")
        return
    suite, made = suite_files.read_release(kind, files, frames, name, order)
    path = suite_files.keep(suite, out)
    report = path.with_suffix(".import.csv")
    made.write(report)
    print(f"{path}: {spell(suite)}")
    print(f"{suite.description}: {made.counts()}")
    for note in made.rejected:
        print(f"rejected: {note.record}{f' ({note.case})' if note.case else ''}: {note.detail}")
    print(f"every change by record: {report}")


@suites_app.command("validate")
def suites_validate(
    suite: Annotated[list[str], typer.Argument(help="Names or .jsonl files.", autocompletion=completion.suite_names)],
) -> None:
    """Check suite files: ids, phrases, boxes, frames, checksum."""
    from ivgbench import suites as suite_files

    for one in suite:
        print(f"{one}: ok, {spell(suite_files.load_suite(one))}")


def spell(suite: Suite) -> str:
    return f"{len(suite.cases)} cases of {suite.frames} frames, sha256 {suite.sha256[:12]}"


def list_command(
    what: Annotated[Literal["methods", "backbones", "metrics", "detectors", "runs"], typer.Argument()],
    options: Annotated[
        bool, typer.Option("--options", help="With methods: their options, with the values of all settings.")
    ] = False,
    about: Annotated[
        bool, typer.Option("--about", help="With methods: paper, code and licence, what was compared, what is ours.")
    ] = False,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """The methods, backbones, metrics or detectors there are, or the runs that are stored."""
    if what == "methods" and about:
        _print_sources()
    elif what == "methods":
        from ivgbench.generator import settings

        short = {name: alias for alias, name in METHODS.aliases().items()}
        table = _method_options() if options else None
        places = [*settings.backbones(), OTHERS]
        rows = []
        for name in METHODS.names():
            rows.append([name, short.get(name, ""), *(", ".join(settings.known(place, name)) for place in places)])
        print_table(["method", "alias", *(f"settings: {place}" for place in places)], rows)
        print("The first settings are what runs when nothing is said; others: --settings NAME, and --option on top.")
        print("Papers, licences, and what was compared with official numbers: ivgbench list methods --about")
        if table is not None:
            print_table(*table)
    elif what == "detectors":
        print_table(["detector"], [[name] for name in DETECTORS.names()])
    elif what == "runs":
        _list_runs(runs)
    elif what == "metrics":
        _list_metrics()
    else:
        from ivgbench.generator.backbones import presets

        rows = []
        for name, preset in presets.PRESETS.items():
            rows.append([name, str(preset.frames), str(preset.steps), f"{preset.guidance:g}", _is_here(name)])
        print_table(["backbone", "frames", "steps", "guidance", "here"], rows)


def _list_metrics() -> None:
    """A line per metric, also of other packages; the arrow says which way is better."""
    from ivgbench.metrics import own
    from ivgbench.metrics.catalogue import OF_CLIPS, OF_SETS

    found, rows = own.find(), []
    for of, metrics in (("clip", (*OF_CLIPS, *found.rows)), ("set", OF_SETS)):
        for one in metrics:
            printed = " ".join(filter(None, (one.title, one.arrow)))
            rows.append([of, one.name, printed, one.unit, str(one.version), ", ".join(one.needs), one.what])
    rows += [["clip", name, "", "", "", "", line] for name, line in found.faults.items()]
    print_table(["of a", "metric", "in print", "unit", "version", "made of", "what"], rows)


def _print_sources() -> None:
    """A paragraph for each method."""
    from ivgbench.generator import about

    told = about.known()
    for name in METHODS.names():
        print(name)
        lines = told[name].lines() if name in told else [METHODS.called(name)]
        for line in lines:
            print(textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="    "))


def _list_runs(runs: Path) -> None:
    """The newest first. Of many rows the first are named."""
    from ivgbench.runs.listing import listed
    from ivgbench.store.runs import Store

    rows = []
    for one in listed(Store(runs)):
        methods = [
            *one.methods[:MOST_METHODS],
            *([f"{len(one.methods) - MOST_METHODS} more"] * (len(one.methods) > MOST_METHODS)),
        ]
        counts = [str(one.done), str(one.expected), str(one.failed)]
        about = [one.backbone, ", ".join(one.suites), ", ".join(methods)]
        if one.fault:
            counts, about = ["?"] * 3, ["", "", f"failed: {one.fault}"]
        rows.append([one.name, f"{one.when:%Y-%m-%d %H:%M}", *about, *counts])
    print_table(["run", "when", "backbone", "suites", "methods", "done", "expected", "failed"], rows)
    if not rows:
        print(f"ivgbench: there is no run in {runs} yet; `ivgbench run` makes one", file=sys.stderr)


def _method_options() -> tuple[list[str], list[list[str]]]:
    """Header, and a row per option: its default, and its value in each of the settings that the method has."""
    from ivgbench.generator import settings
    from ivgbench.generator.methods.options import options_of, resolve

    # What is the same on all backbones stands there once.
    places = {name: OTHERS for method in METHODS.names() for name in settings.known(OTHERS, method)}
    columns = [(OTHERS, name) for name in places]
    for place in settings.backbones():
        own = dict.fromkeys(name for method in METHODS.names() for name in settings.known(place, method))
        columns += [(place, name) for name in own if name not in places]
    rows = []
    for method in METHODS.names():
        try:
            found = [
                options_of(resolve(method, settings.of(place, method, name)))
                if name in settings.known(place, method)
                else {}
                for place, name in columns
            ]
        except PluginFault as fault:  # one that is broken hides no other
            rows.append([method, str(fault)])
            continue
        for option in found[0]:
            rows.append([f"{method}.{option}", *(repr(one[option]) if one else "" for one in found)])
    return ["option", *(name if place == OTHERS else f"{name} ({place})" for place, name in columns)], rows


def _is_here(backbone: str) -> str:
    from ivgbench.generator.backbones import sources

    try:
        sources.locate(backbone)
    except ImportError as fault:
        return f"no: {missing(fault) or fault}"
    except UserError as fault:
        return f"no: ivgbench fetch {backbone}" if sources.preset(backbone)[1].hub_id else f"no: {fault}"
    return "yes"


def doctor(
    runs: Runs = DEFAULT_RUNS,
    deep: Annotated[bool, typer.Option("--deep", help="Read all that is stored, and hash every clip.")] = False,
) -> None:
    """Check this installation: packages, weights, suites, video codec, disk. Exit code 1 when something is missing."""
    from ivgbench.runs import doctor as checks
    from ivgbench.runs.progress import late_progress

    findings = checks.examine(runs)
    if deep:
        with late_progress() as stage:
            findings += checks.stored(runs, stage)
    print_table(["check", "result", "what to do"], [[one.what, one.result, one.remedy] for one in findings])
    if any(one.remedy for one in findings):
        sys.exit(1)
