"""Commands that tell what there is: suites, list, doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ivgbench import suites as suite_files
from ivgbench.cases import Suite
from ivgbench.cli.options import DEFAULT_RUNS, Runs, print_table
from ivgbench.errors import UserError
from ivgbench.plugins import PluginFault
from ivgbench.registry import DETECTORS, METHODS

suites_app = typer.Typer(no_args_is_help=True, help="Suites: lists of prompts with boxes.")


@suites_app.command("list")
def suites_list() -> None:
    """The suites that ship with the package."""
    rows = []
    for name in suite_files.names():
        suite = suite_files.load_suite(name)
        rows.append([name, str(len(suite.cases)), str(suite.frames), suite.sha256[:12], suite.description])
    print_table(["suite", "cases", "frames", "sha256", "what"], rows)


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
        print(f"{folder / f'{one}.jsonl'}: {spell(suite)}")


@suites_app.command("import")
def suites_import(
    file: Annotated[Path, typer.Argument(help="Peekaboo's imc_inputs.json.")],
    out: Annotated[Path | None, typer.Option(help="Folder (default: where fetched suites are).")] = None,
) -> None:
    """Turn the released IMC records into suites, their 16 boxes resampled to 24 frames."""
    for path in suite_files.import_imc(file, out):
        print(f"{path}: {spell(suite_files.load_suite(path))}")


@suites_app.command("validate")
def suites_validate(suite: Annotated[list[str], typer.Argument(help="Names or .jsonl files.")]) -> None:
    """Check suite files: ids, phrases, boxes, frames, checksum."""
    for one in suite:
        print(f"{one}: ok, {spell(suite_files.load_suite(one))}")


def spell(suite: Suite) -> str:
    return f"{len(suite.cases)} cases of {suite.frames} frames, sha256 {suite.sha256[:12]}"


def list_command(
    what: Annotated[Literal["methods", "backbones", "metrics", "detectors"], typer.Argument()],
    options: Annotated[bool, typer.Option("--options", help="With methods: their options and defaults.")] = False,
) -> None:
    """The methods, backbones, metrics or detectors there are."""
    if what == "methods":
        short = {name: alias for alias, name in METHODS.aliases().items()}
        print_table(["method", "alias"], [[name, short.get(name, "")] for name in METHODS.names()])
        if options:
            print_table(["option", "default"], _method_options())
    elif what == "detectors":
        print_table(["detector"], [[name] for name in DETECTORS.names()])
    elif what == "metrics":
        from ivgbench.runs import scoring, sets

        rows = [["clip", *item] for item in scoring.METRICS.items()] + [["set", *item] for item in sets.METRICS.items()]
        print_table(["of a", "metric", "what"], rows)
    else:
        from ivgbench.generator import sources

        rows = []
        for name, preset in sources.PRESETS.items():
            rows.append([name, str(preset.frames), str(preset.steps), f"{preset.guidance:g}", _is_here(name)])
        print_table(["backbone", "frames", "steps", "guidance", "here"], rows)


def _method_options() -> list[list[str]]:
    from dataclasses import asdict

    from ivgbench.generator.methods.base import resolve

    rows = []
    for name in METHODS.names():
        try:
            rows += [[f"{name}.{key}", repr(value)] for key, value in asdict(resolve(name)).items()]
        except PluginFault as fault:  # one that is broken hides no other
            rows.append([name, str(fault)])
    return rows


def _is_here(backbone: str) -> str:
    from ivgbench.generator import sources

    try:
        sources.locate(backbone)
    except UserError as fault:
        return f"no: ivgbench fetch {backbone}" if sources.preset(backbone)[1].hub_id else f"no: {fault}"
    except ImportError as fault:
        return f"no: {fault.name} is not installed (pip install 'ivgbench[gen]')"
    return "yes"


def doctor(runs: Runs = DEFAULT_RUNS) -> None:
    """Check this installation: packages, weights, suites, video codec, disk. Exit code 1 when something is missing."""
    from ivgbench.runs import doctor as checks

    findings = checks.examine(runs)
    print_table(["check", "result", "what to do"], [[one.what, one.result, one.remedy] for one in findings])
    if any(one.remedy for one in findings):
        sys.exit(1)
