"""The command that puts the paper's claims to the test."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli.options import DEFAULT_RUNS, OWN, Device, Runs, Workers, engine_of, file, spec_file

#: Which facts known of real models hold on the backbone (of another one in a file beside it); where there is no such
#: file, claims rest on nothing.
CALIBRATION = Path("results/calibration.json")
#: Cases a split, and resamples of FID and KID, with --quick: enough to see that all of it works, too few for a verdict.
QUICK_CASES, QUICK_RESAMPLES = 1, 200


def claims(
    spec: Annotated[
        Path, typer.Option("--spec", help="The claims, and the run they are judged on.", callback=spec_file)
    ] = Path("claims"),
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{QUICK_CASES} case a split: a rehearsal, every claim stays open.")
    ] = False,
    backbone: Annotated[
        str | None, typer.Option(help="Another one than the run's: claims about what it cannot make are not tested.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Only the first N of the run's seeds: fewer clips, the same cases.", min=1)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="(default: results/own/CLAIMS.md, of pocket-dit CLAIMS-dit.md; with --quick in results/quick)",
            callback=file,
        ),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Make what is missing of the claims' run, judge every claim, write CLAIMS.md. Can be stopped and started again.

    Of a run with several settings and readings (rows called ROW@SETTINGS+READING) every claim is judged in each.
    """
    from ivgbench.report import settings_notes
    from ivgbench.runs import runner
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.progress import log
    from ivgbench.runs.spec import load_spec
    from ivgbench.store.runs import Store
    from ivgbench.study import agreement, claims_text, elsewhere, evidence, recording, resting, variants
    from ivgbench.study.claims import judge_variants
    from ivgbench.study.claims_file import load_claims

    asked = load_claims(spec)
    run = load_spec(asked.run)
    moved = elsewhere.on_backbone(run, backbone or run.backbone)
    run = moved.spec if seeds is None else replace(moved.spec, seeds=moved.spec.seeds[:seeds])
    if quick:
        run = replace(run, name=f"{run.name}-quick", cases=QUICK_CASES)
    lab, store = Lab(device), Store(runs)
    engine = engine_of(lab, workers)
    plan = make_plan(run, lab)
    labels = [*dict.fromkeys(entry.label for entry in plan.entries)]
    columns = {one: variants.rows(labels, one) for one in variants.of_labels(labels)}
    log(f"run {run.name}: {len(plan.jobs)} clips in all")
    # First the recordings, which bring their clips along.
    compared = {one: mine for one, mine in recording.by_variant(plan).items() if recording.in_plan(mine)}
    seen = {one: recording.record(mine, store, engine, device) for one, mine in compared.items()}
    outcome = runner.run(plan, store, lab, engine)
    # Without references only the run's CLIP has looked at the frames.
    names = plan.spec.frame_encoders if plan.spec.references else ("clip",)
    encoders = {name: lab.frame_encoder_id(name, plan.spec.clip) for name in names}
    every = evidence.samples(runs, outcome.run, encoders, QUICK_RESAMPLES if quick else evidence.SET_RESAMPLES)
    samples = {one: evidence.renamed(every, rows) for one, rows in columns.items()}
    for one, mine in samples.items():
        for recorded, activations in seen.items():
            if one.has(recorded):
                mine |= evidence.activation_samples(activations)
    judged = judge_variants(asked, samples)
    suffix = elsewhere.suffix(run.backbone, plan.facts.weights)
    beside = CALIBRATION.with_name(f"{CALIBRATION.stem}{suffix}{CALIBRATION.suffix}")
    calibration, why = resting.of_weights(beside, plan.facts.weights)
    if why:
        log(why)
    if calibration is not None:
        judged = {one: resting.rested(mine, calibration, one) for one, mine in judged.items()}
    lacking = {variants.split(label)[0] for label in moved.lacking}
    judged = {one: resting.without(mine, lacking) for one, mine in judged.items()}
    asked_of = {(entry.split, entry.suite, entry.case.id) for entry in plan.entries}
    cases = min(Counter(split for split, _, _ in asked_of).values())
    study = claims_text.Study(
        asked, judged, agreement.orders(samples), outcome.run, plan.facts.backbone, cases, len(run.seeds),
        settings_notes.by_label([entry.record() for entry in plan.entries]),
        elsewhere.remarks(moved) if backbone else (), f"CALIBRATION{suffix}.md",
    )  # fmt: skip
    out = out or (Path("results/quick") if quick else OWN) / f"CLAIMS{suffix}.md"
    claims_text.write(out, study)
    for place, claim in enumerate(asked.claims):
        of = study.of(place)
        why = next((one.why for one in of if one.why), "")
        print(f"{' | '.join(f'{one.verdict:5}' for one in of)}  {claim.text}{f'  ({why})' if why else ''}")
    print(f"ivgbench: written: {out}", file=sys.stderr)
