"""Scenes made to mislead a detector: each shows something near to what is asked for, and never the thing itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ivgbench import world

Scene = tuple[np.ndarray, str]  # a frame uint8 [H,W,3], and a phrase that is not in it


def another(rng: np.random.Generator, options: tuple[str, ...] | dict, than: str) -> str:
    return str(rng.choice([option for option in options if option != than]))


def _box(rng: np.random.Generator) -> np.ndarray:
    return world.random_track(rng)[[rng.integers(world.FRAMES)]]


def _two_boxes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    while True:
        boxes = _box(rng), _box(rng)
        if world.overlap(*boxes) < world.MAX_OVERLAP:
            return boxes


def _draw(rng: np.random.Generator, *sprites: world.Sprite) -> np.ndarray:
    ground = str(rng.choice(list(world.BACKGROUNDS)))
    if sprites:
        return world.render(sprites, ground, rng)[0]
    return np.clip(np.rint(world.paint_background(ground, rng)), 0, 255).astype(np.uint8)


def _any(rng: np.random.Generator) -> tuple[str, str]:
    return str(rng.choice(list(world.COLOURS))), str(rng.choice(world.SHAPES))


def blank(rng: np.random.Generator) -> Scene:
    """A background alone."""
    return _draw(rng), " ".join(_any(rng))


def wrong_colour(rng: np.random.Generator) -> Scene:
    """The asked shape in another colour."""
    colour, shape = _any(rng)
    return _draw(rng, world.Sprite(another(rng, world.COLOURS, colour), shape, _box(rng))), f"{colour} {shape}"


def wrong_shape(rng: np.random.Generator) -> Scene:
    """Another shape in the asked colour."""
    colour, shape = _any(rng)
    return _draw(rng, world.Sprite(colour, another(rng, world.SHAPES, shape), _box(rng))), f"{colour} {shape}"


def two_wrong(rng: np.random.Generator) -> Scene:
    """The asked shape in another colour beside another shape in the asked colour: both words, not together."""
    colour, shape = _any(rng)
    boxes = _two_boxes(rng)
    first = world.Sprite(another(rng, world.COLOURS, colour), shape, boxes[0])
    second = world.Sprite(colour, another(rng, world.SHAPES, shape), boxes[1])
    return _draw(rng, first, second), f"{colour} {shape}"


def duplicates(rng: np.random.Generator) -> Scene:
    """Two sprites of one wrong shape in the asked colour."""
    colour, shape = _any(rng)
    other = another(rng, world.SHAPES, shape)
    boxes = _two_boxes(rng)
    return _draw(rng, *(world.Sprite(colour, other, box) for box in boxes)), f"{colour} {shape}"


def half_sprite(rng: np.random.Generator) -> Scene:
    """The left, right, upper or lower half of a sprite in the asked colour.

    Never of a square, nor the upper half of a triangle: in this stretched world they are a square and a triangle.
    """
    colour, shape = _any(rng)
    whole = another(rng, world.SHAPES, "square")
    box = _box(rng)
    ground = str(rng.choice(list(world.BACKGROUNDS)))
    scene = world.paint_background(ground, rng)
    alpha = world.sprite_alpha(whole, box)[0]
    x, y = (box[0, :2] + box[0, 2:]) / 2 * [world.WIDTH, world.HEIGHT]
    side = rng.choice([0, 1, 3] if whole == "triangle" else 4)
    if side < 2:
        alpha[:, int(x) :] *= side
        alpha[:, : int(x)] *= 1 - side
    else:
        alpha[int(y) :] *= side - 2
        alpha[: int(y)] *= 3 - side
    return _ink(scene, alpha, colour), f"{colour} {shape}"


def colour_blob(rng: np.random.Generator) -> Scene:
    """A ragged patch of the asked colour that is no shape of the world."""
    colour, shape = _any(rng)
    scene = world.paint_background(str(rng.choice(list(world.BACKGROUNDS))), rng)
    x0, y0, x1, y1 = _box(rng)[0] * [world.WIDTH, world.HEIGHT, world.WIDTH, world.HEIGHT]
    y, x = np.mgrid[0 : world.HEIGHT, 0 : world.WIDTH] + 0.5
    u, v = (2 * x - x0 - x1) / (x1 - x0), (2 * y - y0 - y1) / (y1 - y0)
    angle = np.arctan2(v, u)
    rim = 0.62 + sum(rng.uniform(0.12, 0.22) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi)) for wave in (2, 3, 4))
    return _ink(scene, np.clip((rim - np.hypot(u, v)) * (x1 - x0) / 4 + 0.5, 0, 1), colour), f"{colour} {shape}"


def _ink(scene: np.ndarray, alpha: np.ndarray, colour: str) -> np.ndarray:
    mixed = (1 - alpha[..., None]) * scene + alpha[..., None] * np.array(world.COLOURS[colour], float)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


TRAPS: dict[str, Callable[[np.random.Generator], Scene]] = {
    "blank": blank,
    "wrong colour": wrong_colour,
    "wrong shape": wrong_shape,
    "both words apart": two_wrong,
    "duplicates": duplicates,
    "half sprite": half_sprite,
    "colour blob": colour_blob,
}


def trap(name: str, count: int) -> list[Scene]:
    """`count` scenes of a kind of trap, always the same ones."""
    stream = [world.SPLIT_SEEDS["held-out"], list(TRAPS).index(name), 7]
    return [TRAPS[name](np.random.default_rng([*stream, index])) for index in range(count)]
