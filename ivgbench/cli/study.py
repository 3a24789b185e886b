"""The commands of a study: what comes before the claims."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli.options import DEFAULT_RUNS, Device, Runs, Workers
from ivgbench.errors import UserError

study_app = typer.Typer(no_args_is_help=True, help="One paper's study: is the pocket lab a fair stand-in?")


@study_app.command("calibrate")
def calibrate(
    spec: Annotated[Path, typer.Option("--spec", help="The facts, and the run they are judged on.")] = Path(
        "benchmarks/calibration.toml"
    ),
    cases: Annotated[int | None, typer.Option(help="Only the first N cases of each suite: a rehearsal.")] = None,
    backbone: Annotated[str, typer.Option(help="pocket, or a folder of its kind that does not ship.")] = "pocket",
    out: Annotated[
        Path | None,
        typer.Option(help="(default: results/CALIBRATION.md; for a folder with its weights' hash in the name)"),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Measure on a pocket model what is known of real ones, and say which facts hold. Can be stopped and started again.

    Writes CALIBRATION.md, and calibration.json beside it for claims and the model card.
    """
    from ivgbench import calibration
    from ivgbench.engines.local import LocalEngine
    from ivgbench.files import write_text
    from ivgbench.generator.backbones import sources
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.spec import load_spec
    from ivgbench.store.runs import Store
    from ivgbench.study import calibrating, calibration_text
    from ivgbench.study.facts import load_facts

    facts = load_facts(spec)
    if sources.preset(backbone)[0] != "pocket":
        raise UserError(f"--backbone {backbone}: only pocket models are calibrated: pocket, or a folder of its kind")
    lab, store = Lab(device), Store(runs)
    asked = replace(load_spec(facts.run), backbone=backbone)
    weights = lab.facts(asked).weights
    run = calibrating.run_of(asked, weights, cases)
    tokens = calibrating.token_counter(backbone)
    plan = calibrating.plan_of(run, lab, tokens)
    engine = LocalEngine(lab.default_workers() if workers is None else workers)
    made, samples = calibrating.calibrate(facts, plan, store, lab, engine, tokens, _command(cases, backbone))
    out = out or _place(cases, backbone, weights)
    write_text(out, calibration_text.markdown(facts, plan, made, samples))
    calibration.save(out.with_name(f"{out.stem.lower()}.json"), made)
    for one in made.findings:
        print(calibration_text.line(one))
    print(f"ivgbench: written: {out} and {out.stem.lower()}.json", file=sys.stderr)


def _command(cases: int | None, backbone: str) -> str:
    """What to type again, wherever the weights lie."""
    parts = ["ivgbench study calibrate"]
    parts += [] if cases is None else [f"--cases {cases}"]
    parts += [] if backbone == "pocket" else [f"--backbone {Path(backbone).name}"]
    return " ".join(parts)


def _place(cases: int | None, backbone: str, weights: str) -> Path:
    """A rehearsal, and weights that do not ship, leave the shipped weights' calibration alone."""
    folder = Path("results") if cases is None else Path("results/quick")
    return folder / ("CALIBRATION.md" if backbone == "pocket" else f"CALIBRATION-{weights[:8]}.md")
