"""The model card as text: every number on it comes from the record beside it."""

from __future__ import annotations

from collections.abc import Mapping

from ivgbench import world
from ivgbench.generator.backbones.sources import POCKETS
from ivgbench.pocket.exams import bars, calibrated
from ivgbench.pocket.exams.judges import DEGRADED, FRAMES, TRAPS

BREAK = "\n"


def rows(table: Mapping[str, float]) -> str:
    return "\n".join(f"| {key} | {value:.4g} |" for key, value in table.items())


def untrained(name: str) -> str:
    """What to say of a pocket backbone whose weights do not ship."""
    return f"{name} has no weights yet; train them: python -m ivgbench.pocket.train {POCKETS[name].name}"


def model(name: str, told: Mapping) -> str:
    """The chapter on one base model: its network, its version, all of its exam, and its calibration if it has one."""
    exam = "\n\n".join(
        f"**{part}**\n\n| measured | value |\n|---|---|\n{rows(numbers)}" for part, numbers in told["exam"].items()
    )
    chapter = calibrated.render(told.get("calibration"))
    network = told["network"]
    return f"""### {name}

A {network["class"]} of {network["parameters"] / 1e6:.2f} M parameters. Version `{told["examined"]}`:
the beginning of the hash of its weights, as every clip's record has it; sampling steps x guidance scale.

{exam}
{BREAK * bool(chapter)}{chapter}"""


def render(facts: Mapping) -> str:
    """The card as Markdown."""
    number = lambda value: "" if value is None else f"{value:.4g}"  # noqa: E731
    judges = "\n".join(
        f"| {name} | {number(told.get('rendered'))} | {number(told.get('autoencoder'))} |"
        for name, told in facts["judges"].items()
    )
    known = facts["models"]
    chapters = [model(name, told) for name, told in known.items()]
    chapters += [untrained(name) + "\n" for name in POCKETS if name not in known]
    worse = "\n".join(
        f"| {encoder} | {name} | {' | '.join(map(number, values))} |"
        for encoder, told in facts["encoders"].items()
        for name, values in told.items()
    )
    steps = "\n".join(
        f"| {name} | {fact['steps']} | {fact['loss']:.4f} | {fact['seconds'] / 60:.0f} | {fact['machine']} |"
        for name, fact in facts["training"].items()
    )
    return f"""# Model card: the pocket lab

Trained from scratch on videos that `ivgbench/world` renders ({len(world.COLOURS)} colours,
{len(world.SHAPES)} shapes, {len(world.BACKGROUNDS)} backgrounds;
{world.FRAMES} frames of {world.HEIGHT}x{world.WIDTH} pixels).
It is for relative statements about methods; it says nothing certain about ZeroScope or any other model.
This page is written by `python -m ivgbench.pocket.card`; every number is measured.

## The base models

Plain samples of captions of the reporting seed (`python -m ivgbench.pocket.exam --backbone NAME`). Colour, shape and
background are read by a segmentation that was not trained; coverage by the detector; a clip counts when most of its
frames do. A bar is open where fewer captions were sampled than it asks for.

{bars.table({name: told["exam"] for name, told in known.items()})}

{BREAK.join(chapters)}
## The judges

On {FRAMES} held-out frames, {TRAPS} scenes a trap, as rendered and through the autoencoder and back. A false claim is a
frame in which the detector sees the phrase that it is asked for and that is not there.

| measured | rendered | through the autoencoder |
|---|---|---|
{judges}

## The encoders behind FID, KID and JEDi

{DEGRADED} held-out scenes, whole and made worse at four strengths, against as many others: what each strength is stands
in `ivgbench/pocket/exams/degraded.py`. A blind encoder would not rise.

| encoder | metric | whole | 1 | 2 | 3 | 4 |
|---|---|---|---|---|---|---|
{worse}

## How they were trained

| part | steps | last loss | minutes | machine |
|---|---|---|---|---|
{steps}

Training seeds: text-to-video 0, dit 0, autoencoder 0, CLIP 7, detector 9, video encoder 11, denoiser 13; data streams
are named in `world.SPLIT_SEEDS`. Train again with `python -m ivgbench.pocket.train all`.

{facts["notes"]}

| folder | MB |
|---|---|
{rows(facts["megabytes"])}
"""
