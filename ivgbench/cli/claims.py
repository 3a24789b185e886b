"""The command that puts the paper's claims to the test."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli.options import DEFAULT_RUNS, OWN, Device, Runs, Workers, file

#: Which facts known of real models hold on the backbone; where there is no such file, claims rest on nothing.
CALIBRATION = Path("results/calibration.json")
#: Cases a split, and resamples of FID and KID, with --quick: enough to see that all of it works, too few for a verdict.
QUICK_CASES, QUICK_RESAMPLES = 4, 200


def claims(
    spec: Annotated[Path, typer.Option("--spec", help="The claims, and the run they are judged on.")] = Path(
        "benchmarks/claims.toml"
    ),
    on: Annotated[
        Path | None, typer.Option("--on", help="Another run: only the claims about rows that it has are judged.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{QUICK_CASES} cases a split: a rehearsal, every claim stays open.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="(default: results/own/CLAIMS.md, CLAIMS-RUN.md with --on; with --quick in results/quick)",
            callback=file,
        ),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Make what is missing of the claims' run, judge every claim, write CLAIMS.md. Can be stopped and started again."""
    from ivgbench.report import claims_text, evidence, resting
    from ivgbench.report.claims import judge
    from ivgbench.report.claims_file import load_claims
    from ivgbench.runs import recording, runner
    from ivgbench.runs.engines import LocalEngine
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.progress import log
    from ivgbench.runs.spec import load_spec
    from ivgbench.runs.store import Store

    asked = load_claims(spec)
    run = load_spec(on or asked.run)
    name = "CLAIMS.md" if on is None else f"CLAIMS-{run.name}.md"
    if quick:
        run = replace(run, name=f"{run.name}-quick", cases=QUICK_CASES)
    lab, store = Lab(device), Store(runs)
    engine = LocalEngine(lab.default_workers() if workers is None else workers)
    plan = make_plan(run, lab)
    if on is not None:
        asked = replace(asked, run=on).about({entry.label for entry in plan.entries})
    log(f"run {run.name}: {len(plan.jobs)} clips in all")
    # First the recordings, which bring their clips along.
    seen = recording.record(plan, store, engine, device) if recording.in_plan(plan) else None
    outcome = runner.run(plan, store, lab, engine)
    # Without references only the run's CLIP has looked at the frames.
    names = plan.spec.frame_encoders if plan.spec.references else ("clip",)
    encoders = {name: lab.frame_encoder(name, plan.spec.clip).id for name in names}
    resamples = QUICK_RESAMPLES if quick else evidence.SET_RESAMPLES
    judged = judge(asked, evidence.samples(runs, outcome.run, seen, encoders, resamples))
    calibration, why = resting.of_weights(CALIBRATION, plan.facts.weights)
    if why:
        log(why)
    if calibration is not None:
        judged = resting.rested(judged, calibration)
    out = out or (Path("results/quick") if quick else OWN) / name
    claims_text.write(out, asked, judged, outcome.run, plan.facts.backbone)
    for one in judged:
        print(f"{one.verdict:5}  {one.claim.text}{f'  ({one.why})' if one.why else ''}")
    print(f"ivgbench: written: {out}", file=sys.stderr)
