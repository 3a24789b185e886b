"""Box tracks: one box per frame, float64 [F,4], xyxy as fractions of the frame, y downwards. numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ivgbench.arrays import floats
from ivgbench.errors import UserError
from ivgbench.texts import short


def interpolate(keyframes: Mapping[int, Sequence[float] | np.ndarray], frames: int) -> np.ndarray:
    """A track from a few boxes: linear between keyframes, held before the first and after the last.

    Args:
        keyframes: frame index -> (x0, y0, x1, y1).
    Raises:
        UserError: no keyframe, or one outside 0..frames-1.
    """
    if not keyframes:
        raise UserError("a subject needs at least one box: --box FRAME:x0,y0,x1,y1")
    at = sorted(keyframes)
    if at[0] < 0 or at[-1] >= frames:
        outside = short(at[0] if at[0] < 0 else at[-1])
        raise UserError(f"keyframe {outside} is outside the clip's frames 0..{frames - 1}")
    values = floats([keyframes[frame] for frame in at], "keyframes")
    if values.shape != (len(at), 4):
        raise UserError(f"keyframes: a box is (x0, y0, x1, y1), got shape {list(values.shape[1:])}")
    steps = np.arange(frames)
    return np.stack([np.interp(steps, at, values[:, axis]) for axis in range(4)], axis=1)


def resample(track: np.ndarray, frames: int) -> np.ndarray:
    """The same path in another number of frames: linear in time, both ends kept. UserError for no frames."""
    if not len(track) or frames < 1:
        raise UserError(f"a track of {len(track)} boxes cannot be brought to {frames} frames; both must be at least 1")
    old = np.linspace(0, 1, len(track))
    new = np.linspace(0, 1, frames)
    return np.stack([np.interp(new, old, track[:, axis]) for axis in range(4)], axis=1)


def check(track: np.ndarray, where: str) -> np.ndarray:
    """Returns the track as float64 [F,4], or raises UserError naming the frame and the fault."""
    track = floats(track, where)
    if track.ndim != 2 or track.shape[1] != 4:
        raise UserError(f"{where}: boxes must be a list of [x0, y0, x1, y1], got shape {list(track.shape)}")
    for frame, box in enumerate(track):
        spelled = ", ".join(f"{value:g}" for value in box)
        if not np.isfinite(box).all():
            raise UserError(f"{where}: box of frame {frame} is not finite: [{spelled}]")
        if box.min() < 0 or box.max() > 1:
            raise UserError(
                f"{where}: box of frame {frame} leaves the frame (0..1): [{spelled}]; use fractions of width and height"
            )
        if box[2] <= box[0] or box[3] <= box[1]:
            raise UserError(f"{where}: box of frame {frame} is empty: [{spelled}]; need x0 < x1 and y0 < y1")
    return track


def area(boxes: np.ndarray) -> np.ndarray:
    """Areas of boxes [...,4]; a box turned inside out has area 0."""
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return sides[..., 0] * sides[..., 1]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [...,4] with boxes [...,4]: 0..1, and 0 where both are empty.

    Each side of the overlap is clamped at 0 before they are multiplied: boxes apart on both axes do not overlap.
    """
    overlap = area(np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1))
    union = area(a) + area(b) - overlap
    return np.divide(overlap, union, out=np.zeros_like(union), where=union > 0)


def rasterise(track: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cells a box covers: bool [F,height,width], rows int(y0*height)..int(y1*height)-1, columns alike.

    Truncation at both ends is the released Peekaboo's rule, for latent cells and for pixels; a box thinner than a
    cell may cover none.
    """
    # What lies a frame outside of the frame is as far away as what no integer can hold.
    track = np.clip(np.asarray(track, dtype=np.float64), -1, 2)
    edges = np.trunc(track * [width, height, width, height]).astype(int)
    rows, columns = np.arange(height), np.arange(width)
    inside_y = (rows >= edges[:, 1, None]) & (rows < edges[:, 3, None])
    inside_x = (columns >= edges[:, 0, None]) & (columns < edges[:, 2, None])
    return inside_y[:, :, None] & inside_x[:, None, :]
