"""The pocket world: coloured sprites on textured backgrounds, with captions and boxes known exactly.

Everything the pocket lab can verify rests on this file. It is numpy only, and every draw comes from a named
stream of a seed, so that a clip is a pure function of (split, index). Splits have disjoint seeds.

A sprite always fills its box: the outermost pixels of the shape touch all four sides. So the box that a caption's
sprite was drawn in is the exact answer a perfect detector gives.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

#: Raised when a pixel of a scene changes; a test pins hashes of drawn clips. Ground truth is named by it.
WORLD_VERSION = 1
FRAMES, HEIGHT, WIDTH = 8, 48, 80

#: sRGB, 0..255. A clip shifts every channel by up to COLOUR_JITTER.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 38),
    "green": (38, 178, 62),
    "blue": (48, 84, 236),
    "yellow": (248, 222, 40),
    "purple": (152, 44, 196),
    "orange": (248, 136, 24),
    "white": (248, 248, 248),
    "pink": (250, 140, 196),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "ring")
#: Base colour of each background; its pattern is drawn by `_pattern`.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "grey": (122, 122, 122),
    "brown": (112, 78, 50),
    "navy": (26, 34, 84),
    "olive": (98, 104, 44),
    "beige": (206, 190, 154),
    "teal": (34, 106, 112),
}
COLOUR_JITTER = 8
BACKGROUND_JITTER = 6
PATTERN_AMPLITUDE = 16.0
SUPERSAMPLE = 3
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


class Sprite(NamedTuple):
    """One moving subject. `boxes` is float64 [F,4], xyxy as fractions of the frame."""

    colour: str
    shape: str
    boxes: np.ndarray

    @property
    def phrase(self) -> str:
        return f"{self.colour} {self.shape}"


class Clip(NamedTuple):
    """A rendered clip: `video` uint8 [F,H,W,3], its caption and its sprites."""

    video: np.ndarray
    caption: str
    sprites: tuple[Sprite, ...]
    background: str


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def caption(phrases: list[str] | tuple[str, ...], background: str) -> str:
    """The world's sentence for subjects on a background, e.g. "a red star on a grey background"."""
    subjects = " and ".join(_with_article(phrase) for phrase in phrases)
    return f"{subjects} on {_with_article(background)} background"


def parse_caption(text: str) -> tuple[list[tuple[str, str]], str]:
    """The inverse of `caption`: ([(colour, shape), ...], background). Raises ValueError for any other sentence."""
    subjects, _, ground = text.partition(" on ")
    match = re.fullmatch(r"an? (\w+) background", ground)
    pairs = [tuple(re.sub(r"^an? ", "", part).split(" ")) for part in subjects.split(" and ")]
    known = all(len(pair) == 2 and pair[0] in COLOURS and pair[1] in SHAPES for pair in pairs)
    if not match or match[1] not in BACKGROUNDS or not known:
        raise ValueError(f"not a sentence of the pocket world: {text!r}; expected {caption(['red star'], 'grey')!r}")
    return pairs, match[1]  # type: ignore[return-value]


def all_captions() -> list[str]:
    """Every one-subject sentence of the world, in a fixed order."""
    return [caption([f"{c} {s}"], b) for c in COLOURS for s in SHAPES for b in BACKGROUNDS]


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A five-pointed star, apex up, stretched so that its tight box is [-1,1]^2."""
    outer, inner = 1.0, 0.46
    x, y = u * np.sin(2 * np.pi / 5), (1 - v) / 2 * (1 + np.cos(np.pi / 5)) - np.cos(np.pi / 5)
    angle = np.abs(np.mod(np.arctan2(x, y) + np.pi / 5, 2 * np.pi / 5) - np.pi / 5)  # folded on one point
    radius = np.hypot(x, y)
    tip, notch = np.array([outer, 0.0]), inner * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    normal = np.array([notch[1] - tip[1], tip[0] - notch[0]])
    return radius * (np.cos(angle) * normal[0] + np.sin(angle) * normal[1]) <= tip @ normal


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Membership of points in a shape whose box is [-1,1]^2; u to the right, v downwards."""
    square = (np.abs(u) <= 1) & (np.abs(v) <= 1)
    if shape == "square":
        return square
    if shape == "circle":
        return u**2 + v**2 <= 1
    if shape == "ring":
        return (u**2 + v**2 <= 1) & (u**2 + v**2 >= 0.3)
    if shape == "triangle":
        return square & (np.abs(u) <= (v + 1) / 2)
    if shape == "star":
        return square & _star(u, v)
    raise ValueError(f"unknown shape {shape!r}; one of {', '.join(SHAPES)}")


