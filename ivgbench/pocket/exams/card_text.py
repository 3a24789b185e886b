"""The model card as text: every number on it comes from the record beside it."""

from __future__ import annotations

from ivgbench import world
from ivgbench.pocket.exams import calibrated
from ivgbench.pocket.exams.judges import DEGRADED, FRAMES, TRAPS


def render(facts: dict) -> str:
    """The card as Markdown."""
    rows = lambda table: "\n".join(f"| {key} | {value:.4g} |" for key, value in table.items())  # noqa: E731
    number = lambda value: "" if value is None else f"{value:.4g}"  # noqa: E731
    judges = "\n".join(
        f"| {name} | {number(told.get('rendered'))} | {number(told.get('autoencoder'))} |"
        for name, told in facts["judges"].items()
    )
    exam = "\n\n".join(
        f"**{part}**\n\n| measured | value |\n|---|---|\n{rows(told)}" for part, told in facts["exam"].items()
    )
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
Version `{facts["examined"]}`: the beginning of the hash of the text-to-video weights, as every clip's record has it;
sampling steps x guidance scale.

## The base model

Plain samples of captions of the reporting seed (`python -m ivgbench.pocket.exam`). Colour, shape and background are
read by a segmentation that was not trained; coverage by the detector; a clip counts when most of its frames do.

{exam}

{calibrated.render(facts.get("calibration"))}## The judges

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

Training seeds: text-to-video 0, autoencoder 0, CLIP 7, detector 9, video encoder 11, denoiser 13; data streams are
named in `world.SPLIT_SEEDS`. Train again with `python -m ivgbench.pocket.train all`.

{facts["notes"]}

| folder | MB |
|---|---|
{rows(facts["megabytes"])}
"""
