"""The commands of a paper's study around its claims, which have a file of their own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivgbench.cli.claims import claims
from ivgbench.cli.options import DEFAULT_RUNS, OWN, Device, Runs, Workers, engine_of, folder, spec_file
from ivgbench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from ivgbench.runs.spec import RunSpec

study_app = typer.Typer(no_args_is_help=True, help="One paper's study: facts, settings, claims, ablations.")
study_app.command("claims")(claims)
Tables = Annotated[Path, typer.Option("--out", help="Where tables/ and figures/ go.", callback=folder)]


@study_app.command("calibrate")
def calibrate(
    spec: Annotated[
        Path, typer.Option("--spec", help="The facts, and the run they are judged on.", callback=spec_file)
    ] = Path("calibration"),
    cases: Annotated[int | None, typer.Option(help="Only the first N cases of each suite: a rehearsal.")] = None,
    backbone: Annotated[
        str, typer.Option(help="A pocket backbone, or a folder of its kind that does not ship.")
    ] = "pocket",
    out: Annotated[
        Path | None,
        typer.Option(
            help="(default: results/CALIBRATION.md, of pocket-dit CALIBRATION-dit.md; for a folder with its weights' "
            "hash in the name)"
        ),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Measure on a pocket model what is known of real ones, and say which facts hold. Can be stopped and started again.

    A fact about a method that the backbone's network has nothing for is not applicable, and neither met nor missed.
    Writes CALIBRATION.md, and calibration.json beside it for claims and the model card.
    """
    from ivgbench import calibration
    from ivgbench.files import write_text
    from ivgbench.generator.backbones import sources
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.spec import load_spec
    from ivgbench.store.runs import Store
    from ivgbench.study import calibrating, calibration_text, elsewhere
    from ivgbench.study.facts import load_facts

    facts = load_facts(spec)
    if not sources.is_pocket(backbone):
        known = " or ".join(sources.POCKETS)
        raise UserError(f"--backbone {backbone}: only pocket models are calibrated: {known}, or a folder of their kind")
    lab, store = Lab(device), Store(runs)
    asked = load_spec(facts.run)
    moved = elsewhere.on_backbone(asked, backbone)
    weights = lab.facts(moved.spec).weights
    run = calibrating.run_of(replace(moved.spec, name=asked.name), weights, cases)
    tokens = calibrating.token_counter(backbone)
    plan = calibrating.plan_of(run, lab, tokens)
    engine = engine_of(lab, workers)
    made, samples = calibrating.calibrate(
        facts, plan, store, lab, engine, tokens, _command(cases, backbone), moved.lacking
    )
    out = out or _place(cases, backbone, weights)
    remarks = elsewhere.remarks(moved)
    write_text(out, calibration_text.markdown(facts, plan, made, samples, remarks))
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
    from ivgbench.study import elsewhere

    folder = Path("results") if cases is None else Path("results/quick")
    return folder / f"CALIBRATION{elsewhere.suffix(backbone, weights)}.md"