def _pattern(background: str, rng: np.random.Generator) -> np.ndarray:
    """The texture of a background in [-1,1], [H,W]: each background has its own kind, each clip its own phase."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    phase = rng.uniform(0, 2 * np.pi, 6)
    turn = 2 * np.pi

    def blotches() -> np.ndarray:
        waves = [
            np.cos(turn * (np.cos(phase[k]) * x + np.sin(phase[k]) * y) / (24 + 8 * k) + phase[k + 3]) for k in range(3)
        ]
        return sum(waves) / 3

    def dots() -> np.ndarray:
        return 2 * np.exp(3 * (np.cos(turn * x / 16 + phase[0]) + np.cos(turn * y / 16 + phase[1]) - 2)) - 0.5

    patterns = {
        "grey": blotches,
        "brown": lambda: np.sin(turn * y / 12 + phase[0] + 0.8 * np.sin(turn * x / 60 + phase[1])),
        "navy": dots,
        "olive": lambda: np.sin(turn * x / 11 + phase[0] + 0.6 * np.sin(turn * y / 40 + phase[1])),
        "beige": lambda: np.sin(turn * (x + y) / 16 + phase[0]),
        "teal": lambda: np.tanh(3 * np.sin(turn * x / 20 + phase[0]) * np.sin(turn * y / 20 + phase[1])),
    }
    return patterns[background]()


def paint_background(background: str, rng: np.random.Generator) -> np.ndarray:
    """An empty scene, float64 [H,W,3] in 0..255: base colour, texture, and a gentle light from one side."""
    base = np.array(BACKGROUNDS[background], float) + rng.uniform(-BACKGROUND_JITTER, BACKGROUND_JITTER, 3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    light = rng.uniform(-8, 8) * (x / WIDTH - 0.5) + rng.uniform(-8, 8) * (y / HEIGHT - 0.5)
    return base + (PATTERN_AMPLITUDE * _pattern(background, rng) + light)[..., None]


def sprite_alpha(shape: str, boxes: np.ndarray) -> np.ndarray:
    """Anti-aliased coverage of a shape stretched to each box, float64 [F,H,W] in 0..1."""
    alpha = np.zeros((len(boxes), HEIGHT, WIDTH))
    for frame, (x0, y0, x1, y1) in enumerate(boxes):
        # Only the pixels the box touches: most of a frame is background.
        top, bottom = max(int(y0 * HEIGHT), 0), min(int(np.ceil(y1 * HEIGHT)), HEIGHT)
        left, right = max(int(x0 * WIDTH), 0), min(int(np.ceil(x1 * WIDTH)), WIDTH)
        if bottom <= top or right <= left:
            continue
        ys = (np.arange(top * SUPERSAMPLE, bottom * SUPERSAMPLE) + 0.5) / (HEIGHT * SUPERSAMPLE)
        xs = (np.arange(left * SUPERSAMPLE, right * SUPERSAMPLE) + 0.5) / (WIDTH * SUPERSAMPLE)
        u, v = np.meshgrid((2 * xs - x0 - x1) / (x1 - x0), (2 * ys - y0 - y1) / (y1 - y0))
        inside = _inside(shape, u, v).reshape(bottom - top, SUPERSAMPLE, right - left, SUPERSAMPLE)
        alpha[frame, top:bottom, left:right] = inside.mean((1, 3))
    return alpha


def render(sprites: list[Sprite] | tuple[Sprite, ...], background: str, rng: np.random.Generator) -> np.ndarray:
    """Draws sprites in order (later ones in front) on a still background: uint8 [F,H,W,3].

    `rng` decides only texture phase, light and small colour shifts, never what the caption says.
    """
    scene = paint_background(background, rng)
    frames = len(sprites[0].boxes) if sprites else FRAMES
    video = np.repeat(scene[None], frames, 0)
    for sprite in sprites:
        ink = np.array(COLOURS[sprite.colour], float) + rng.uniform(-COLOUR_JITTER, COLOUR_JITTER, 3)
        alpha = sprite_alpha(sprite.shape, sprite.boxes)[..., None]
        video = (1 - alpha) * video + alpha * ink
    return np.clip(np.rint(video), 0, 255).astype(np.uint8)


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
