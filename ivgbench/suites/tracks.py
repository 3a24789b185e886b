"""Two published rules that draw box tracks, each for a static and a dynamic split. numpy only.

* `imc`: Peekaboo's interactive motion control set (canvas 224, 16 frames), brought to F frames by linear resampling.
* `trailblazer`: TrailBlazer's generators (constant boxes; keyframes that alternate between two ends).

The rules are known from the released code; neither release fixes its seeds, so the boxes here are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivgbench import boxes

#: Frames of a clip in the released IMC records; its speeds and jitter are per frame of such a clip.
IMC_FRAMES = 16
IMC_CANVAS = 224
#: Least share of the canvas that a moving IMC box travels: the least measured in the released records. A box that
#: starts at the edge it moves towards is drawn again, since a dynamic case that stands still measures nothing.
IMC_LEAST_TRAVEL = 0.04
#: Start and end of TrailBlazer's dynamic tracks; each is used in both directions.
TRAILBLAZER_ENDS = (
    ((0.0, 0.35, 0.3, 0.65), (0.7, 0.35, 1.0, 0.65)),
    ((0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 1.0, 1.0)),
    ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)),
)


def _inside(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Boxes [F,4] of one size with these upper left corners [F,2], moved (never cut) until they are in the frame."""
    corners = np.clip(corners, 0, 1 - size)
    return np.clip(np.concatenate([corners, corners + size], axis=1), 0, 1)


class Kind(NamedTuple):
    """What an IMC prompt says of its boxes.

    side: of the canvas, .25 (small) or .3 (medium, large). aspect: 0 square, 1 wide, 2 tall: that axis x 1.33.
    axis: a moving box moves along x (0) or y (1); None: drawn, y in 60 % (45 of the 75 released moving records).
    """

    side: float
    aspect: int
    axis: int | None = None


def _drawn_kind(rng: np.random.Generator) -> Kind:
    return Kind(float(rng.choice([0.25, 0.3, 0.3])), int(rng.integers(3)))


def _imc_box(rng: np.random.Generator, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corner and size of an IMC box."""
    size = np.full(2, kind.side)
    if kind.aspect:
        size[kind.aspect - 1] *= 1.33
    corner = rng.choice([0.1, 0.25, 0.45, 0.7], size=2) + rng.uniform(-0.01, 0.01, 2)
    return np.clip(corner, 0, 1 - size), size


def imc_static(rng: np.random.Generator, frames: int, kind: Kind | None = None) -> np.ndarray:
    """Peekaboo IMC, stationary: a random walk of at most 1 % of the canvas per frame and axis. Float64 [F,4]."""
    corner, size = _imc_box(rng, kind or _drawn_kind(rng))
    walk = np.cumsum(rng.uniform(-0.01, 0.01, (IMC_FRAMES, 2)), axis=0)
    return boxes.resample(_inside(corner + walk - walk[0], size), frames)


def imc_dynamic(rng: np.random.Generator, frames: int, kind: Kind | None = None) -> np.ndarray:
    """Peekaboo IMC, moving: constant speed min(8|12|16 px, distance to the edge / 16) per frame along one axis.

    +-1 % jitter on the other axis. Float64 [F,4].
    """
    while True:
        own = kind or _drawn_kind(rng)
        corner, size = _imc_box(rng, own)
        axis = int(rng.random() < 0.6) if own.axis is None else own.axis
        sign = rng.choice([-1.0, 1.0])
        distance = 1 - size[axis] - corner[axis] if sign > 0 else corner[axis]
        speed = min(rng.choice([8, 12, 16]) / IMC_CANVAS, distance / IMC_FRAMES)
        if speed * (IMC_FRAMES - 1) >= IMC_LEAST_TRAVEL:
            break
    corners = np.tile(corner, (IMC_FRAMES, 1))
    corners[:, axis] += sign * speed * np.arange(IMC_FRAMES)
    corners[:, 1 - axis] += rng.uniform(-0.01, 0.01, IMC_FRAMES)
    return boxes.resample(_inside(corners, size), frames)


def trailblazer_static(rng: np.random.Generator, frames: int) -> np.ndarray:
    """TrailBlazer, "Static bbox": left, top ~ U(0,.5), sides ~ U(.2,.5), two decimals, the same in all frames."""
    corner, size = np.round(rng.uniform(0, 0.5, 2), 2), np.round(rng.uniform(0.2, 0.5, 2), 2)
    return np.tile(np.clip(np.round(np.concatenate([corner, corner + size]), 2), 0, 1), (frames, 1))


def trailblazer_dynamic(rng: np.random.Generator, frames: int) -> np.ndarray:
    """TrailBlazer, "Dynamic bbox": 2..6 keyframes at int(linspace(0, F, K)), alternating between two ends. [F,4].

    As in the release the last keyframe lies one frame beyond the clip.
    """
    ends = TRAILBLAZER_ENDS[rng.integers(len(TRAILBLAZER_ENDS))][:: rng.choice([-1, 1])]
    at = np.linspace(0, frames, rng.integers(2, 7)).astype(int)
    return boxes.interpolate({int(frame): ends[k % 2] for k, frame in enumerate(at)}, frames + 1)[:frames]
