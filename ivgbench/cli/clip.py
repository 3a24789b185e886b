"""The command that makes one clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli import completion
from ivgbench.cli.options import (
    Device,
    Lora,
    Offload,
    OneBackbone,
    Options,
    SamplingOptions,
    Settings,
    file,
    spreads,
)
from ivgbench.cli.placing import Boxes, Prompt, Subjects, case_of
from ivgbench.cli.requests import with_options
from ivgbench.registry import METHODS


@spreads
def generate(
    ctx: typer.Context,
    prompt: Prompt,
    subject: Subjects,
    box: Boxes,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A .mp4, .gif or .webp, or a .mkv with exact pixels.", callback=file),
    ],
    method: Annotated[
        str, typer.Option("--method", help="`ivgbench list methods`.", autocompletion=completion.methods)
    ] = "tid",
    option: Options = None,
    settings: Settings = None,
    backbone: OneBackbone = "pocket",
    seed: Annotated[int, typer.Option(help="Seed of the noise.", min=0)] = 0,
    sampling: SamplingOptions = SamplingOptions(),  # noqa: B008  frozen
    lora: Lora = None,
    draw_boxes: Annotated[bool, typer.Option("--draw-boxes", help="The asked boxes, drawn into the clip.")] = False,
    device: Device = "auto",
    offload: Offload = False,
) -> None:
    """Make one clip."""
    from rich.console import Console
    from rich.progress import Progress

    from ivgbench.runs.lab import Lab
    from ivgbench.runs.spec import MethodSpec, RunSpec
    from ivgbench.store import video

    name = METHODS.canonical(method)
    video.check_suffix(output)
    output.parent.mkdir(parents=True, exist_ok=True)  # before the minutes that a clip may take
    from ivgbench.generator.backbones import sources
    from ivgbench.generator.foresight import Foresight
    from ivgbench.generator.settings import resolve
    from ivgbench.runs.settings_text import describe

    known, preset = sources.preset(backbone)
    case = case_of(ctx, prompt, subject, box, preset.frames)
    asked = RunSpec("generate", (MethodSpec(name),), backbone, sampling=sampling.asked())
    spec, lab = with_options(asked, option), Lab(device, offload)
    options, decided = spec.methods[0].options, spec.sampling.over(preset.sampling)
    # Before the seconds that loading takes.
    Foresight(backbone).check(resolve(known, name, settings, options), case, decided)
    told = describe(known, resolve(known, name, settings, options, lab.resolve), lab.resolve)
    loaded = lab.backbone(backbone, decided.dtype, str(lora or ""))
    from ivgbench.generator import generate as make

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)
        clip = make(
            loaded, case, method=name, method_options=options, settings=settings, seed=seed, **decided.arguments(),
            callback=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    shown = clip.video
    if draw_boxes:
        from ivgbench.report import overlay

        tracks = [one.track for one in case.subjects]
        shown = overlay.draw_boxes(video.enlarged(shown, video.WATCHABLE), tracks)
    video.save(output, shown)
    row = spec.methods[0].row
    print(f"{output}: {len(clip.video)} frames, {clip.nfe} network evaluations; {row}, settings {told.name}")
