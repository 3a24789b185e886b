"""The command that makes one clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ivgbench.cli.options import Device, Dtype, Guidance, Lora, Offload, Options, Steps, file
from ivgbench.cli.requests import with_options
from ivgbench.errors import UserError
from ivgbench.registry import METHODS
from ivgbench.texts import short


def generate(
    prompt: Annotated[str, typer.Argument(help="What the clip shows.")],
    subject: Annotated[str, typer.Option("--subject", help="The words of the prompt that the boxes are for.")],
    box: Annotated[
        list[str], typer.Option("--box", help="FRAME:x0,y0,x1,y1 in fractions of the frame; repeat. Linear between.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .mp4, or a .mkv with exact pixels.", callback=file)],
    method: Annotated[str, typer.Option("--method", help="`ivgbench list methods`.")] = "tid",
    option: Options = None,
    backbone: Annotated[str, typer.Option(help="pocket, zeroscope, modelscope, or a folder.")] = "pocket",
    seed: Annotated[int, typer.Option(help="Seed of the noise.", min=0)] = 0,
    steps: Steps = None,
    guidance_scale: Guidance = None,
    scheduler: Annotated[Literal["ddim", "dpm", "flow", "checkpoint"], typer.Option(help="The sampler.")] = "ddim",
    dtype: Dtype = None,
    lora: Lora = None,
    device: Device = "auto",
    offload: Offload = False,
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
    output.parent.mkdir(parents=True, exist_ok=True)  # before the minutes that a clip may take
    from ivgbench.generator.backbones import sources
    from ivgbench.generator.foresight import Foresight
    from ivgbench.generator.methods.base import resolve

    frames = sources.preset(backbone)[1].frames
    track = boxes.interpolate(_keyframes(box), frames)
    case = check_case(Case("clip", prompt, (Subject(subject, track),)), "generate")
    asked = RunSpec(
        "generate", (MethodSpec(name),), backbone, steps=steps, guidance_scale=guidance_scale,
        dtype=dtype or RunSpec.dtype,
    )  # fmt: skip
    spec, lab = with_options(asked, option), Lab(device, offload)
    options, wanted = spec.methods[0].options, None if scheduler == "checkpoint" else scheduler
    # Before the seconds that loading takes.
    Foresight(backbone).check(resolve(name, options), case, steps or sources.preset(backbone)[1].steps, wanted)
    loaded = lab.backbone(backbone, spec.dtype, str(lora or ""))
    from ivgbench.generator import generate as make

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)
        clip = make(
            loaded, case, method=name, method_options=options, steps=steps,
            guidance_scale=guidance_scale, seed=seed, scheduler=wanted,
            callback=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    video.save(output, clip.video)
    print(f"{output}: {len(clip.video)} frames, {clip.nfe} network evaluations")


def _keyframes(texts: list[str]) -> dict[int, tuple[float, ...]]:
    found: dict[int, tuple[float, ...]] = {}
    for text in texts:
        frame, values = _keyframe(text)
        if frame in found:
            raise UserError(f"--box {short(text)}: frame {frame} has a box already; give each frame one")
        found[frame] = values
    return found


def _keyframe(text: str) -> tuple[int, tuple[float, ...]]:
    """FRAME:x0,y0,x1,y1."""
    frame, colon, numbers = text.partition(":")
    try:
        values = tuple(float(number) for number in numbers.split(","))
        if not colon or len(values) != 4:
            raise ValueError
        return int(frame), values
    except ValueError:
        raise UserError(f"--box {short(text)}: write FRAME:x0,y0,x1,y1, e.g. 0:0.1,0.2,0.4,0.6") from None