@study_app.command("search")
def search(
    trials: Annotated[int | None, typer.Option(help="Settings a method: fewer are a rehearsal.", min=1)] = None,
    cases: Annotated[int | None, typer.Option(help="Of each tuning suite: fewer are a rehearsal.", min=1)] = None,
    backbone: Annotated[str, typer.Option(help="A pocket backbone.")] = "pocket",
    tune: Annotated[bool, typer.Option("--tune", help="Make what was chosen the backbone's `tuned` settings.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="(default: results/own; a rehearsal's results/quick)", callback=folder),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Search every method's settings with the same budget, on cases that no table reports. Goes on where it stopped.

    With --tune clips, runs and specs take what was chosen (ivgbench/generator/settings.toml); after a search that is
    done it takes a moment.
    """
    from ivgbench.files import write_text
    from ivgbench.generator import settings
    from ivgbench.runs import runner
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.store.runs import Store
    from ivgbench.study import search as searching
    from ivgbench.study import search_text
    from ivgbench.study.search_spaces import CASES, TRIALS, name_of

    trials, cases = trials or TRIALS, cases or CASES
    whole = (trials, cases) == (TRIALS, CASES)
    if tune and not whole:
        raise UserError("--tune is for the whole search: what a rehearsal chooses says nothing")
    lab, store = Lab(device), Store(runs)

    def measure(asked: RunSpec) -> pd.DataFrame:
        engine = engine_of(lab, workers)
        runner.run(make_plan(asked, lab), store, lab, engine)
        return searching.results(store, asked)

    frame = searching.search(trials, cases, measure, backbone)
    out = out or (OWN if whole else Path("results/quick"))
    name = name_of(backbone)
    _write(frame, search_text.markdown(frame, backbone), out / "tables", name)
    search_text.draw(frame, backbone, out / "figures" / name)
    if tune:
        text = settings.FILE.read_text(encoding="utf-8")
        write_text(settings.FILE, search_text.put(text, search_text.tuned(frame), backbone))


@study_app.command("reach")
def reach(
    spec: Annotated[Path, typer.Option("--spec", help="The claims.", callback=spec_file)] = Path("claims"),
    out: Tables = OWN,
) -> None:
    """Would another setting have made a claim hold? Read off the search's table, in OUT/tables."""
    import pandas as pd

    from ivgbench.runs.spec import load_spec
    from ivgbench.study import reach as reaching
    from ivgbench.study.claims_file import load_claims

    searched = out / "tables" / "search.csv"
    if not searched.is_file():
        raise UserError(f"{searched} is not there; run `ivgbench study search` first")
    asked = load_claims(spec)
    rows = reaching.as_searched(reaching.spelled_out(load_spec(asked.run)))
    found = reaching.reach(pd.read_csv(searched), asked.claims, rows)
    _write(found, reaching.markdown(found), out / "tables", "reach")


@study_app.command("carried")
def carried(
    run: Annotated[
        list[str] | None, typer.Option("--run", help="Two runs of one set of cases. (default: table2 and table1-dit)")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where carried.csv and .md go.", callback=folder)] = OWN / "tables",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Which effects carry over from one backbone to another: two runs' differences side by side.

    FID and KID as well, where both runs have references and the same frame encoders.
    """
    from ivgbench.store.runs import Store
    from ivgbench.study import carried as carrying
    from ivgbench.study import evidence

    names = run or ["table2", "table1-dit"]
    if len(names) != 2:
        raise UserError(f"--run: two runs are compared, got {len(names)}")
    store = Store(runs)
    manifests = [store.manifest(name) for name in names]
    encoders = _common_encoders(manifests)
    sides = []
    for name, manifest in zip(names, manifests, strict=True):
        backbone = (manifest.get("backbone") or {}).get("name", name)
        sides.append(carrying.Side(backbone, manifest, evidence.samples(runs, name, encoders)))
    carrying.check(sides)
    found = carrying.table(sides)
    _write(found, carrying.markdown(found, sides), out, "carried")


def _common_encoders(manifests: list[dict]) -> dict[str, str]:
    """Name -> id of the frame encoders that looked at the clips of all runs."""
    from ivgbench.runs.lab import Lab

    told = [one.get("measured") or {} for one in manifests]
    if not all(one.get("references") for one in told):
        return {}
    first, second = ([(name, str(one.get("clip"))) for name in one.get("frame encoders") or ()] for one in told)
    lab = Lab("cpu")
    return {name: lab.frame_encoder_id(name, clip) for name, clip in first if (name, clip) in second}


@study_app.command("ablations")
def ablations(
    spec: Annotated[
        Path, typer.Option("--spec", help="The run that tells one component from another.", callback=spec_file)
    ] = Path("ablations"),
    out: Tables = OWN,
    workers: Workers = None,
    device: Device = "auto",
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """What each component does to control and text, and what it costs. Goes on where it was stopped."""
    from ivgbench.runs import runner
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.spec import load_spec
    from ivgbench.store.runs import Store
    from ivgbench.study import ablations as ablating

    lab, store = Lab(device), Store(runs)
    engine = engine_of(lab, workers)
    run = runner.run(make_plan(load_spec(spec), lab), store, lab, engine).run
    found = ablating.ablations(runs, run)
    _write(found, ablating.markdown(found), out / "tables", "ablations")


def _write(frame: pd.DataFrame, text: str, folder: Path, name: str) -> None:
    """A table as CSV and in print, which is shown as well."""
    from ivgbench.files import write_text

    write_text(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    write_text(folder / f"{name}.md", text)
    print(text)
    print(f"ivgbench: written: {folder / name}.csv and .md", file=sys.stderr)
