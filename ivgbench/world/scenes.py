"""What happens in the pocket world: tracks, and clips of one or two subjects, drawn from named streams of a seed.

A clip is a pure function of (split, index). Splits have disjoint seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivgbench.world.drawing import FRAMES, Sprite, render
from ivgbench.world.words import BACKGROUNDS, COLOURS, SHAPES, caption

#: Two sprites of one scene may touch, but neither may hide the other.
MAX_OVERLAP = 0.1

#: Seeds of the streams. No two uses share one: training, tuning, reporting and reference data stay apart.
SPLIT_SEEDS: dict[str, int] = {
    "vae": 101,
    "text-to-video": 102,
    "clip": 103,
    "detector": 104,
    "video": 105,
    "denoiser": 106,
    "held-out": 201,
    "tuning": 301,
    "report": 302,
    "reference": 401,
}


class Clip(NamedTuple):
    """A rendered clip: `video` uint8 [F,H,W,3], its caption and its sprites."""

    video: np.ndarray
    caption: str
    sprites: tuple[Sprite, ...]
    background: str


def random_track(rng: np.random.Generator, frames: int = FRAMES) -> np.ndarray:
    """The world's own motion: a box of side 0.2..0.5 of each axis, still or on a straight line, inside the frame.

    Four in ten are still; half of all change size on the way. Returns float64 [F,4] xyxy fractions.
    """
    still, resizes = rng.random() < 0.4, rng.random() < 0.5
    size = rng.uniform(0.2, 0.5, (2, 2))
    if still or not resizes:
        size[1] = size[0]
    place = rng.random((2, 2))
    if still:
        place[1] = place[0]
    corner = place * (1 - size)
    ends = np.concatenate([corner, corner + size], 1)
    weight = np.linspace(0, 1, frames)[:, None]
    return (1 - weight) * ends[0] + weight * ends[1]


def sample_clip(split: str, index: int, only: int | None = None) -> Clip:
    """Clip `index` of a split: content, track and texture drawn independently of each other.

    only: draw just this one of its frames (the same pixels, an eighth of the work).
    """
    rng = np.random.default_rng([SPLIT_SEEDS[split], index])
    colour, shape, background = (str(rng.choice(list(options))) for options in (COLOURS, SHAPES, BACKGROUNDS))
    track = random_track(rng)
    sprite = Sprite(colour, shape, track if only is None else track[[only]])
    return Clip(render([sprite], background, rng), caption([sprite.phrase], background), (sprite,), background)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The largest part of the smaller box that the other covers, over the frames of two tracks [F,4]: 0..1."""
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    areas = np.minimum((a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1))
    return float((sides.prod(1) / areas).max())


def sample_scene(split: str, index: int, second: float = 0.5, only: int | None = None) -> Clip:
    """Clip `index` of a split with one subject or, at the rate `second`, two that differ and hardly overlap.

    only: as for `sample_clip`.
    """
    rng = np.random.default_rng([SPLIT_SEEDS[split], index, 2])
    background = str(rng.choice(list(BACKGROUNDS)))
    sprites: list[Sprite] = []
    wanted = 1 + (rng.random() < second)
    while len(sprites) < wanted:
        new = Sprite(str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES)), random_track(rng))
        if all(new.phrase != other.phrase and overlap(new.boxes, other.boxes) < MAX_OVERLAP for other in sprites):
            sprites.append(new)
    phrases = [sprite.phrase for sprite in sprites]
    if only is not None:
        sprites = [sprite._replace(boxes=sprite.boxes[[only]]) for sprite in sprites]
    return Clip(render(sprites, background, rng), caption(phrases, background), tuple(sprites), background)
