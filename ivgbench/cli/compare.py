"""The command that puts all methods side by side on one's own prompt and boxes."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivgbench.cli import completion
from ivgbench.cli.options import (
    DEFAULT_RUNS,
    Device,
    Lora,
    Offload,
    OneBackbone,
    Options,
    Runs,
    SamplingOptions,
    Settings,
    Workers,
    engine_of,
    file,
    print_table,
    spreads,
)
from ivgbench.cli.placing import Boxes, Prompt, Subjects, case_of
from ivgbench.cli.requests import with_options
from ivgbench.registry import METHODS

if TYPE_CHECKING:
    from ivgbench.runs.one_case import Result


@spreads
def compare(
    ctx: typer.Context,
    prompt: Prompt,
    subject: Subjects,
    box: Boxes,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="A .gif, .webp, .mp4 or .mkv that plays, or a .png of all frames.", callback=file
        ),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="A method; repeat for several. (default: all that fit)",
            autocompletion=completion.methods,
        ),
    ] = None,
    option: Options = None,
    settings: Settings = None,
    backbone: OneBackbone = "pocket",
    seed: Annotated[int, typer.Option(help="Seed of the noise, the same for all.", min=0)] = 0,
    sampling: SamplingOptions = SamplingOptions(),  # noqa: B008  frozen
    lora: Lora = None,
    workers: Workers = None,
    device: Device = "auto",
    offload: Offload = False,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Make the same clip with every method, and show all of them in one file with the asked boxes drawn in."""
    from ivgbench.report import paper, side_by_side

    side_by_side.check_suffix(output)
    from ivgbench.generator.backbones import sources
    from ivgbench.generator.backbones.base import family_of
    from ivgbench.runs import one_case
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.spec import MethodSpec, RunSpec
    from ivgbench.store.runs import Store

    offers = family_of(backbone).offers
    methods = tuple(MethodSpec(METHODS.canonical(name)) for name in method or _fitting(offers))
    asked = RunSpec(
        "compare", methods, backbone, seeds=(seed,), sampling=sampling.asked(), lora=str(lora or ""),
        settings=settings,
    )  # fmt: skip
    case = case_of(ctx, prompt, subject, box, sources.preset(backbone)[1].frames)
    spec, lab = with_options(asked, option), Lab(device, offload)
    engine = engine_of(lab, workers)
    results = one_case.compare(spec, case, lab, engine, Store(runs))

    failed = [one for one in results if one.clip is None]
    if len(failed) < len(results):
        shown = [
            side_by_side.Shown(paper.print_name(one.label), f"failed: {one.failed}" if one.clip is None else one.clip)
            for one in results
        ]
        side_by_side.write(output, shown, [one.track for one in case.subjects], prompt)
    _print(results, len(case.subjects))
    print(f"{output}: the asked boxes drawn in" if len(failed) < len(results) else f"no clip: {output} is not written")
    if failed:
        sys.exit(1)


def _fitting(offers: Collection[str]) -> list[str]:
    """The methods for which a backbone that offers this has what they need."""
    from ivgbench.generator.methods.options import resolve

    return [name for name in METHODS.names() if resolve(name).needs() <= set(offers)]


def _print(results: list[Result], subjects: int) -> None:
    """A line per method."""
    from ivgbench.metrics.catalogue import COLUMN
    from ivgbench.report import paper
    from ivgbench.report.layout import evaluations, number

    def _number(value: float, column: str) -> str:
        return number(COLUMN[column].scale * value, COLUMN[column].decimals)

    rows = []
    for one in results:
        known = {name: value for name, value in one.values.items() if value is not None}
        clip_sim, covered, miou, nfe, seconds = (
            known.get(name, math.nan) for name in ("clip_sim", "covered", "miou", "nfe", "seconds")
        )
        found = number(covered, 0) if math.isnan(covered) else f"{round(covered * subjects)} of {subjects}"
        numbers = _number(clip_sim, "clip_sim"), found, _number(miou, "miou_all"), evaluations(nfe), number(seconds, 1)
        status = f"failed: {one.failed}" if one.clip is None else "ok" if "miou" in known else "not measured"
        rows.append([paper.print_name(one.label), *numbers, one.settings, status])
    heads = [COLUMN[column].head for column in ("clip_sim", "miou_all", "nfe")]
    heads.insert(1, "covered")
    print_table(["method", *heads, "seconds", "settings", "status"], rows)
