"""How a scene of the pocket world is drawn: textured ground, and shapes that fill their boxes, anti-aliased.

A sprite always fills its box: the outermost pixels of the shape touch all four sides. So the box that a caption's
sprite was drawn in is the exact answer a perfect detector gives.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivgbench.world.words import BACKGROUNDS, COLOURS, SHAPES

FRAMES, HEIGHT, WIDTH = 8, 48, 80
COLOUR_JITTER = 8
BACKGROUND_JITTER = 6
PATTERN_AMPLITUDE = 16.0
SUPERSAMPLE = 3


class Sprite(NamedTuple):
    """One moving subject. `boxes` is float64 [F,4], xyxy as fractions of the frame."""

    colour: str
    shape: str
    boxes: np.ndarray

    @property
    def phrase(self) -> str:
        return f"{self.colour} {self.shape}"


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
