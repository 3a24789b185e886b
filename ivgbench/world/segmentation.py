"""An eye that was not trained: finds the sprites of a pocket frame by colour distance and names them by template.

It shares nothing with the detector but the world's palette, so that each can check the other. A pixel belongs to the
ink it is nearest to, unless the background explains it better; a shape is the template that covers its mask best.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivgbench import world

#: How far textures and light move a background along the grey axis, in levels.
TEXTURE_REACH = 34.0
#: A pixel further than this from every ink is none of them, in levels (Euclidean, RGB).
INK_REACH = 75.0
#: Fewer pixels than this are a speck: the world's smallest sprite covers more than 60.
LEAST_PIXELS = 20
TIP = 2
LEAST_SHARE = 0.4
BLUR = 0.8
INKS = np.array(list(world.COLOURS.values()), float)
GROUNDS = np.array(list(world.BACKGROUNDS.values()), float)


class Found(NamedTuple):
    """A sprite seen in a frame: `box` xyxy in fractions, `fit` the IoU of its mask with the best template."""

    colour: str
    shape: str
    box: np.ndarray
    pixels: int
    fit: float


def _off_ground(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per background, how far every pixel lies off its grey-parallel line, and how far along: [6,H,W] each."""
    away = pixels[None] - GROUNDS[:, None, None]
    along = np.clip(away.mean(-1), -TEXTURE_REACH, TEXTURE_REACH)
    return np.sqrt(np.square(away - along[..., None]).sum(-1)), np.abs(along)


def background_of(frame: np.ndarray) -> str:
    """The background that explains a frame uint8 [H,W,3] best; a sprite's pixels count for little."""
    off, along = _off_ground(frame.astype(float))
    return list(world.BACKGROUNDS)[int(np.minimum(off + 0.3 * along, 40.0).sum((1, 2)).argmin())]


def find(frame: np.ndarray) -> list[Found]:
    """Every sprite of a frame uint8 [H,W,3], largest first."""
    import cv2  # ultralytics brings it

    pixels = frame.astype(float)
    ground = list(world.BACKGROUNDS).index(background_of(frame))
    off = _off_ground(pixels)[0][ground]
    inks = np.sqrt(np.square(pixels[None] - INKS[:, None, None]).sum(-1))
    nearest = inks.argmin(0)
    inked = (inks.min(0) < off) & (inks.min(0) < INK_REACH)
    found = []
    for index, colour in enumerate(world.COLOURS):
        seeds = (inked & (nearest == index)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(seeds, connectivity=8)
        # Thin tips are blends of ink and ground: a pixel next to a seed belongs to the sprite by its share of ink.
        toward = INKS[index] - GROUNDS[ground]
        share = (pixels - GROUNDS[ground]) @ toward / (toward @ toward)
        for label in range(1, count):
            if stats[label][4] < LEAST_PIXELS:
                continue
            near = cv2.dilate((labels == label).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=TIP)
            mask = (near > 0) & (share > LEAST_SHARE) & (inked <= (nearest == index))
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if not len(rows):
                continue
            box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
            box /= [world.WIDTH, world.HEIGHT, world.WIDTH, world.HEIGHT]
            shape, box, fit = _name(np.where(near > 0, np.clip(share, 0, 1), 0), box)
            found.append(Found(colour, shape, box, int(mask.sum()), fit))
    return sorted(found, key=lambda sprite: -sprite.pixels)


def _name(share: np.ndarray, box: np.ndarray) -> tuple[str, np.ndarray, float]:
    """The shape whose soft template explains a map [H,W] of ink shares best, in which box near `box`, and how well.

    The box of a thresholded mask cuts blurred tips off, so each side may also lie a pixel further out.
    """
    import cv2

    step = np.array([-1 / world.WIDTH, -1 / world.HEIGHT, 1 / world.WIDTH, 1 / world.HEIGHT])
    tried = np.clip(box + step * np.array(list(np.ndindex(2, 2, 2, 2))), 0, 1)
    best = ("", box, -np.inf)
    total = np.square(share).sum()
    for shape in world.SHAPES:
        for candidate, alpha in zip(tried, world.sprite_alpha(shape, tried), strict=True):
            fit = 1 - float(np.square(cv2.GaussianBlur(alpha, (0, 0), BLUR) - share).sum() / total)
            if fit > best[2]:
                best = (shape, candidate, fit)
    return best
